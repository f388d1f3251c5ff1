"""Loss terms by name, float32.

Pixel losses: (pred, target) -> one value per patch. Classification losses:
(logits, class probabilities) -> one value per row. Contrastive losses:
(queries, keys) -> one value per row.
"""

from rvmae_jax.registry import Registry

LOSSES = Registry(
  'loss',
  {
    'cross_entropy': 'rvmae_jax.losses.classification:cross_entropy',
    'info_nce': 'rvmae_jax.losses.contrastive:info_nce',
    'pixel_l2': 'rvmae_jax.losses.pixel:l2',
  },
)
