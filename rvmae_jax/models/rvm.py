"""RVM: recurrent video masked autoencoder (arXiv 2512.13684)."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from rvmae_jax.layers import patches, positions
from rvmae_jax.layers.recurrence import GatedTransformerCore
from rvmae_jax.layers.transformer import CrossEncoder, Encoder
from rvmae_jax.models import flops
from rvmae_jax.models.variants import build_variant

_PAPER_DECODER = {
  'decoder_width': 512,
  'decoder_blocks': 8,
  'decoder_heads': 16,
  'decoder_mlp_dim': 2048,
}

# Sizes S to H are the paper's; `tiny` is for debugging and the quick start.
VARIANTS = {
  'tiny': {
    'width': 128,
    'encoder_blocks': 2,
    'encoder_heads': 4,
    'encoder_mlp_dim': 512,
    'core_blocks': 1,
    'core_heads': 4,
    'core_mlp_dim': 512,
    'decoder_width': 128,
    'decoder_blocks': 2,
    'decoder_heads': 4,
    'decoder_mlp_dim': 512,
  },
  'S': {
    'width': 384,
    'encoder_blocks': 12,
    'encoder_heads': 6,
    'encoder_mlp_dim': 1536,
    'core_blocks': 4,
    'core_heads': 8,
    'core_mlp_dim': 2048,
    **_PAPER_DECODER,
  },
  'B': {
    'width': 768,
    'encoder_blocks': 12,
    'encoder_heads': 12,
    'encoder_mlp_dim': 3072,
    'core_blocks': 4,
    'core_heads': 12,
    'core_mlp_dim': 3072,
    **_PAPER_DECODER,
  },
  'L': {
    'width': 1024,
    'encoder_blocks': 24,
    'encoder_heads': 16,
    'encoder_mlp_dim': 4096,
    'core_blocks': 4,
    'core_heads': 16,
    'core_mlp_dim': 4096,
    **_PAPER_DECODER,
  },
  'H': {
    'width': 1280,
    'encoder_blocks': 32,
    'encoder_heads': 16,
    'encoder_mlp_dim': 5120,
    'core_blocks': 4,
    'core_heads': 16,
    'core_mlp_dim': 5120,
    **_PAPER_DECODER,
  },
}


def build_rvm(*, variant: str = 'S', **fields) -> 'RVM':
  """An RVM of a named size; `fields` override the size's or add options.

  Raises:
    ValueError: an unknown variant or field; near names are shown.
  """
  return build_variant(RVM, VARIANTS, variant, fields)


class RVM(nn.Module):
  """Encodes each frame, carries a state, rebuilds hidden future frames.

  Attributes:
    width, encoder_*: the ViT shared by source and target frames.
    core_*: the gated transformer core.
    decoder_*: the cross-attention decoder.
    patch_size: pixels; any that divides the frame.
    max_delta: exclusive bound of `target_delta`.
    position: 'flat' is RVM's own table; 'sincos_2d' suits small grids, where
      the flat table tells neighbours apart only weakly.
    position_base: base of `sincos_2d`.
    output_scale: factor on the initial kernel of the output layer.
    output_bias: its initial bias (0.5 is mid-grey).
    dtype: of the computation; parameters, norms, softmax and state are float32.
    attention: see `layers.attention.dot_product_attention`.
    remat: see `layers.transformer.REMAT_POLICIES`.
    scan_layers: compile one block instead of all.
    time_unroll: frames in one iteration of the scan over time.
  """

  width: int
  encoder_blocks: int
  encoder_heads: int
  encoder_mlp_dim: int
  core_blocks: int
  core_heads: int
  core_mlp_dim: int
  decoder_width: int
  decoder_blocks: int
  decoder_heads: int
  decoder_mlp_dim: int
  patch_size: int = 16
  max_delta: int = 64
  position: str = 'flat'
  position_base: float = 1e4
  output_scale: float = 1.0
  output_bias: float = 0.0
  dtype: jnp.dtype = jnp.float32
  attention: str = 'auto'
  remat: str = 'none'
  scan_layers: bool = False
  time_unroll: int = 1

  # Tokens that come before the grid in features: the CLS token.
  num_prefix_tokens = 1

  def setup(self):
    if self.position not in ('flat', 'sincos_2d'):
      raise ValueError(
        f"Unknown position {self.position!r}; use 'flat' or 'sincos_2d'."
      )
    shared = {
      'dtype': self.dtype,
      'attention': self.attention,
      'remat': self.remat,
    }
    self.patch_embedding = patches.PatchEmbedding(self.width, self.dtype)
    self.cls_token = patches.LearnedToken(self.width)
    self.encoder = Encoder(
      self.encoder_blocks,
      self.encoder_heads,
      self.encoder_mlp_dim,
      scan=self.scan_layers,
      **shared,
    )
    self.core = GatedTransformerCore(
      self.core_blocks,
      self.core_heads,
      self.core_mlp_dim,
      self.width,
      scan_layers=self.scan_layers,
      **shared,
    )
    self.decoder_embedding = nn.Dense(self.decoder_width, dtype=self.dtype)
    self.delta_embedding = nn.Dense(self.decoder_width, dtype=self.dtype)
    self.mask_token = patches.LearnedToken(self.decoder_width)
    self.decoder = CrossEncoder(
      self.decoder_blocks,
      self.decoder_heads,
      self.decoder_mlp_dim,
      scan=self.scan_layers,
      **shared,
    )
    self.output = nn.Dense(
      self.patch_size**2 * 3,
      dtype=jnp.float32,
      kernel_init=nn.initializers.variance_scaling(
        self.output_scale**2, 'fan_in', 'truncated_normal'
      ),
      bias_init=nn.initializers.constant(self.output_bias),
    )

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
    features, state, stats = self._run_core(self.encode_frames(batch['video']))
    pred = self._decode(
      features, batch['target'], batch['target_delta'], batch['ids_keep']
    )
    return {
      'pred': pred,
      'features': features,
      'state': state,
      'stats': stats,
    }

  def encode(self, video: jax.Array, *, train: bool = False) -> jax.Array:
    """Features of every frame: [B, T, H, W, 3] -> [B, T, 1+N, D] float32.

    CLS first. A frame's features depend on it and on earlier frames only.
    """
    del train
    return self._run_core(self.encode_frames(video))[0]

  def encode_frames(self, video: jax.Array) -> jax.Array:
    """The ViT alone, frame by frame: [B, T, H, W, 3] -> [B, T, 1+N, D]."""
    batch_size, num_frames, height, width, _ = video.shape
    grid = patches.patch_grid(height, width, self.patch_size)
    tokens = self._embed_patches(patches.patchify(video, self.patch_size))
    tokens += self._encoder_positions(grid)
    # [B, T, N, D] -> [B*T, N, D]
    tokens = tokens.reshape(batch_size * num_frames, -1, self.width)
    tokens = self.encoder(self._prepend_cls(tokens))
    # [B*T, 1+N, D] -> [B, T, 1+N, D]
    return tokens.reshape(batch_size, num_frames, -1, self.width)

  def init_state(self, batch_size: int, height: int, width: int) -> jax.Array:
    """The state before the first frame: zeros [B, 1+N, D] float32."""
    h, w = patches.patch_grid(height, width, self.patch_size)
    return jnp.zeros((batch_size, 1 + h * w, self.width), jnp.float32)

  def step(
    self, state: jax.Array, frame: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    """One frame of a stream; equal to `encode` up to that frame.

    Args:
      state: [B, 1+N, D] from `init_state` or the step before.
      frame: [B, H, W, 3].

    Returns:
      The new state and the frame's features, [B, 1+N, D] both.
    """
    tokens = self.encode_frames(frame[:, None])[:, 0]
    state, (features, _) = self.core(
      state, (tokens, self.core.project_input(tokens))
    )
    return state, features

  def flops_per_clip(self, spec: Mapping[str, Any]) -> dict[str, int]:
    """Forward FLOPs of one clip by part; `flops.training` adds the backward.

    Args:
      spec: shapes by key, as `__call__` takes them; without `target` the count
        is that of `encode`.
    """
    _, num_frames, height, width, _ = spec['video'].shape
    h, w = patches.patch_grid(height, width, self.patch_size)
    num_patches, pixels = h * w, self.patch_size**2 * 3
    num_tokens = self.num_prefix_tokens + num_patches

    def encoder(num_tokens):
      return self.encoder_blocks * flops.self_attention_block(
        num_tokens, self.width, self.encoder_mlp_dim
      )

    core_step = (
      2 * flops.dense(num_tokens, self.width, 2 * self.width)
      + flops.cross_keys_values(
        num_tokens, self.core_blocks, self.width, self.width
      )
      + self.core_blocks
      * flops.cross_attention_block(
        num_tokens, num_tokens, self.width, self.core_mlp_dim
      )
    )
    count = {
      'patch_embedding': num_frames
      * flops.dense(num_patches, pixels, self.width),
      'source_encoder': num_frames * encoder(num_tokens),
      'core': num_frames * core_step,
    }
    if 'target' not in spec:
      return count

    num_targets = spec['target'].shape[1]
    num_visible = spec['ids_keep'].shape[-1]
    num_context = num_frames * num_tokens
    wide = self.decoder_width
    count['patch_embedding'] += num_targets * flops.dense(
      num_visible, pixels, self.width
    )
    count['target_encoder'] = num_targets * encoder(1 + num_visible)
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
    count['output'] = num_targets * flops.dense(num_patches, wide, pixels)
    return count

  def _embed_patches(self, pixels: jax.Array) -> jax.Array:
    return self.patch_embedding(
      patches.to_unit_float(pixels).astype(self.dtype)
    )

  def _prepend_cls(self, tokens: jax.Array) -> jax.Array:
    cls = jnp.broadcast_to(
      self.cls_token().astype(self.dtype), (len(tokens), 1, self.width)
    )
    return jnp.concatenate([cls, tokens], axis=1)

  def _encoder_positions(self, grid: tuple[int, int]) -> jax.Array:
    if self.position == 'sincos_2d':
      table = positions.sincos_2d(grid, self.width, self.position_base)
    else:
      table = positions.resized_sincos(grid, self.width)
    return jnp.asarray(table, self.dtype)

  def _decoder_positions(self, grid: tuple[int, int]) -> jax.Array:
    if self.position == 'sincos_2d':
      table = positions.sincos_2d(grid, self.decoder_width, self.position_base)
    else:
      table = positions.sincos_1d(grid[0] * grid[1], self.decoder_width)
    return jnp.asarray(table, self.dtype)

  def _run_core(
    self, tokens: jax.Array
  ) -> tuple[jax.Array, jax.Array, dict[str, jax.Array]]:
    """Scans the core over time; [B, T, 1+N, D] -> features, state, stats."""
    state = jnp.zeros(tokens.shape[:1] + tokens.shape[2:], jnp.float32)
    scan = nn.scan(
      lambda core, state, inputs: core(state, inputs),
      variable_broadcast='params',
      split_rngs={'params': False},
      in_axes=1,
      out_axes=1,
      unroll=self.time_unroll,
    )
    state, (features, stats) = scan(
      self.core, state, (tokens, self.core.project_input(tokens))
    )
    return features, state, stats

  def _decode(
    self,
    features: jax.Array,
    target: jax.Array,
    delta: jax.Array,
    ids_keep: jax.Array,
  ) -> jax.Array:
    """Rebuilds target frames from all source features; -> [B, S, N, p*p*3]."""
    batch_size, num_targets, height, width, _ = target.shape
    grid = patches.patch_grid(height, width, self.patch_size)
    num_tokens = grid[0] * grid[1]

    # Visible patches alone are embedded and encoded, each frame by itself.
    pixels = patches.patchify(target, self.patch_size)
    visible = self._embed_patches(patches.take_tokens(pixels, ids_keep))
    visible += self._encoder_positions(grid)[ids_keep]
    # [B, S, K, D] -> [B*S, K, D]
    visible = visible.reshape(batch_size * num_targets, -1, self.width)
    visible = self.encoder(self._prepend_cls(visible))
    # [B*S, 1+K, D] -> [B, S, 1+K, D]
    visible = visible.reshape(batch_size, num_targets, -1, self.width)

    # Queries: CLS, then the grid with the mask token at hidden places.
    visible = self.decoder_embedding(visible)
    cls, visible = visible[:, :, :1], visible[:, :, 1:]
    tokens = patches.put_back(
      visible, ids_keep, self.mask_token()[0].astype(self.dtype), num_tokens
    )
    one_hot_delta = jax.nn.one_hot(delta, self.max_delta, dtype=self.dtype)
    tokens += self.delta_embedding(one_hot_delta)[:, :, None]
    tokens += self._decoder_positions(grid)
    queries = jnp.concatenate([cls, tokens], axis=2)  # [B, S, 1+N, W]

    # [B, T, 1+N, D] -> [B, T*(1+N), D]: every frame's state is context.
    context = features.astype(self.dtype)
    context = context.reshape(batch_size, -1, self.width)
    decoded = self.decoder(queries, self.decoder_embedding(context))
    return self.output(decoded[:, :, 1:])
