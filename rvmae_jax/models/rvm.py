"""RVM: recurrent video masked autoencoder (arXiv 2512.13684)."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from rvmae_jax.batch import MAX_DELTA, MaskLayout
from rvmae_jax.layers import patches
from rvmae_jax.models import flops
from rvmae_jax.models.recurrent import VARIANTS, RecurrentAutoencoder
from rvmae_jax.models.variants import builder


class RVM(RecurrentAutoencoder):
  """Encodes each frame, carries a state, rebuilds hidden future frames.

  Attributes:
    max_delta: exclusive bound of `target_delta`, `batch.MAX_DELTA` or more.
    decoder_context: what the decoder sees of the source frames: 'all' of their
      features, or those of the 'last' one alone, to compare.
    others: see `RecurrentAutoencoder`.
  """

  max_delta: int = MAX_DELTA
  decoder_context: str = 'all'

  needs_mask = MaskLayout(hides='target')  # See `masking.check_mask`.

  def setup(self):
    if self.decoder_context not in ('all', 'last'):
      raise ValueError(
        f"Unknown decoder_context {self.decoder_context!r}; use 'all' or "
        "'last'."
      )
    if self.max_delta < MAX_DELTA:
      raise ValueError(
        f'model.max_delta={self.max_delta}: clips may have a target_delta of '
        f'up to {MAX_DELTA - 1}, so it must be at least {MAX_DELTA}.'
      )
    super().setup()
    self.delta_embedding = nn.Dense(self.decoder_width, dtype=self.dtype)
    self.mask_token = patches.LearnedToken(self.decoder_width)

  def __call__(
    self, batch: Mapping[str, jax.Array], *, train: bool = False
  ) -> dict[str, Any]:
    """Runs the source frames and rebuilds the target frames.

    Args:
      batch: `video` [B, T, H, W, 3], `target` [B, S, H, W, 3], `target_delta`
        [B, S], `ids_keep` [B, S, K]. uint8, or floats in [0, 1].
      train: unused; RVM has no dropout.

    Returns:
      `pred` [B, S, N, p*p*3] float32 (pixels in order h w c), `features`
      [B, T, 1+N, D] and `state` [B, 1+N, D] float32, and `stats` of the core
      ([B, T, 1+N] and [B, T]).

    Raises:
      ValueError: patches do not tile the frame.
    """
    del train
    target, ids_keep = batch['target'], batch['ids_keep']
    tokens, visible = self.encode_pair(batch['video'], target, ids_keep)
    features, state, stats = self.core.run(tokens, self.time_unroll)
    grid = self.patch_grid(target.shape)
    pred = self._decode(
      features, visible, grid, batch['target_delta'], ids_keep
    )
    return {
      'pred': pred,
      'features': features,
      'state': state,
      'stats': stats,
    }

  def flops_per_clip(self, spec: Mapping[str, Any]) -> dict[str, int]:
    """Forward FLOPs of one clip by part; `flops.training` adds the backward.

    Args:
      spec: shapes by key, as `__call__` takes them; without `target` the count
        is that of `encode`.
    """
    count = self.encoding_flops(spec['video'])
    if 'target' not in spec:
      return count
    _, num_targets, height, width, _ = spec['target'].shape
    h, w = patches.patch_grid(height, width, self.patch_size)
    num_visible = spec['ids_keep'].shape[-1]
    num_frames = spec['video'].shape[1] if self.decoder_context == 'all' else 1
    num_context = num_frames * (1 + h * w)
    wide = self.decoder_width
    count['target_patch_embedding'] = num_targets * self.embedding_flops(
      num_visible
    )
    count['target_encoder'] = num_targets * self.encoder_flops(1 + num_visible)
    count['decoder'] = (
      flops.dense(
        num_context + num_targets * (1 + num_visible), self.width, wide
      )
      + num_targets * flops.dense(num_visible, h * w, wide)
      + self.decoder_flops(num_targets, 1 + h * w, num_context)
    )
    count['output'] = num_targets * flops.dense(h * w, wide, self.patch_pixels)
    return count

  def _decode(
    self,
    features: jax.Array,
    visible: jax.Array,
    grid: tuple[int, int],
    delta: jax.Array,
    ids_keep: jax.Array,
  ) -> jax.Array:
    """Rebuilds target frames from source features; -> [B, S, N, p*p*3]."""
    # Queries: CLS, then the grid with the mask token at hidden places.
    visible = self.decoder_embedding(visible)
    cls, visible = visible[:, :, :1], visible[:, :, 1:]
    tokens = patches.put_back(
      visible,
      ids_keep,
      self.mask_token()[0].astype(self.dtype),
      grid[0] * grid[1],
    )
    one_hot_delta = jax.nn.one_hot(delta, self.max_delta, dtype=self.dtype)
    tokens += self.delta_embedding(one_hot_delta)[:, :, None]
    tokens += self.decoder_positions(grid)
    queries = jnp.concatenate([cls, tokens], axis=2)  # [B, S, 1+N, W]

    if self.decoder_context == 'last':
      features = features[:, -1:]
    # [B, T, 1+N, D] -> [B, T*(1+N), D]: every frame's state is context.
    context = features.astype(self.dtype)
    context = context.reshape(len(context), -1, self.width)
    decoded = self.decoder(queries, self.decoder_embedding(context))
    return self.output(decoded[:, :, 1:])


build_rvm = builder(RVM, VARIANTS, usual='S')
