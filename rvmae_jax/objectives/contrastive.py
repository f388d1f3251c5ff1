"""Find the other view of a video among those of a whole batch (MoCo v3)."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from rvmae_jax.losses import weighted_terms
from rvmae_jax.losses.contrastive import cosine_similarities, unit_length
from rvmae_jax.objectives.statistics import network_metrics


class Contrastive:
  """Queries of one view against keys of the other, both ways round.

  Keys come from the momentum encoder: the model with the running mean of its
  parameters, to which no gradient flows. Source: arXiv 2104.02057.

  Attributes:
    losses: loss name -> weight; each term is logged under its name.
    temperature: of the similarities.
  """

  # The trainer gives `ema_params`, and never a part of a batch: rows are
  # compared with each other.
  needs_ema = True
  needs_whole_batch = True

  def __init__(self, losses: Mapping[str, float], temperature: float = 0.2):
    if temperature <= 0:
      raise ValueError(f'temperature={temperature} must be positive.')
    self.losses = weighted_terms(losses, ('contrastive',))
    self.temperature = temperature

  def __call__(
    self,
    apply: Callable[..., Mapping[str, Any]],
    params: Any,
    batch: Mapping[str, jax.Array],
    *,
    rng: jax.Array,
    train: bool,
    ema_params: Any,
  ) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Loss and scalar metrics of a batch with `video` and `view2`.

    Metrics: `loss`, each term (the sum of both ways), `accuracy` (how often the
    right key is the nearest) and `spread`, the deviation of the keys' entries
    over the batch times the square root of their number: about 1 where keys
    differ, 0 where they have collapsed into one; and those of
    `objectives.statistics`.
    """
    outputs = apply(params, batch, train=train, rng=rng)
    queries = outputs['prediction']
    keys = apply(ema_params, batch, train=train, rng=rng)['projection']
    keys = jax.lax.stop_gradient(keys)
    # (queries, keys): the first view asks for the second, and the reverse.
    pairs = [(queries[:, 0], keys[:, 1]), (queries[:, 1], keys[:, 0])]

    loss, metrics = jnp.zeros(()), {}
    for name, (term, weight) in self.losses.items():
      metrics[name] = sum(
        term(*pair, temperature=self.temperature).mean() for pair in pairs
      )
      loss += weight * metrics[name]
    nearest = jnp.stack(
      [cosine_similarities(*pair).argmax(-1) for pair in pairs]
    )
    is_right = nearest == jnp.arange(len(queries))
    spread = unit_length(keys).std(0).mean() * keys.shape[-1] ** 0.5
    metrics |= {'loss': loss, 'accuracy': is_right.mean(), 'spread': spread}
    metrics |= network_metrics(outputs)
    return loss, jax.lax.stop_gradient(metrics)
