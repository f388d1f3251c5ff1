"""From the features of a clip to one vector: poolings by name."""

import jax
import jax.numpy as jnp


def mean(features: jax.Array) -> jax.Array:
  """Mean over tokens and time: [B, T, N, D] -> [B, D]."""
  return features.mean((1, 2))


def last_state(features: jax.Array) -> jax.Array:
  """Mean over the tokens of the last frame: [B, T, N, D] -> [B, D]."""
  return features[:, -1].mean(1)


def mean_std_8(features: jax.Array) -> jax.Array:
  """Mean and deviation over the last 8 frames: [B, T, N, D] -> [B, 2D]."""
  frames = features[:, -8:].mean(2)  # [B, 8, D]
  return jnp.concatenate([frames.mean(1), frames.std(1)], axis=-1)


def absolute_difference(features: jax.Array) -> jax.Array:
  """Mean absolute change between frames: [B, T, N, D] -> [B, D].

  Never a verdict alone: a random network is strong on it. 0 for one frame.
  """
  steps = max(features.shape[1] - 1, 1)
  return jnp.abs(jnp.diff(features, axis=1)).mean(2).sum(1) / steps


POOLINGS = {
  'mean': mean,
  'last_state': last_state,
  'mean_std_8': mean_std_8,
  'absolute_difference': absolute_difference,
}


def pool_all(features: jax.Array) -> dict[str, jax.Array]:
  """Every pooling of features [B, T, N, D], by name."""
  return {name: pool(features) for name, pool in POOLINGS.items()}
