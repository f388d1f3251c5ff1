"""Loss terms by name: (pred, target) -> one value per patch, float32."""

from rvmae_jax.registry import Registry

LOSSES = Registry('loss', {'pixel_l2': 'rvmae_jax.losses.pixel:l2'})
