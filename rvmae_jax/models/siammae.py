"""SiamMAE: Siamese masked autoencoder (arXiv 2305.14344)."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from rvmae_jax.batch import MaskLayout
from rvmae_jax.layers import patches
from rvmae_jax.layers.positions import sincos_2d_xy
from rvmae_jax.layers.transformer import CrossEncoder
from rvmae_jax.models import flops
from rvmae_jax.models.frame_encoder import FrameEncoder
from rvmae_jax.models.variants import builder, size

# S and B are the paper's; `tiny` is for tests and small videos.
VARIANTS = {
  'tiny': size(128, 128, encoder=(2, 4, 512), decoder=(2, 4, 512)),
  'S': size(384, 256, encoder=(12, 6, 1536), decoder=(4, 8, 1024)),
  'B': size(768, 512, encoder=(12, 12, 3072), decoder=(8, 16, 2048)),
}


class SiamMAE(FrameEncoder):
  """Rebuilds a mostly hidden later frame by looking at an earlier one.

  Both go through one ViT. In the decoder the later frame's tokens attend to
  each other, then to the earlier frame; both carry their places.

  Attributes:
    decoder_*: blocks of self-attention, cross-attention and MLP.
    position_base: of the 2-D sin-cos tables; see `layers.positions.sincos_2d`.
    pixel_mean, pixel_std: for each colour; `(pixels - mean) / std` is encoded.
    others: see `FrameEncoder`, the ViT shared by both frames.
  """

  decoder_width: int
  decoder_blocks: int
  decoder_heads: int
  decoder_mlp_dim: int
  position_base: float = 1e4
  pixel_mean: tuple[float, ...] = (0.485, 0.456, 0.406)
  pixel_std: tuple[float, ...] = (0.229, 0.224, 0.225)

  needs_mask = MaskLayout(hides='target')  # See `masking.check_mask`.

  def setup(self):
    super().setup()
    self.decoder_embedding = nn.Dense(self.decoder_width, dtype=self.dtype)
    self.mask_token = patches.LearnedToken(self.decoder_width)
    self.decoder = CrossEncoder(
      self.decoder_blocks,
      self.decoder_heads,
      self.decoder_mlp_dim,
      dtype=self.dtype,
      attention=self.attention,
      remat=self.remat,
      scan=self.scan_layers,
      order=('attention', 'cross_attention', 'mlp'),
    )
    self.output = nn.Dense(self.patch_pixels, dtype=jnp.float32)

  def __call__(
    self, batch: Mapping[str, jax.Array], *, train: bool = False
  ) -> dict[str, jax.Array]:
    """Rebuilds target frames, each by itself, from whole earlier frames.

    Args:
      batch: `video` [B, T, H, W, 3], in the paper one frame; tokens of more
        are more to attend to, in no order. `target` [B, S, H, W, 3] and
        `ids_keep` [B, S, K]. uint8, or floats in [0, 1].
      train: unused; there is no dropout.

    Returns:
      `pred` [B, S, N, p*p*3] float32 (pixels in order h w c) and `features`
      [B, T, 1+N, D] of the earlier frames.

    Raises:
      ValueError: patches do not tile the frame.
    """
    del train
    target, ids_keep = batch['target'], batch['ids_keep']
    grid = self.patch_grid(target.shape)
    features, visible = self.encode_pair(batch['video'], target, ids_keep)
    pred = self._decode(features, visible, grid, ids_keep)
    return {'pred': pred, 'features': features}

  def encode(self, video: jax.Array, *, train: bool = False) -> jax.Array:
    """Features of every frame alone: [B, T, H, W, 3] -> [B, T, 1+N, D] float32.

    CLS first.
    """
    return self.encode_frames(video, train=train).astype(jnp.float32)

  def flops_per_clip(self, spec: Mapping[str, Any]) -> dict[str, int]:
    """Forward FLOPs of one clip by part; `flops.training` adds the backward.

    Args:
      spec: shapes by key, as `__call__` takes them; without `target` the count
        is that of `encode`.
    """
    num_frames = spec['video'].shape[1]
    h, w = self.patch_grid(spec['video'].shape)
    num_patches, num_tokens = h * w, 1 + h * w
    count = {
      'patch_embedding': num_frames * self.embedding_flops(num_patches),
      'source_encoder': num_frames * self.encoder_flops(num_tokens),
    }
    if 'target' not in spec:
      return count

    num_targets = spec['target'].shape[1]
    num_visible = spec['ids_keep'].shape[-1]
    num_context = num_frames * num_tokens
    wide = self.decoder_width
    count['target_patch_embedding'] = num_targets * self.embedding_flops(
      num_visible
    )
    count['target_encoder'] = num_targets * self.encoder_flops(1 + num_visible)
    count['decoder'] = (
      flops.dense(
        num_context + num_targets * (1 + num_visible), self.width, wide
      )
      + flops.cross_keys_values(num_context, self.decoder_blocks, wide, wide)
      + num_targets * flops.dense(num_visible, num_patches, wide)
      + num_targets
      * self.decoder_blocks
      * flops.cross_attention_block(
        num_tokens, num_context, wide, self.decoder_mlp_dim
      )
    )
    count['output'] = num_targets * flops.dense(
      num_patches, wide, self.patch_pixels
    )
    return count

  def encoder_positions(self, grid: tuple[int, int]) -> jax.Array:
    """The encoder's table of places, [N, D]."""
    return self._positions(grid, self.width)

  def embed_patches(self, pixels: jax.Array) -> jax.Array:
    """Pixels of patches as tokens: [..., p*p*3] -> [..., D]."""
    return super().embed_patches(
      patches.normalize_colours(
        patches.to_unit_float(pixels), self.pixel_mean, self.pixel_std
      )
    )

  def _positions(self, grid: tuple[int, int], width: int) -> jax.Array:
    table = sincos_2d_xy(grid, width, self.position_base)
    return jnp.asarray(table, self.dtype)

  def _decode(
    self,
    features: jax.Array,
    visible: jax.Array,
    grid: tuple[int, int],
    ids_keep: jax.Array,
  ) -> jax.Array:
    """[B, T, 1+N, D] and [B, S, 1+K, D] -> pixels [B, S, N, p*p*3]."""
    table = self._positions(grid, self.decoder_width)
    table = jnp.pad(table, ((1, 0), (0, 0)))  # CLS has no place.
    cls, visible = jnp.split(self.decoder_embedding(visible), [1], axis=2)
    mask_token = self.mask_token()[0].astype(self.dtype)
    tokens = patches.put_back(visible, ids_keep, mask_token, len(table) - 1)
    queries = jnp.concatenate([cls, tokens], axis=2) + table  # [B, S, 1+N, W]
    context = self.decoder_embedding(features) + table
    # [B, T, 1+N, W] -> [B, T*(1+N), W]
    context = context.reshape(len(context), -1, self.decoder_width)
    return self.output(self.decoder(queries, context)[:, :, 1:])


build_siammae = builder(SiamMAE, VARIANTS, usual='S')
