"""Pixel losses of patches, and what patches are compared with."""

import jax
import jax.numpy as jnp

NORMALIZATIONS = ('none', 'patch', 'channel')


def l2(pred: jax.Array, target: jax.Array) -> jax.Array:
  """Mean squared error of each patch: [..., N, p*p*3] twice -> [..., N]."""
  error = pred.astype(jnp.float32) - target.astype(jnp.float32)
  return jnp.mean(error**2, axis=-1)


def l1(pred: jax.Array, target: jax.Array) -> jax.Array:
  """Mean absolute error of each patch; see `l2`."""
  error = pred.astype(jnp.float32) - target.astype(jnp.float32)
  return jnp.mean(jnp.abs(error), axis=-1)


def huber(
  pred: jax.Array, target: jax.Array, threshold: float = 0.1
) -> jax.Array:
  """Mean Huber loss of each patch; see `l2`.

  Half the squared error up to `threshold`, beyond it a straight line. The
  default suits pixels in [0, 1]: a tenth of the range.
  """
  error = jnp.abs(pred.astype(jnp.float32) - target.astype(jnp.float32))
  near = jnp.minimum(error, threshold)
  return jnp.mean(near * (error - 0.5 * near), axis=-1)


def patch_statistics(
  patches: jax.Array, normalize: str
) -> tuple[jax.Array | float, jax.Array | float]:
  """Shift and scale that normalise patches: `(patches - shift) / scale`.

  Args:
    patches: [..., N, p*p*3] in [0, 1].
    normalize: 'none'; 'patch': over all values of a patch, as ImageMAE does
      (2111.06377), scale sqrt(unbiased variance + 1e-6); 'channel': each colour
      by itself, as VideoMAE does (2203.12602), scale unbiased std + 1e-6.

  Raises:
    ValueError: an unknown normalisation.
  """
  if normalize == 'none':
    return 0.0, 1.0
  if normalize == 'patch':
    mean = patches.mean(axis=-1, keepdims=True)
    variance = patches.var(axis=-1, ddof=1, keepdims=True)
    return mean, jnp.sqrt(variance + 1e-6)
  if normalize == 'channel':
    # [..., p*p*3] -> [..., p*p, 3]: channels are innermost.
    colours = patches.reshape(*patches.shape[:-1], -1, 3)
    mean = colours.mean(axis=-2, keepdims=True)
    scale = colours.std(axis=-2, ddof=1, keepdims=True) + 1e-6

    def spread(values):  # [..., 1, 3] -> [..., p*p*3]
      return jnp.broadcast_to(values, colours.shape).reshape(patches.shape)

    return spread(mean), spread(scale)
  raise ValueError(
    f'Unknown patch normalisation {normalize!r}; use one of {NORMALIZATIONS}.'
  )


def masked_mean(values: jax.Array, mask: jax.Array | None) -> jax.Array:
  """Mean of values where the mask is 1 (everywhere without a mask).

  Args:
    values: [..., N].
    mask: None, or [..., N] of 0 and 1 with at least one 1.
  """
  if mask is None:
    return values.mean()
  mask = mask.astype(values.dtype)
  return (values * mask).sum() / mask.sum()
