"""The decoder of VideoMAE: it rebuilds tubelets from visible ones."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp


class PixelDecoder(nn.Module):
  """Rebuilds tubelets from the features of visible ones and mask tokens.

  Attributes:
    width: W, of its tokens.
    patch_pixels: values in a tubelet.
    positions: makes a `ClipPositions` of a width.
    encoder: makes the stack of blocks.
    others: see `models.videomae.VideoMAE`.
  """

  width: int
  patch_pixels: int
  positions: Callable[..., nn.Module]
  encoder: Callable[..., nn.Module]
  num_prefix_tokens: int
  embedding_bias: bool
  rebuild: str
  dtype: jnp.dtype

  @nn.compact
  def __call__(
    self,
    features: jax.Array,
    grid: tuple[int, int, int],
    ids_keep: jax.Array,
    ids_mask: jax.Array,
  ) -> tuple[jax.Array, jax.Array]:
    """Features [B, G, P+K/G, D] -> `pred` and `pred_ids` of VideoMAE."""
    batch_size, num_groups = features.shape[:2]
    embedding = nn.Dense(
      self.width,
      use_bias=self.embedding_bias,
      dtype=self.dtype,
      name='embedding',
    )
    mask_token = self.param(
      'mask_token', nn.initializers.normal(0.02), (1, self.width)
    )
    prefix_table, table = self.positions(self.width, name='positions')(grid)

    def grouped(tokens):  # [B, L, ...] -> [B, G, L/G, ...]
      return tokens.reshape(batch_size, num_groups, -1, *tokens.shape[2:])

    def positions_at(ids):
      return grouped(table[ids]).astype(self.dtype)

    tokens = embedding(features)
    prefix, visible = jnp.split(tokens, [self.num_prefix_tokens], axis=2)
    prefix += prefix_table.astype(self.dtype)
    visible += positions_at(ids_keep)
    hidden = mask_token.astype(self.dtype) + positions_at(ids_mask)
    tokens = jnp.concatenate([prefix, visible, hidden], axis=2)
    tokens = self.encoder(name='blocks')(tokens)

    ids = grouped(ids_mask)
    if self.rebuild == 'all':
      ids = jnp.concatenate([grouped(ids_keep), ids], axis=2)
    output = nn.Dense(self.patch_pixels, dtype=jnp.float32, name='output')
    pred = output(tokens[:, :, -ids.shape[2] :])
    # [B, G, M/G, z*p*p*3] -> [B, M, z*p*p*3]
    pred = pred.reshape(batch_size, -1, self.patch_pixels)
    return pred, ids.reshape(batch_size, -1)
