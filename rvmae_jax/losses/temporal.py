"""Losses that ask features to change little, or steadily, through time."""

import jax
import jax.numpy as jnp

_EPSILON = 1e-6


def l1(features: jax.Array) -> jax.Array:
  """Mean absolute change between consecutive frames: [B, T, N, D] -> [B].

  Raises:
    ValueError: there is but one frame.
  """
  return jnp.abs(_changes(features)).mean((1, 2, 3))


def l2(features: jax.Array) -> jax.Array:
  """Mean squared change between consecutive frames; see `l1`."""
  return jnp.square(_changes(features)).mean((1, 2, 3))


def relative(features: jax.Array) -> jax.Array:
  """`l1` of tokens of unit deviation, the earlier frame held fixed."""
  _changes(features)
  features = features.astype(jnp.float32)
  mean = features.mean(-1, keepdims=True)
  var = features.var(-1, keepdims=True)
  features = (features - mean) * jax.lax.rsqrt(var + _EPSILON)
  earlier = jax.lax.stop_gradient(features[:, :-1])
  return jnp.abs(features[:, 1:] - earlier).mean((1, 2, 3))


def hinge(features: jax.Array) -> jax.Array:
  """Change beyond half of a token's deviation, the earlier frame fixed."""
  _changes(features)
  features = features.astype(jnp.float32)
  mean = features.mean(-1, keepdims=True)
  var = features.var(-1, keepdims=True)
  features = (features - mean) * jax.lax.rsqrt(var + _EPSILON)
  earlier = jax.lax.stop_gradient(features[:, :-1])
  change = jnp.sqrt(jnp.square(features[:, 1:] - earlier).mean(-1) + _EPSILON)
  return jnp.maximum(change - 0.5, 0).mean((1, 2))


def slowness(features: jax.Array) -> jax.Array:
  """Squared change between frames over twice the variance through time."""
  changes = jnp.square(_changes(features)).mean((1, 2, 3))
  features = features.astype(jnp.float32)
  variance = 2 * features.var(1, ddof=1).mean((1, 2))
  least = _EPSILON * jnp.square(features).mean((1, 2, 3))
  return (changes + least) / (variance + least)


def curvature(features: jax.Array) -> jax.Array:
  """Squared second differences over squared first ones."""
  changes = _changes(features)
  bends = jnp.square(jnp.diff(changes, axis=1)).mean((1, 2, 3))
  changes = jnp.square(changes).mean((1, 2, 3))
  least = _EPSILON * jnp.square(features).mean((1, 2, 3))
  return (bends + least) / (changes + least)


def _changes(features: jax.Array) -> jax.Array:
  if features.ndim != 4 or features.shape[1] < 2:
    raise ValueError(
      'Temporal losses compare features [B, T, N, D] of consecutive frames, '
      f'not {list(features.shape)}; use a model that gives them and a clip of '
      'at least two frames.'
    )
  return jnp.diff(features.astype(jnp.float32), axis=1)
