"""R-VMAE: RVM's recurrence under one mask over space and time of a clip."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from rvmae_jax.batch import MaskLayout, Slots
from rvmae_jax.layers import patches, positions
from rvmae_jax.models import flops
from rvmae_jax.models.recurrent import VARIANTS, RecurrentAutoencoder
from rvmae_jax.models.variants import builder


class RVMAE(RecurrentAutoencoder):
  """Encodes what frames show, carries a state, rebuilds what they hide.

  All frames are treated alike: the visible tokens of each are encoded by
  themselves and put back on its grid, with a learned token at hidden places and
  in the whole of a hidden frame. The core runs over all frames, so that at a
  hidden one it has to predict. The decoder looks from each frame's features to
  those of all frames and rebuilds the hidden patches.

  Attributes:
    causal: the decoder looks to a frame's own features and to earlier ones
      only.
    others: see `RecurrentAutoencoder`.
  """

  causal: bool = False

  # See `masking.check_mask`: frames are encoded together, so they must show the
  # same number of tokens, if they show any.
  needs_mask = MaskLayout(slots=Slots.EVEN_WHERE_SHOWN)

  def setup(self):
    super().setup()
    self.mask_token = patches.LearnedToken(self.width)

  def __call__(
    self, batch: Mapping[str, jax.Array], *, train: bool = False
  ) -> dict[str, Any]:
    """Encodes what is visible and rebuilds what is not.

    Args:
      batch: `video` [B, T, H, W, 3], uint8 or floats in [0, 1]; `ids_keep`
        [B, F*K] and `ids_mask` [B, M], places in the flattened grid (T, h, w);
        `slots_keep` [B, F], the frames that show K tokens each; without it all
        frames do.
      train: unused; there is no dropout.

    Returns:
      `pred` [B, M, p*p*3] float32 (pixels in order h w c) of the tokens
      `pred_ids` [B, M]; `features` [B, T, 1+N, D], `state` and `stats` as RVM.

    Raises:
      ValueError: patches do not tile the frame, or visible tokens are not the
        same number in each frame.
    """
    del train
    _, _, height, width, _ = batch['video'].shape
    grid = patches.patch_grid(height, width, self.patch_size)
    features, state, stats = self.core.run(
      self._encode_visible(batch, grid), self.time_unroll
    )
    return {
      'pred': self._decode(features, grid, batch['ids_mask']),
      'pred_ids': batch['ids_mask'],
      'features': features,
      'state': state,
      'stats': stats,
    }

  def flops_per_clip(self, spec: Mapping[str, Any]) -> dict[str, int]:
    """Forward FLOPs of one clip by part; `flops.training` adds the backward.

    Args:
      spec: shapes by key, as `__call__` takes them; without `ids_keep` the
        count is that of `encode`.
    """
    count = self.encoding_flops(spec['video'])
    if 'ids_keep' not in spec:
      return count
    _, num_frames, height, width, _ = spec['video'].shape
    h, w = patches.patch_grid(height, width, self.patch_size)
    num_shown = _num_shown(spec)
    num_visible = spec['ids_keep'].shape[-1] // num_shown
    num_tokens = num_frames * (1 + h * w)
    count['patch_embedding'] = num_shown * self.embedding_flops(num_visible)
    count['encoder'] = num_shown * (
      self.encoder_flops(1 + num_visible)
      + flops.dense(num_visible, h * w, self.width)
    )
    if num_shown < num_frames:
      count['encoder'] += flops.dense(
        num_shown, num_frames, (1 + h * w) * self.width
      )
    count['decoder'] = flops.dense(
      num_tokens, self.width, self.decoder_width
    ) + self.decoder_flops(num_frames, 1 + h * w, num_tokens)
    count['output'] = flops.dense(
      spec['ids_mask'].shape[-1], self.decoder_width, self.patch_pixels
    )
    return count

  def _encode_visible(
    self, batch: Mapping[str, jax.Array], grid: tuple[int, int]
  ) -> jax.Array:
    """Visible tokens, encoded, on the grid of all frames; [B, T, 1+N, D]."""
    video, ids_keep = batch['video'], batch['ids_keep']
    batch_size, num_frames = video.shape[:2]
    num_places, num_shown = grid[0] * grid[1], _num_shown(batch)
    # [B, F*K] -> [B, F, K]
    places = (ids_keep % num_places).reshape(batch_size, num_shown, -1)

    pixels = patches.patchify_clip(video, self.patch_size, tubelet_size=1)
    pixels = patches.take_tokens(pixels, ids_keep)
    # [B, F*K, p*p*3] -> [B, F, K, p*p*3]
    visible = self.encode_patches(
      pixels.reshape(*places.shape, -1), grid, places
    )

    mask_token = self.mask_token().astype(self.dtype)
    hidden = mask_token + self.encoder_positions(grid)  # [N, D]
    cls, visible = visible[:, :, :1], visible[:, :, 1:]
    tokens = patches.put_back(visible, places, hidden, num_places)
    tokens = jnp.concatenate([cls, tokens], axis=2)  # [B, F, 1+N, D]
    if 'slots_keep' not in batch:
      return tokens
    # The same once more for frames: [B, F, (1+N)*D] -> [B, T, (1+N)*D]
    frames = patches.put_back(
      tokens.reshape(batch_size, num_shown, -1),
      batch['slots_keep'],
      jnp.concatenate([mask_token, hidden]).reshape(-1),
      num_frames,
    )
    return frames.reshape(batch_size, num_frames, -1, self.width)

  def _decode(
    self, features: jax.Array, grid: tuple[int, int], ids_mask: jax.Array
  ) -> jax.Array:
    """Rebuilds hidden patches from the features of frames; [B, M, p*p*3]."""
    batch_size, num_frames = features.shape[:2]
    wide = self.decoder_width
    times = positions.sincos_1d(num_frames, wide)
    tokens = self.decoder_embedding(features.astype(self.dtype))
    tokens += jnp.asarray(times, self.dtype)[:, None]  # [B, T, 1+N, W]
    queries = tokens.at[:, :, 1:].add(self.decoder_positions(grid))
    # [B, T, 1+N, W] -> [B, T*(1+N), W]
    context = tokens.reshape(batch_size, -1, wide)
    decoded = self.decoder(queries, context)[:, :, 1:]
    # [B, T, N, W] -> [B, T*N, W]
    decoded = decoded.reshape(batch_size, -1, wide)
    return self.output(patches.take_tokens(decoded, ids_mask))


build_rvmae = builder(RVMAE, VARIANTS, usual='S')


def _num_shown(batch: Mapping[str, Any]) -> int:
  """F, how many frames show tokens; ValueError if they show unequally many."""
  num_shown = batch['slots_keep' if 'slots_keep' in batch else 'video'].shape[1]
  num_visible = batch['ids_keep'].shape[-1]
  if num_visible % num_shown:
    raise ValueError(
      f'{num_visible} visible tokens cannot be the same number in each of '
      f'{num_shown} frames; use a mask that draws frame by frame, such as '
      'space_time.'
    )
  return num_shown
