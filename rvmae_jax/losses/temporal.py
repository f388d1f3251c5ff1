"""Losses that ask features to change little, or steadily, through time.

`l1` and `l2` are lowest where features stand still: a recurrent network that is
asked for it writes its first frame to the state and then nothing more.
`slowness` asks for steady change instead.
"""

import jax
import jax.numpy as jnp

# Ratio that `slowness` accepts; features with a period of 8 frames have 0.29.
_STEADY = 0.3
# Changes below this share of the features' power count as none.
_LEAST = 1e-6


def l1(features: jax.Array) -> jax.Array:
  """Mean absolute change between consecutive frames: [B, T, N, D] -> [B].

  Raises:
    ValueError: there is but one frame.
  """
  return jnp.abs(_changes(features)).mean((1, 2, 3))


def l2(features: jax.Array) -> jax.Array:
  """Mean squared change between consecutive frames; see `l1`."""
  return jnp.square(_changes(features)).mean((1, 2, 3))


def slowness(features: jax.Array) -> jax.Array:
  """How much more features change between frames than through the clip.

  The squared change between consecutive frames over twice the variance through
  the clip, as in slow feature analysis (Wiskott & Sejnowski, 2002), less 0.3,
  and at least 0. The ratio is 1 for noise and 1 - cos(2 pi / P) for what comes
  back every P frames. It does not depend on the features' scale or offset.
  Features that stand still count as noise, so standing still does not lower the
  loss. Nor does a ratio below 0.3: otherwise all features would become a clock,
  the slowest change there is.

  Args:
    features: [B, T, N, D] of three frames or more; of two, the ratio is 1.

  Returns:
    [B].

  Raises:
    ValueError: there is but one frame.
  """
  change = jnp.square(_changes(features)).mean((1, 2, 3))
  features = features.astype(jnp.float32)
  variance = features.var(1, ddof=1).mean((1, 2))
  least = _LEAST * (jnp.square(features).mean((1, 2, 3)) + _LEAST)
  ratio = (change + 2 * least) / (2 * (variance + least))
  return jnp.maximum(ratio - _STEADY, 0)


def _changes(features: jax.Array) -> jax.Array:
  if features.ndim != 4 or features.shape[1] < 2:
    raise ValueError(
      'Temporal losses compare features [B, T, N, D] of consecutive frames, '
      f'not {list(features.shape)}; use a model that gives them and a clip of '
      'at least two frames.'
    )
  return jnp.diff(features.astype(jnp.float32), axis=1)
