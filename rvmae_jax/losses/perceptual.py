"""Losses in the features of a frozen network."""

import jax
import jax.numpy as jnp

from rvmae_jax.losses.contrastive import unit_length


def distance(features: jax.Array, target: jax.Array) -> jax.Array:
  """Squared distance of unit vectors, 0 to 4: [..., D] twice -> [...].

  LPIPS (arXiv 1801.03924) without its learned weights for dimensions.
  """
  return jnp.square(unit_length(features) - unit_length(target)).sum(-1)
