"""What RVM and R-VMAE share: a ViT on frames, a core over time, a decoder."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from rvmae_jax.layers import patches, positions
from rvmae_jax.layers.attention import Heads, heads_width
from rvmae_jax.layers.recurrence import CORES
from rvmae_jax.layers.transformer import CrossEncoder
from rvmae_jax.models import flops
from rvmae_jax.models.frame_encoder import FrameEncoder
from rvmae_jax.models.variants import size

_POSITIONS = ('flat', 'sincos_2d')


# Of all sizes of RVM's paper.
_DECODER = (8, 16, 2048)
# Sizes S to H are those of RVM's paper; `tiny` is for debugging and the quick
# start.
VARIANTS = {
  'tiny': size(
    128, 128, encoder=(2, 4, 512), core=(1, 4, 512), decoder=(2, 4, 512)
  ),
  'S': size(
    384, 512, encoder=(12, 6, 1536), core=(4, 8, 2048), decoder=_DECODER
  ),
  'B': size(
    768, 512, encoder=(12, 12, 3072), core=(4, 12, 3072), decoder=_DECODER
  ),
  'L': size(
    1024, 512, encoder=(24, 16, 4096), core=(4, 16, 4096), decoder=_DECODER
  ),
  'H': size(
    1280, 512, encoder=(32, 16, 5120), core=(4, 16, 5120), decoder=_DECODER
  ),
}


class RecurrentAutoencoder(FrameEncoder):
  """Encodes each frame by itself and runs a core over time.

  Subclasses define what is rebuilt, and from what.

  Attributes:
    core_*: the transformer core.
    core_kind: a key of `layers.recurrence.CORES`; 'gated' is RVM's, the others
      are there to compare.
    decoder_*: the cross-attention decoder.
    position: 'flat' is RVM's own table; 'sincos_2d' suits small grids, where
      the flat table tells neighbours apart only weakly.
    position_base: base of `sincos_2d`.
    position_grid: grid that `sincos_2d` is made for, and resized from where a
      frame has another; () makes it for each grid anew.
    output_scale: factor on the initial kernel of the output layer.
    output_bias: its initial bias (0.5 is mid-grey).
    core_remat: `remat` of a recurrent core (see `layers.recurrence.Core`).
    time_unroll: frames in one iteration of the scan over time.
    others: see `FrameEncoder`; the state is float32 as well.
  """

  core_blocks: int
  core_heads: Heads
  core_mlp_dim: int
  decoder_width: int
  decoder_blocks: int
  decoder_heads: Heads
  decoder_mlp_dim: int
  core_kind: str = 'gated'
  position: str = 'flat'
  position_base: float = 1e4
  position_grid: tuple[int, ...] = ()
  output_scale: float = 1.0
  output_bias: float = 0.0
  core_remat: str = 'full'
  time_unroll: int = 1

  # Whether each group of the decoder's queries sees only its own and earlier
  # parts of the context. Subclasses that offer this make it a field.
  causal = False

  def setup(self):
    for field, known in (
      ('position', _POSITIONS),
      ('core_kind', tuple(CORES)),
    ):
      if getattr(self, field) not in known:
        raise ValueError(
          f'Unknown {field} {getattr(self, field)!r}; use one of {known}.'
        )
    super().setup()
    shared = {'dtype': self.dtype, 'attention': self.attention}
    self.core = CORES[self.core_kind](
      self.core_blocks,
      self.core_heads,
      self.core_mlp_dim,
      self.width,
      remat=self.core_remat if self.is_recurrent else self.remat,
      scan_layers=self.scan_layers,
      **shared,
    )
    self.decoder_embedding = nn.Dense(self.decoder_width, dtype=self.dtype)
    self.decoder = CrossEncoder(
      self.decoder_blocks,
      self.decoder_heads,
      self.decoder_mlp_dim,
      remat=self.remat,
      scan=self.scan_layers,
      causal=self.causal,
      **shared,
    )
    self.output = nn.Dense(
      self.patch_pixels,
      dtype=jnp.float32,
      kernel_init=nn.initializers.variance_scaling(
        self.output_scale**2, 'fan_in', 'truncated_normal'
      ),
      bias_init=nn.initializers.constant(self.output_bias),
    )

  @property
  def is_recurrent(self) -> bool:
    """Whether the core carries a state, so that it can take a stream."""
    return self.core_kind != 'attention'

  def encode(self, video: jax.Array, *, train: bool = False) -> jax.Array:
    """Features of every frame: [B, T, H, W, 3] -> [B, T, 1+N, D] float32.

    CLS first. A frame's features depend on it and on earlier frames only.
    """
    tokens = self.encode_frames(video, train=train)
    return self.core.run(tokens, self.time_unroll)[0]

  def encode_from(
    self, state: jax.Array, video: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    """Goes on with a video: `encode` in parts of any length.

    Args:
      state: [B, 1+N, D] from `init_state` or the part before.
      video: the next frames, [B, T, H, W, 3].

    Returns:
      Their features [B, T, 1+N, D] and the state after them, float32.

    Raises:
      ValueError: the core carries no state.
    """
    self._check_streams()
    tokens = self.encode_frames(video)
    return self.core.run(tokens, self.time_unroll, state)[:2]

  def init_state(self, batch_size: int, height: int, width: int) -> jax.Array:
    """The state before the first frame: zeros [B, 1+N, D] float32.

    Raises:
      ValueError: the core carries no state.
    """
    self._check_streams()
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

    Raises:
      ValueError: the core carries no state.
    """
    self._check_streams()
    tokens = self.encode_frames(frame[:, None])[:, 0]
    state, (features, _) = self.core(
      state, (tokens, self.core.project_input(tokens))
    )
    return state, features

  def _check_streams(self) -> None:
    if not self.is_recurrent:
      raise ValueError(
        "core_kind='attention' carries no state from frame to frame, so it "
        'cannot take a stream; use `encode` on clips, or another core_kind.'
      )

  def encoder_positions(self, grid: tuple[int, int]) -> jax.Array:
    """The encoder's table of places, [N, D]."""
    if self.position == 'sincos_2d':
      made_for = tuple(self.position_grid) or grid
      table = positions.sincos_2d(made_for, self.width, self.position_base)
      table = positions.resize_table(table, made_for, grid)
    else:
      table = positions.resized_sincos(grid, self.width)
    return jnp.asarray(table, self.dtype)

  def decoder_positions(self, grid: tuple[int, int]) -> jax.Array:
    """The decoder's table of places, [N, W]."""
    if self.position == 'sincos_2d':
      table = positions.sincos_2d(grid, self.decoder_width, self.position_base)
    else:
      table = positions.sincos_1d(grid[0] * grid[1], self.decoder_width)
    return jnp.asarray(table, self.dtype)

  def encoding_flops(self, video: Any) -> dict[str, int]:
    """Forward FLOPs of `encode` by part, for one clip shaped like `video`."""
    _, num_frames, height, width, _ = video.shape
    h, w = patches.patch_grid(height, width, self.patch_size)
    return {
      'patch_embedding': num_frames * self.embedding_flops(h * w),
      'encoder': num_frames * self.encoder_flops(1 + h * w),
      'core': self.core_flops(num_frames, 1 + h * w),
    }

  def core_flops(self, num_frames: int, num_tokens: int) -> int:
    """Of the core over a clip."""
    inner = heads_width(self.width, self.core_heads)
    if self.core_kind == 'attention':
      return self.core_blocks * flops.self_attention_block(
        num_frames * num_tokens, self.width, self.core_mlp_dim, inner
      )
    step = flops.cross_keys_values(
      num_tokens, self.core_blocks, self.width, inner
    ) + self.core_blocks * flops.cross_attention_block(
      num_tokens, num_tokens, self.width, self.core_mlp_dim, inner
    )
    if self.core_kind != 'ungated':
      step += 2 * flops.dense(num_tokens, self.width, 2 * self.width)
    return num_frames * step

  def decoder_flops(
    self, num_frames: int, num_tokens: int, num_context: int
  ) -> int:
    """Of the decoder's blocks, rebuilding frames from a common context."""
    width = self.decoder_width
    inner = heads_width(width, self.decoder_heads)
    return flops.cross_keys_values(
      num_context, self.decoder_blocks, width, inner
    ) + num_frames * self.decoder_blocks * flops.cross_attention_block(
      num_tokens, num_context, width, self.decoder_mlp_dim, inner
    )
