"""Pixels to tokens and back, and choosing tokens by index."""

import flax.linen as nn
import jax
import jax.numpy as jnp


def to_unit_float(video: jax.Array) -> jax.Array:
  """uint8 pixels as float32 in [0, 1]; floats are taken to be there already."""
  if video.dtype == jnp.uint8:
    return video.astype(jnp.float32) / 255
  return video.astype(jnp.float32)


def normalize_colours(
  patches: jax.Array, mean: tuple[float, ...], std: tuple[float, ...]
) -> jax.Array:
  """`(patches - mean) / std` of each colour; colours are innermost.

  Args:
    patches: [..., 3*n] pixels.
    mean, std: one number for each colour.
  """
  times = patches.shape[-1] // len(mean)
  return (patches - jnp.tile(jnp.array(mean), times)) / jnp.tile(
    jnp.array(std), times
  )


def patch_grid(height: int, width: int, patch_size: int) -> tuple[int, int]:
  """The grid (h, w) of patches; ValueError if they do not tile the frame."""
  if height % patch_size or width % patch_size:
    raise ValueError(
      f'Patches of {patch_size} do not tile a {height}x{width} frame; choose a '
      'frame size divisible by patch_size.'
    )
  return height // patch_size, width // patch_size


def patchify(video: jax.Array, patch_size: int) -> jax.Array:
  """[..., H, W, C] -> [..., N, p*p*C]; pixels of a patch in order (h w c)."""
  *lead, height, width, channels = video.shape
  h, w = patch_grid(height, width, patch_size)
  # [..., h, p, w, p, C]
  video = video.reshape(*lead, h, patch_size, w, patch_size, channels)
  video = jnp.moveaxis(video, -4, -3)  # [..., h, w, p, p, C]
  return video.reshape(*lead, h * w, patch_size * patch_size * channels)


def unpatchify(
  patches: jax.Array, patch_size: int, grid: tuple[int, int]
) -> jax.Array:
  """The inverse of `patchify`: [..., N, p*p*C] -> [..., H, W, C]."""
  *lead, _, size = patches.shape
  h, w = grid
  channels = size // patch_size**2
  # [..., h, w, p, p, C]
  video = patches.reshape(*lead, h, w, patch_size, patch_size, channels)
  video = jnp.moveaxis(video, -3, -4)  # [..., h, p, w, p, C]
  return video.reshape(*lead, h * patch_size, w * patch_size, channels)


def clip_grid(
  shape: tuple[int, ...], patch_size: int, tubelet_size: int
) -> tuple[int, int, int]:
  """The grid (t, h, w) of tubelets of a video of shape [..., T, H, W, C].

  Raises:
    ValueError: tubelets do not tile the clip.
  """
  *_, num_frames, height, width, _ = shape
  if num_frames % tubelet_size:
    raise ValueError(
      f'Tubelets of {tubelet_size} frames do not tile a clip of {num_frames}; '
      'choose a number of frames divisible by tubelet_size.'
    )
  return num_frames // tubelet_size, *patch_grid(height, width, patch_size)


def patchify_clip(
  video: jax.Array, patch_size: int, tubelet_size: int
) -> jax.Array:
  """Cuts a clip into tubelets: [..., T, H, W, C] -> [..., t*h*w, z*p*p*C].

  Tubelets come slot by slot, then row by row; the pixels of one in the order
  (frame h w c), z = tubelet_size. Source: VideoMAE (arXiv 2203.12602).
  """
  t, h, w = clip_grid(video.shape, patch_size, tubelet_size)
  patches = patchify(video, patch_size)  # [..., T, h*w, p*p*C]
  # [..., t, z, h*w, p*p*C]
  patches = patches.reshape(*patches.shape[:-3], t, -1, *patches.shape[-2:])
  patches = jnp.moveaxis(patches, -3, -2)  # [..., t, h*w, z, p*p*C]
  return patches.reshape(*patches.shape[:-4], t * h * w, -1)


def unpatchify_clip(
  patches: jax.Array,
  patch_size: int,
  tubelet_size: int,
  grid: tuple[int, int, int],
) -> jax.Array:
  """The inverse of `patchify_clip`; [..., t*h*w, D] -> [..., T, H, W, C]."""
  t, h, w = grid
  lead = patches.shape[:-2]
  # [..., t, h*w, z, p*p*C]
  patches = patches.reshape(
    *lead, t, h * w, tubelet_size, patches.shape[-1] // tubelet_size
  )
  patches = jnp.moveaxis(patches, -2, -3)  # [..., t, z, h*w, p*p*C]
  # [..., T, h*w, p*p*C]
  patches = patches.reshape(*lead, t * tubelet_size, h * w, -1)
  return unpatchify(patches, patch_size, (h, w))


def take_tokens(tokens: jax.Array, ids: jax.Array) -> jax.Array:
  """Chooses tokens by index: [..., N, D] and [..., K] -> [..., K, D]."""
  return jnp.take_along_axis(tokens, ids[..., None], axis=-2)


def put_back(
  visible: jax.Array, ids_keep: jax.Array, fill: jax.Array, num_tokens: int
) -> jax.Array:
  """Puts visible tokens at their places, `fill` everywhere else.

  A product with a one-hot matrix: exact in any dtype, since each sum has one
  term, and its gradient, unlike a scatter's, adds in a fixed order on a GPU.

  Args:
    visible: [..., K, D].
    ids_keep: [..., K] places of the visible tokens.
    fill: [D], the token of hidden places, or [N, D], one for each place.
    num_tokens: N.

  Returns:
    [..., N, D].
  """
  at = jax.nn.one_hot(ids_keep, num_tokens, dtype=visible.dtype)  # [..., K, N]
  hidden = 1 - at.sum(axis=-2)[..., None]  # [..., N, 1]
  # GPUs and TPUs multiply float32 with fewer bits unless told not to; bfloat16
  # takes no longer for it.
  placed = jnp.einsum(
    '...kn,...kd->...nd', at, visible, precision=jax.lax.Precision.HIGHEST
  )
  return placed + hidden * fill


class PatchEmbedding(nn.Module):
  """One linear map of a patch's pixels; [..., N, p*p*C] -> [..., N, D].

  Equal to a convolution whose kernel and stride are the patch size; as a matrix
  product it also embeds only the patches that are visible.
  """

  width: int
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, patches: jax.Array) -> jax.Array:
    return nn.Dense(self.width, dtype=self.dtype, name='projection')(patches)


class LearnedToken(nn.Module):
  """One learned token [1, D], N(0, 0.02): a CLS or a mask token.

  A module of its own, so that it is asked for only where it is used: a model
  without its decoder's parameters can still encode.
  """

  width: int

  @nn.compact
  def __call__(self) -> jax.Array:
    return self.param('token', nn.initializers.normal(0.02), (1, self.width))
