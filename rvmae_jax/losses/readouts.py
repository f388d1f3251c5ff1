"""Losses of readout heads: depth maps, points and boxes; one value per row.

What has no truth is NaN there, and counts neither in a value nor in its
gradient. A row without any truth has the loss 0.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import optax

# Lengths of the losses of points are pixels of a frame of this size.
RASTER = 256
HUBER_DELTA_PX = 4.0
CERTAIN_WITHIN_PX = 6.0
# A sum with these weights is what trackers of points are trained with. Source:
# TAPIR (arXiv 2306.08637).
POINT_WEIGHTS: Mapping[str, float] = {
  'huber': 0.05,
  'visible': 1.0,
  'certain': 1.0,
}


def l2(pred: jax.Array, target: jax.Array) -> jax.Array:
  """Mean squared error of depth maps or boxes, float32: [B, ...] -> [B].

  Args:
    pred: [B, ...].
    target: the same shape, NaN where there is no truth.
  """
  known = ~jnp.isnan(target)
  # The gradient of a chosen value must not pass through NaN.
  error = pred.astype(jnp.float32) - jnp.where(known, target, 0)
  return _mean(jnp.square(error), known)


def point_terms(
  pred: jax.Array,
  visible_logits: jax.Array,
  certain_logits: jax.Array,
  points: jax.Array,
  visible: jax.Array,
) -> dict[str, jax.Array]:
  """The three losses of tracked points, each [B] float32.

  Args:
    pred: [B, Q, T, 2] x and y in 0..1.
    visible_logits: [B, Q, T].
    certain_logits: [B, Q, T].
    points: [B, Q, T, 2] where they truly are; anything where not visible.
    visible: [B, Q, T] bool.

  Returns:
    `huber` of distances in pixels, and the cross-entropy `certain` of whether
    they are small, on visible points; the cross-entropy `visible` on all.
  """
  error = RASTER * (
    pred.astype(jnp.float32) - jnp.where(visible[..., None], points, 0)
  )
  # Away from 0, where a root has no gradient.
  distance = jnp.sqrt(jnp.square(error).sum(-1) + 1e-12)
  is_near = jax.lax.stop_gradient(distance) < CERTAIN_WITHIN_PX
  return {
    'huber': _mean(
      optax.losses.huber_loss(distance, delta=HUBER_DELTA_PX), visible
    ),
    'visible': _cross_entropy(visible_logits, visible).mean((1, 2)),
    'certain': _mean(_cross_entropy(certain_logits, is_near), visible),
  }


def _cross_entropy(logits: jax.Array, is_true: jax.Array) -> jax.Array:
  return optax.losses.sigmoid_binary_cross_entropy(
    logits.astype(jnp.float32), is_true.astype(jnp.float32)
  )


def _mean(values: jax.Array, counts: jax.Array) -> jax.Array:
  """Mean of what counts in each row: [B, ...] twice -> [B]; 0 of nothing."""
  axes = tuple(range(1, values.ndim))
  total = jnp.where(counts, values, 0).sum(axes)
  return total / jnp.maximum(counts.sum(axes), 1)
