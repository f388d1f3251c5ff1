"""VideoMAE and its family: masked autoencoders that see a clip at once.

One network for VideoMAE (arXiv 2203.12602), its divided form (TimeSformer,
arXiv 2102.05095) and ImageMAE (arXiv 2111.06377), which is the per-frame form.
"""

import functools
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from rvmae_jax.batch import MaskLayout, Slots
from rvmae_jax.layers import patches
from rvmae_jax.layers.divided import DividedBlock
from rvmae_jax.layers.positions import ClipPositions
from rvmae_jax.layers.transformer import (
  ACTIVATIONS,
  NORM_EPS,
  Encoder,
  SelfAttentionBlock,
)
from rvmae_jax.models import flops
from rvmae_jax.models.pixel_decoder import PixelDecoder
from rvmae_jax.models.tubelets import SeesTubelets
from rvmae_jax.models.variants import builder, size

# S to H are VideoMAE's, g is that of V2 (patches of 14); `tiny` is for tests
# and small videos.
VARIANTS = {
  'tiny': size(128, 96, encoder=(2, 4, 512), decoder=(2, 4, 384)),
  'S': size(384, 192, encoder=(12, 6, 1536), decoder=(4, 3, 768)),
  'B': size(768, 384, encoder=(12, 12, 3072), decoder=(4, 6, 1536)),
  'L': size(1024, 512, encoder=(24, 16, 4096), decoder=(4, 8, 2048)),
  'H': size(1280, 640, encoder=(32, 16, 5120), decoder=(4, 8, 2560)),
  'g': size(1408, 512, encoder=(40, 16, 6144), decoder=(4, 8, 2048)),
}


# Fields with a fixed choice.
_CHOICES = {
  'space_time': ('joint', 'divided', 'per_frame'),
  'rebuild': ('hidden', 'all'),
  'activation': tuple(ACTIVATIONS),
}


class VideoMAE(SeesTubelets, nn.Module):
  """Encodes the visible tubelets of a clip and rebuilds hidden ones.

  Inside, tokens are [B, G, P+L, D]: G groups that only divided attention
  connects (1 if attention is joint, else one a time slot), P prefix tokens.

  Attributes:
    width, encoder_*: the ViT that sees visible tokens alone.
    decoder_*: the ViT that sees mask tokens besides.
    space_time: 'joint', all tokens of a clip attend to each other; 'divided',
      see `layers.divided`; 'per_frame', those of a time slot only.
    patch_size, tubelet_size: a token is so many pixels wide and frames long;
      VideoMAE's are 16 and 2.
    num_prefix_tokens: 1 puts a CLS token before the grid; 0 does not.
    position, position_base, learned_grid: see `layers.positions.ClipPositions`.
    key_bias: whether keys have a bias, as queries and values have.
    encoder_norm: whether a norm ends the encoder; a classifier brings its own.
    embedding_bias: of the linear map from encoder to decoder.
    activation: of the MLPs, see `layers.transformer.ACTIVATIONS`.
    norm_eps: added to variances by the norms of encoder and decoder.
    decoder_norm_eps: by the norm that ends the decoder, if not `norm_eps`.
    pixel_mean, pixel_std: for each colour; `(pixels - mean) / std` is encoded.
    rebuild: 'hidden' predicts hidden tokens, 'all' visible ones too.
    others: see `models.frame_encoder.FrameEncoder`.
  """

  width: int
  encoder_blocks: int
  encoder_heads: int
  encoder_mlp_dim: int
  decoder_width: int
  decoder_blocks: int
  decoder_heads: int
  decoder_mlp_dim: int
  space_time: str = 'joint'
  patch_size: int = 16
  tubelet_size: int = 1
  num_prefix_tokens: int = 0
  position: str = 'sincos_1d'
  position_base: float = 1e4
  learned_grid: tuple[int, int, int] = (8, 14, 14)
  key_bias: bool = False
  encoder_norm: bool = True
  embedding_bias: bool = False
  activation: str = 'gelu'
  norm_eps: float = NORM_EPS
  decoder_norm_eps: float | None = None
  pixel_mean: tuple[float, ...] = (0.485, 0.456, 0.406)
  pixel_std: tuple[float, ...] = (0.229, 0.224, 0.225)
  rebuild: str = 'hidden'
  dtype: jnp.dtype = jnp.float32
  attention: str = 'auto'
  remat: str = 'none'
  scan_layers: bool = False
  drop_path: float = 0.0

  def setup(self):
    for field, known in _CHOICES.items():
      if getattr(self, field) not in known:
        raise ValueError(
          f'Unknown {field} {getattr(self, field)!r}; use one of {known}.'
        )
    positions = functools.partial(
      ClipPositions,
      self.position,
      num_prefix=self.num_prefix_tokens,
      per_frame=self.space_time == 'per_frame',
      base=self.position_base,
      learned_grid=self.learned_grid,
    )
    block = SelfAttentionBlock
    if self.space_time == 'divided':
      block = functools.partial(DividedBlock, num_prefix=self.num_prefix_tokens)
    encoder = functools.partial(
      Encoder,
      dtype=self.dtype,
      attention=self.attention,
      remat=self.remat,
      scan=self.scan_layers,
      key_bias=self.key_bias,
      activation=self.activation,
      norm_eps=self.norm_eps,
      block=block,
    )
    self.patch_embedding = patches.PatchEmbedding(self.width, self.dtype)
    if self.num_prefix_tokens:
      self.cls_token = self.param(
        'cls_token',
        nn.initializers.normal(0.02),
        (self.num_prefix_tokens, self.width),
      )
    self.positions = positions(self.width)
    self.encoder = encoder(
      self.encoder_blocks,
      self.encoder_heads,
      self.encoder_mlp_dim,
      final_norm=self.encoder_norm,
      drop_path=self.drop_path,
    )
    self.decoder = PixelDecoder(
      self.decoder_width,
      self.patch_pixels,
      positions,
      functools.partial(
        encoder,
        self.decoder_blocks,
        self.decoder_heads,
        self.decoder_mlp_dim,
        final_norm_eps=self.decoder_norm_eps,
      ),
      self.num_prefix_tokens,
      self.embedding_bias,
      self.rebuild,
      self.dtype,
    )

  @property
  def needs_mask(self) -> MaskLayout:
    """What `masking.check_mask` asks of masks for this model."""
    slots = {
      'joint': Slots.ANY,
      'divided': Slots.TUBE,
      'per_frame': Slots.EVEN,
    }[self.space_time]
    return MaskLayout(slots=slots)

  def __call__(
    self, batch: Mapping[str, jax.Array], *, train: bool = False
  ) -> dict[str, jax.Array]:
    """Encodes what is visible and rebuilds what is not.

    Args:
      batch: `video` [B, T, H, W, 3], uint8 or floats in [0, 1]; `ids_keep`
        [B, K] and `ids_mask` [B, M], places in the flattened grid (t, h, w).
        Unless attention is joint, each time slot has the same number of them.
      train: whether `drop_path` is on.

    Returns:
      `pred` [B, M, z*p*p*3] float32, in the order of
      `layers.patches.patchify_clip`; `pred_ids` [B, M], the tokens that it
      stands for (with `rebuild` 'all', visible ones besides); `features`
      [B, G, P+K/G, D] of the visible tokens.

    Raises:
      ValueError: tubelets do not tile the clip, or the mask's shape is wrong.
    """
    video, ids_keep, ids_mask = (
      batch[key] for key in ('video', 'ids_keep', 'ids_mask')
    )
    grid = self.clip_grid(video.shape)
    pixels = patches.patchify_clip(video, self.patch_size, self.tubelet_size)
    for ids in (ids_keep, ids_mask):
      self._check_count(ids.shape[-1], grid)
    features = self._encode(
      patches.take_tokens(pixels, ids_keep), grid, ids_keep, train=train
    )
    pred, pred_ids = self.decoder(features, grid, ids_keep, ids_mask)
    return {'pred': pred, 'pred_ids': pred_ids, 'features': features}

  def encode(self, video: jax.Array, *, train: bool = False) -> jax.Array:
    """Features of a whole clip: [B, T, H, W, 3] -> [B, t, P+h*w, D] float32.

    CLS first, if any; where the clip has but one, each time slot has a copy.
    """
    grid = self.clip_grid(video.shape)
    pixels = patches.patchify_clip(video, self.patch_size, self.tubelet_size)
    tokens = self._encode(pixels, grid, train=train).astype(jnp.float32)
    prefix, tokens = jnp.split(tokens, [self.num_prefix_tokens], axis=2)
    # [B, G, t*h*w/G, D] -> [B, t, h*w, D]
    tokens = tokens.reshape(video.shape[0], grid[0], -1, self.width)
    prefix = jnp.broadcast_to(
      prefix, (video.shape[0], grid[0], *prefix.shape[2:])
    )
    return jnp.concatenate([prefix, tokens], axis=2)

  def flops_per_clip(self, spec: Mapping[str, Any]) -> dict[str, int]:
    """Forward FLOPs of one clip by part; `flops.training` adds the backward.

    Args:
      spec: shapes by key, as `__call__` takes them; without `ids_keep` the
        count is that of `encode`.
    """
    grid = self.clip_grid(spec['video'].shape)
    num_tokens = grid[0] * grid[1] * grid[2]
    num_visible = num_tokens
    if 'ids_keep' in spec:
      num_visible = spec['ids_keep'].shape[-1]
    groups = self._num_groups(grid)

    def encoder(num_blocks, num_tokens, width, mlp_dim):
      length = num_tokens // groups
      block = groups * flops.self_attention_block(
        self.num_prefix_tokens + length, width, mlp_dim
      )
      if self.space_time == 'divided':
        block += length * flops.self_attention(groups, width)
        block += flops.dense(num_tokens, width, width)
      return num_blocks * block

    count = {
      'patch_embedding': flops.dense(
        num_visible, self.patch_pixels, self.width
      ),
      'encoder': encoder(
        self.encoder_blocks, num_visible, self.width, self.encoder_mlp_dim
      ),
    }
    if 'ids_keep' not in spec:
      return count
    num_hidden = spec['ids_mask'].shape[-1]
    num_rebuilt = num_hidden + (self.rebuild == 'all') * num_visible
    wide = self.decoder_width
    count['decoder'] = flops.dense(
      num_visible + groups * self.num_prefix_tokens, self.width, wide
    ) + encoder(
      self.decoder_blocks,
      num_visible + num_hidden,
      wide,
      self.decoder_mlp_dim,
    )
    count['output'] = flops.dense(num_rebuilt, wide, self.patch_pixels)
    return count

  def _num_groups(self, grid: tuple[int, int, int]) -> int:
    return 1 if self.space_time == 'joint' else grid[0]

  def _encode(
    self,
    pixels: jax.Array,
    grid: tuple[int, int, int],
    ids: jax.Array | None = None,
    *,
    train: bool = False,
  ) -> jax.Array:
    """Tubelets [B, K, z*p*p*3] at places `ids` -> [B, G, P+K/G, D]."""
    prefix, table = self.positions(grid)
    tokens = self.embed_tubelets(pixels, table, ids)
    # [B, K, D] -> [B, G, K/G, D]
    tokens = tokens.reshape(
      pixels.shape[0], self._num_groups(grid), -1, self.width
    )
    if self.num_prefix_tokens:
      prefix = (self.cls_token + prefix).astype(self.dtype)
      prefix = jnp.broadcast_to(prefix, (*tokens.shape[:2], *prefix.shape))
      tokens = jnp.concatenate([prefix, tokens], axis=2)
    return self.encoder(tokens, train=train)

  def _check_count(self, count: int, grid: tuple[int, int, int]) -> None:
    if count % self._num_groups(grid):
      raise ValueError(
        f'{count} visible or hidden tokens are not the same number in each of '
        f'{grid[0]} time slots, which space_time={self.space_time!r} needs; '
        'use a mask that draws slot by slot, such as tube.'
      )


build_videomae = builder(VideoMAE, VARIANTS, usual='B')
