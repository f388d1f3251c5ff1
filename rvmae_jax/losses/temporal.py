"""Losses that ask features to change little from frame to frame."""

import jax
import jax.numpy as jnp


def l1(features: jax.Array) -> jax.Array:
  """Mean absolute change between consecutive frames: [B, T, N, D] -> [B].

  Raises:
    ValueError: there is but one frame.
  """
  return jnp.abs(_changes(features)).mean((1, 2, 3))


def l2(features: jax.Array) -> jax.Array:
  """Mean squared change between consecutive frames; see `l1`."""
  return jnp.square(_changes(features)).mean((1, 2, 3))


def _changes(features: jax.Array) -> jax.Array:
  if features.ndim != 4 or features.shape[1] < 2:
    raise ValueError(
      'Temporal losses compare features [B, T, N, D] of consecutive frames, '
      f'not {list(features.shape)}; use a model that gives them and a clip of '
      'at least two frames.'
    )
  return jnp.diff(features.astype(jnp.float32), axis=1)
