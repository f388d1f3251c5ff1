"""What networks share that see frames one by one: a ViT on each."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from rvmae_jax.layers import patches
from rvmae_jax.layers.attention import Heads, heads_width
from rvmae_jax.layers.transformer import Encoder
from rvmae_jax.models import flops


class FrameEncoder(nn.Module, kw_only=True):
  """A ViT with a CLS token that encodes each frame by itself.

  Subclasses define `encoder_positions`, the table of position embeddings.

  Attributes:
    width, encoder_*: the ViT on frames.
    patch_size: pixels; any that divides the frame.
    dtype: of the computation; parameters, norms and softmax are float32.
    attention: see `layers.attention.dot_product_attention`.
    remat: see `layers.transformer.REMAT_POLICIES`.
    scan_layers: compile one block instead of all.
    drop_path: of the encoder, see `layers.transformer.Encoder`; `encode` and
      `encode_frames` alone have it, each frame for itself.
  """

  width: int
  encoder_blocks: int
  encoder_heads: Heads
  encoder_mlp_dim: int
  patch_size: int = 16
  dtype: jnp.dtype = jnp.float32
  attention: str = 'auto'
  remat: str = 'none'
  scan_layers: bool = False
  drop_path: float = 0.0

  # Tokens that come before the grid in features: the CLS token.
  num_prefix_tokens = 1

  def setup(self):
    self.patch_embedding = patches.PatchEmbedding(self.width, self.dtype)
    self.cls_token = patches.LearnedToken(self.width)
    self.encoder = Encoder(
      self.encoder_blocks,
      self.encoder_heads,
      self.encoder_mlp_dim,
      dtype=self.dtype,
      attention=self.attention,
      remat=self.remat,
      scan=self.scan_layers,
      drop_path=self.drop_path,
    )

  @property
  def patch_pixels(self) -> int:
    """Values in a patch."""
    return self.patch_size**2 * 3

  def patch_grid(self, shape: tuple[int, ...]) -> tuple[int, int]:
    """The grid (h, w) of patches of frames of a shape [..., H, W, 3]."""
    return patches.patch_grid(*shape[-3:-1], self.patch_size)

  def encode_frames(
    self, video: jax.Array, *, train: bool = False
  ) -> jax.Array:
    """The ViT alone, frame by frame: [B, T, H, W, 3] -> [B, T, 1+N, D]."""
    pixels = patches.patchify(video, self.patch_size)
    grid = self.patch_grid(video.shape)
    return self.encode_patches(pixels, grid, train=train)

  def encode_patches(
    self,
    pixels: jax.Array,
    grid: tuple[int, int],
    ids: jax.Array | None = None,
    *,
    train: bool = False,
  ) -> jax.Array:
    """Encodes patches of frames: [B, T, K, p*p*3] -> [B, T, 1+K, D].

    Args:
      pixels: of patches, uint8 or floats in [0, 1].
      grid: (h, w) of a frame.
      ids: [B, T, K], their places in the grid; without it they are all, in
        order.
      train: whether `drop_path` is on.
    """
    tokens = self.encoder(self._tokens(pixels, grid, ids), train=train)
    # [B*T, 1+K, D] -> [B, T, 1+K, D]
    return tokens.reshape(*pixels.shape[:2], -1, self.width)

  def encode_pair(
    self, video: jax.Array, target: jax.Array, ids_keep: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    """Whole frames, and the visible patches of others, each frame by itself.

    The same as `encode_frames` and `encode_patches`, in one pass over the
    blocks (see `layers.transformer.BlockStack`).

    Args:
      video: [B, T, H, W, 3].
      target: [B, S, H, W, 3].
      ids_keep: [B, S, K], places of the visible patches in the grid.

    Returns:
      [B, T, 1+N, D] and [B, S, 1+K, D].
    """
    pixels = patches.patchify(video, self.patch_size)
    visible = patches.take_tokens(
      patches.patchify(target, self.patch_size), ids_keep
    )
    whole, parts = self.encoder(
      (
        self._tokens(pixels, self.patch_grid(video.shape)),
        self._tokens(visible, self.patch_grid(target.shape), ids_keep),
      )
    )
    # [B*T, 1+N, D] -> [B, T, 1+N, D]
    return (
      whole.reshape(*video.shape[:2], -1, self.width),
      parts.reshape(*target.shape[:2], -1, self.width),
    )

  def _tokens(
    self,
    pixels: jax.Array,
    grid: tuple[int, int],
    ids: jax.Array | None = None,
  ) -> jax.Array:
    """Patches as the encoder takes them: [B, T, K, p*p*3] -> [B*T, 1+K, D]."""
    table = self.encoder_positions(grid)
    tokens = self.embed_patches(pixels)
    tokens += table if ids is None else table[ids]
    # [B, T, K, D] -> [B*T, K, D]
    tokens = tokens.reshape(-1, *tokens.shape[2:])
    cls = jnp.broadcast_to(
      self.cls_token().astype(self.dtype), (tokens.shape[0], 1, self.width)
    )
    return jnp.concatenate([cls, tokens], axis=1)

  def embed_patches(self, pixels: jax.Array) -> jax.Array:
    """Pixels of patches as tokens: [..., p*p*3] -> [..., D]."""
    return self.patch_embedding(
      patches.to_unit_float(pixels).astype(self.dtype)
    )

  def embedding_flops(self, num_patches: int) -> int:
    """Of `embed_patches`."""
    return flops.dense(num_patches, self.patch_pixels, self.width)

  def encoder_flops(self, num_tokens: int) -> int:
    """Of the ViT on one frame that shows `num_tokens`, CLS included."""
    return self.encoder_blocks * flops.self_attention_block(
      num_tokens,
      self.width,
      self.encoder_mlp_dim,
      heads_width(self.width, self.encoder_heads),
    )
