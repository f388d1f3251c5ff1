"""Loss terms by name, float32.

A loss lives in the file of its family, and a family says what is compared:

  pixel: (pred, target) patches -> one value per patch
  temporal: features [B, T, N, D] -> one value per row
  perceptual: (features, target features) -> one value per row
  contrastive: (queries, keys) -> one value per row
  classification: (logits, class probabilities) -> one value per row
"""

from collections.abc import Callable, Collection, Mapping

import jax

from rvmae_jax.registry import Registry

LOSSES = Registry(
  'loss',
  {
    'cross_entropy': 'rvmae_jax.losses.classification:cross_entropy',
    'info_nce': 'rvmae_jax.losses.contrastive:info_nce',
    'perceptual': 'rvmae_jax.losses.perceptual:distance',
    'pixel_huber': 'rvmae_jax.losses.pixel:huber',
    'pixel_l1': 'rvmae_jax.losses.pixel:l1',
    'pixel_l2': 'rvmae_jax.losses.pixel:l2',
    'temporal_l1': 'rvmae_jax.losses.temporal:l1',
    'temporal_l2': 'rvmae_jax.losses.temporal:l2',
    'temporal_slowness': 'rvmae_jax.losses.temporal:slowness',
  },
)


def weighted_terms(
  weights: Mapping[str, float], families: Collection[str]
) -> dict[str, tuple[Callable[..., jax.Array], float]]:
  """Loss name -> (its function, its weight).

  Args:
    weights: `config.losses`.
    families: of losses that an objective knows what to give to.

  Raises:
    ValueError: no losses, which would train nothing, or one that the objective
      cannot compute.
  """
  wrong = [name for name in weights if family_of(name) not in families]
  if wrong or not weights:
    fitting = [name for name in LOSSES.names() if family_of(name) in families]
    raise ValueError(
      f'config.losses has {", ".join(wrong) or "no losses"}; this objective '
      f'takes {", ".join(fitting)}.'
    )
  return {name: (LOSSES.get(name), weight) for name, weight in weights.items()}


def family_of(name: str) -> str:
  """The family of a loss of the table: the file that it lives in."""
  return LOSSES.get(name).__module__.rpartition('.')[2]
