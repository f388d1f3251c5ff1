"""Heads of contrastive networks: an MLP with batch norm."""

import flax.linen as nn
import jax
import jax.numpy as jnp


class BatchNorm(nn.Module):
  """Normalises by mean and variance over the first axis; float32 inside.

  The axis is that of the global batch: under `jit` a mean over rows that are
  spread over devices is a mean over all of them. There are no running averages,
  as the layer is for heads that only training uses. Source: arXiv 1502.03167.

  Attributes:
    affine: whether a learned scale and bias follow.
    dtype: of the result.
  """

  affine: bool = True
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, vectors: jax.Array) -> jax.Array:
    values = vectors.astype(jnp.float32)
    values -= values.mean(0)
    values *= jax.lax.rsqrt(jnp.square(values).mean(0) + 1e-5)
    if self.affine:
      width = values.shape[-1:]
      scale = self.param('scale', nn.initializers.ones, width)
      values = values * scale + self.param('bias', nn.initializers.zeros, width)
    return values.astype(self.dtype)


class BatchNormMlp(nn.Module):
  """Dense layers with batch norms, ReLUs between; [B, ..., D] -> [B, ..., C].

  The last batch norm has no scale and bias. Source: MoCo v3 (arXiv 2104.02057).

  Attributes:
    widths: of the layers' outputs, C last.
  """

  widths: tuple[int, ...]
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, vectors: jax.Array) -> jax.Array:
    last = len(self.widths) - 1
    for i, width in enumerate(self.widths):
      dense = nn.Dense(
        width, use_bias=False, dtype=self.dtype, name=f'dense_{i}'
      )
      norm = BatchNorm(affine=i < last, dtype=self.dtype, name=f'norm_{i}')
      vectors = norm(dense(vectors))
      if i < last:
        vectors = nn.relu(vectors)
    return vectors
