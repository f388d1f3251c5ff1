"""What networks share that see a clip at once, cut into tubelets."""

import jax
import jax.numpy as jnp

from rvmae_jax.layers import patches


class SeesTubelets:
  """Mixed into modules with `encode`, `patch_embedding` and their settings."""

  @property
  def patch_pixels(self) -> int:
    """Values in a tubelet."""
    return self.tubelet_size * self.patch_size**2 * 3

  def clip_grid(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """The grid (t, h, w) of tubelets of clips of a shape [..., T, H, W, 3]."""
    return patches.clip_grid(shape, self.patch_size, self.tubelet_size)

  def embed_tubelets(
    self, pixels: jax.Array, table: jax.Array, ids: jax.Array | None
  ) -> jax.Array:
    """Pixels [B, K, z*p*p*3] as tokens [B, K, D] with their positions.

    Args:
      pixels: of tubelets, uint8 or floats in [0, 1].
      table: positions of the whole grid, [N, D].
      ids: [B, K], their places in it; without it they are all, in order.
    """
    pixels = patches.normalize_colours(
      patches.to_unit_float(pixels), self.pixel_mean, self.pixel_std
    )
    tokens = self.patch_embedding(pixels.astype(self.dtype))
    return tokens + (table if ids is None else table[ids]).astype(self.dtype)

  def encode_frames(
    self, video: jax.Array, *, train: bool = False
  ) -> jax.Array:
    """Features of each frame alone: [B, T, H, W, 3] -> [B, T, P+h*w, D].

    The network knows frames in tubelets only, so each is shown as the shortest
    clip there is: one tubelet, in which it stands still.
    """
    lead = video.shape[:2]
    # [B, T, H, W, 3] -> [B*T, 1, H, W, 3]
    frames = video.reshape(-1, 1, *video.shape[2:])
    features = self.encode(
      jnp.repeat(frames, self.tubelet_size, axis=1), train=train
    )
    # [B*T, 1, P+h*w, D] -> [B, T, P+h*w, D]
    return features.reshape(*lead, *features.shape[2:])
