"""ARVideo: autoregressive pre-training on clusters of tubelets (2405.15160)."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from rvmae_jax.batch import MaskLayout
from rvmae_jax.layers import patches
from rvmae_jax.layers.positions import ClipPositions
from rvmae_jax.layers.transformer import CrossEncoder, Encoder
from rvmae_jax.models import flops, videomae
from rvmae_jax.models.tubelets import SeesTubelets
from rvmae_jax.models.variants import builder

# Sizes are VideoMAE's, those of the decoder too: the paper's own were not seen.
VARIANTS = {size: videomae.VARIANTS[size] for size in ('tiny', 'S', 'B')}


class ARVideo(SeesTubelets, nn.Module):
  """Predicts each cluster of a clip from the clusters before it.

  Which tokens form a cluster, their order and how many of them are seen is the
  mask's to say (`masking.clusters`). In the encoder a token sees its own and
  earlier clusters. The decoder asks for the next cluster by a learned token
  and the places of its tokens, and looks at earlier clusters only: no token
  that it predicts sees another.

  Attributes:
    width, encoder_*: the cluster-causal ViT, otherwise VideoMAE's.
    decoder_*: blocks of cross-attention and MLP.
    patch_size, tubelet_size: a token is so many pixels wide and frames long.
    position, position_base: see `layers.positions.ClipPositions`.
    pixel_mean, pixel_std: for each colour; `(pixels - mean) / std` is encoded.
    drop_path: of the encoder; `encode` alone has it.
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
  patch_size: int = 16
  tubelet_size: int = 2
  position: str = 'sincos_1d'
  position_base: float = 1e4
  pixel_mean: tuple[float, ...] = (0.485, 0.456, 0.406)
  pixel_std: tuple[float, ...] = (0.229, 0.224, 0.225)
  dtype: jnp.dtype = jnp.float32
  attention: str = 'auto'
  remat: str = 'none'
  scan_layers: bool = False
  drop_path: float = 0.0

  num_prefix_tokens = 0
  needs_mask = MaskLayout(in_steps=True)  # See `masking.check_mask`.

  def setup(self):
    shared = {
      'dtype': self.dtype,
      'attention': self.attention,
      'remat': self.remat,
      'scan': self.scan_layers,
    }

    def positions(width):
      return ClipPositions(self.position, width, base=self.position_base)

    self.patch_embedding = patches.PatchEmbedding(self.width, self.dtype)
    self.positions = positions(self.width)
    self.encoder = Encoder(
      self.encoder_blocks,
      self.encoder_heads,
      self.encoder_mlp_dim,
      key_bias=False,
      activation='gelu',
      drop_path=self.drop_path,
      **shared,
    )
    self.decoder_embedding = nn.Dense(self.decoder_width, dtype=self.dtype)
    self.decoder_positions = positions(self.decoder_width)
    self.query_token = patches.LearnedToken(self.decoder_width)
    self.decoder = CrossEncoder(
      self.decoder_blocks,
      self.decoder_heads,
      self.decoder_mlp_dim,
      order=('cross_attention', 'mlp'),
      causal=True,
      **shared,
    )
    self.output = nn.Dense(self.patch_pixels, dtype=jnp.float32)

  def __call__(
    self, batch: Mapping[str, jax.Array], *, train: bool = False
  ) -> dict[str, jax.Array]:
    """Predicts all clusters but the first.

    Args:
      batch: `video` [B, T, H, W, 3], uint8 or floats in [0, 1]; `ids_keep`
        [B, C, K], the tokens seen of clusters 0 to C-1, and `ids_mask`
        [B, C, M], all tokens of clusters 1 to C, as places in the flattened
        grid (t, h, w).
      train: unused; there is no dropout.

    Returns:
      `pred` [B, C, M, z*p*p*3] float32, in the order of
      `layers.patches.patchify_clip`; `pred_ids`, which is `ids_mask`;
      `features` [B, C, K, D] of the tokens seen.

    Raises:
      ValueError: tubelets do not tile the clip, or the mask has no clusters.
    """
    del train
    video, ids_keep, ids_mask = (
      batch[key] for key in ('video', 'ids_keep', 'ids_mask')
    )
    if ids_keep.ndim != 3 or 'target' in batch:
      raise ValueError(
        'ARVideo needs clusters of a clip, ids_keep [B, C, K]; this mask gives '
        f"{list(ids_keep.shape)}. Use data.mask.name='clusters'."
      )
    grid = self.clip_grid(video.shape)
    pixels = patches.patchify_clip(video, self.patch_size, self.tubelet_size)
    batch_size, num_clusters, _ = ids_keep.shape
    seen = ids_keep.reshape(batch_size, -1)  # [B, C, K] -> [B, C*K]
    features = self._encode(
      patches.take_tokens(pixels, seen), grid, seen, num_clusters
    )
    pred = self._decode(features, grid, seen, ids_mask)
    # [B, C*K, D] -> [B, C, K, D]
    features = features.reshape(*ids_keep.shape, self.width)
    return {'pred': pred, 'pred_ids': ids_mask, 'features': features}

  def encode(self, video: jax.Array, *, train: bool = False) -> jax.Array:
    """Features of a whole clip: [B, T, H, W, 3] -> [B, t, h*w, D] float32.

    All tokens see each other, as in fine-tuning: there is no order.
    """
    grid = self.clip_grid(video.shape)
    pixels = patches.patchify_clip(video, self.patch_size, self.tubelet_size)
    features = self._encode(pixels, grid, train=train).astype(jnp.float32)
    # [B, t*h*w, D] -> [B, t, h*w, D]
    return features.reshape(video.shape[0], grid[0], -1, self.width)

  def flops_per_clip(self, spec: Mapping[str, Any]) -> dict[str, int]:
    """Forward FLOPs of one clip by part; `flops.training` adds the backward.

    Of attention it counts what clusters may see, though XLA works out the rest
    as well.

    Args:
      spec: shapes by key, as `__call__` takes them; without `ids_keep` the
        count is that of `encode`.
    """
    t, h, w = self.clip_grid(spec['video'].shape)
    if 'ids_keep' in spec:
      num_clusters, num_seen = spec['ids_keep'].shape[1:]
    else:
      num_clusters, num_seen = 1, t * h * w
    num_tokens = num_clusters * num_seen
    # Pairs of a cluster and itself or an earlier one.
    num_pairs = num_clusters * (num_clusters + 1) // 2
    count = {
      'patch_embedding': flops.dense(num_tokens, self.patch_pixels, self.width),
      'encoder': self.encoder_blocks
      * (
        4 * flops.dense(num_tokens, self.width, self.width)
        + 2 * flops.dense(num_tokens, self.width, self.encoder_mlp_dim)
        + num_pairs * flops.attention(num_seen, num_seen, self.width)
      ),
    }
    if 'ids_keep' not in spec:
      return count
    cluster_size = spec['ids_mask'].shape[-1]
    num_queries, wide = num_clusters * cluster_size, self.decoder_width
    block = (
      2 * flops.dense(num_queries, wide, wide)
      + 2 * flops.dense(num_queries, wide, self.decoder_mlp_dim)
      + num_pairs * flops.attention(cluster_size, num_seen, wide)
    )
    count['decoder'] = (
      flops.dense(num_tokens, self.width, wide)
      + flops.cross_keys_values(num_tokens, self.decoder_blocks, wide, wide)
      + self.decoder_blocks * block
    )
    count['output'] = flops.dense(num_queries, wide, self.patch_pixels)
    return count

  def _encode(
    self,
    pixels: jax.Array,
    grid: tuple[int, int, int],
    ids: jax.Array | None = None,
    num_clusters: int = 1,
    *,
    train: bool = False,
  ) -> jax.Array:
    """Tubelets [B, L, z*p*p*3] at places `ids` -> [B, L, D]."""
    _, table = self.positions(grid)
    tokens = self.embed_tubelets(pixels, table, ids)
    return self.encoder(tokens, num_clusters, train=train)

  def _decode(
    self,
    features: jax.Array,
    grid: tuple[int, int, int],
    seen: jax.Array,
    ids_mask: jax.Array,
  ) -> jax.Array:
    """Features [B, C*K, D] of `seen` tokens -> pixels [B, C, M, z*p*p*3]."""
    table = self.decoder_positions(grid)[1].astype(self.dtype)
    queries = self.query_token()[0].astype(self.dtype) + table[ids_mask]
    context = self.decoder_embedding(features) + table[seen]
    return self.output(self.decoder(queries, context))


build_arvideo = builder(ARVideo, VARIANTS, usual='B')
