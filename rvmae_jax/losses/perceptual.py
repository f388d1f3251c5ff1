"""Losses in the features of a frozen network."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

Features = jax.Array | Sequence[jax.Array]


def distance(features: Features, target: Features) -> jax.Array:
  """Squared distance of features, their mean over places; -> [B].

  Between 0 and 4 where they have unit length. Source: LPIPS (arXiv
  1801.03924), which sums over layers.

  Args:
    features: [B, ..., D] of what was rebuilt, or a list of that, one a layer.
    target: of what is true.
  """

  def of_layer(features, target):
    squares = jnp.square(features - target).sum(-1)  # [B, ...]
    return squares.reshape(len(squares), -1).mean(1)

  return sum(jax.tree.leaves(jax.tree.map(of_layer, features, target)))
