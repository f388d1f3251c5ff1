"""What networks share that see a clip at once, cut into tubelets."""

import jax
import jax.numpy as jnp

from rvmae_jax.layers import patches


class SeesTubelets:
  """Mixed into modules with `patch_size`, `tubelet_size` and `encode`."""

  @property
  def patch_pixels(self) -> int:
    """Values in a tubelet."""
    return self.tubelet_size * self.patch_size**2 * 3

  def clip_grid(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """The grid (t, h, w) of tubelets of clips of a shape [..., T, H, W, 3]."""
    return patches.clip_grid(shape, self.patch_size, self.tubelet_size)

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
