"""Attention: one function with an implementation switch, and projections."""

import flax.linen as nn
import jax
import jax.numpy as jnp

IMPLEMENTATIONS = ('auto', 'xla', 'cudnn')


def dot_product_attention(
  query: jax.Array,
  key: jax.Array,
  value: jax.Array,
  *,
  implementation: str = 'auto',
) -> jax.Array:
  """Softmax attention with float32 logits, scaled by 1 / sqrt(head width).

  Args:
    query: [..., Q, heads, d].
    key, value: [..., L, heads, d].
    implementation: 'xla' anywhere; 'cudnn' for flash attention on NVIDIA, any
      token count (see `padded_attention`); 'auto' takes cudnn where it applies.

  Returns:
    [..., Q, heads, d] in the query's dtype.

  Raises:
    ValueError: an unknown implementation.
  """
  if implementation not in IMPLEMENTATIONS:
    raise ValueError(
      f'Unknown attention {implementation!r}; use one of {IMPLEMENTATIONS}.'
    )
  if implementation == 'auto':
    implementation = 'cudnn' if _cudnn_applies(query) else 'xla'
  if query.ndim > 4:
    # Groups are rows of the batch: [..., N, heads, d] -> [B, N, heads, d]
    rows = (x.reshape(-1, *x.shape[-3:]) for x in (query, key, value))
    mixed = dot_product_attention(*rows, implementation=implementation)
    return mixed.reshape(query.shape)
  if implementation == 'cudnn':
    return padded_attention(query, key, value, implementation='cudnn')
  return jax.nn.dot_product_attention(query, key, value, implementation='xla')


def padded_attention(
  query: jax.Array,
  key: jax.Array,
  value: jax.Array,
  *,
  implementation: str,
  multiple: int = 2,
) -> jax.Array:
  """The same attention with token counts padded to a multiple.

  cuDNN's training kernels take even lengths only, and 1 + 256 tokens are odd.
  True lengths are handed over, so padding is never attended to.
  """
  num_queries, num_keys = query.shape[1], key.shape[1]
  if num_queries % multiple == 0 and num_keys % multiple == 0:
    return jax.nn.dot_product_attention(
      query, key, value, implementation=implementation
    )

  def pad(tokens):
    missing = -tokens.shape[1] % multiple
    return jnp.pad(tokens, ((0, 0), (0, missing), (0, 0), (0, 0)))

  batch_size = query.shape[0]
  out = jax.nn.dot_product_attention(
    pad(query),
    pad(key),
    pad(value),
    query_seq_lengths=jnp.full((batch_size,), num_queries, jnp.int32),
    key_value_seq_lengths=jnp.full((batch_size,), num_keys, jnp.int32),
    implementation=implementation,
  )
  return out[:, :num_queries]


def _cudnn_applies(query: jax.Array) -> bool:
  """Flash attention wants an NVIDIA GPU, 16-bit floats and small heads."""
  head_width = query.shape[-1]
  return (
    jax.default_backend() == 'gpu'
    and 'cuda' in jax.devices()[0].client.platform_version.lower()
    and query.dtype in (jnp.bfloat16, jnp.float16)
    and head_width % 8 == 0
    and head_width <= 128
  )


class SelfAttention(nn.Module):
  """Multi-head self-attention; query, key and value in one projection.

  [..., N, D] -> [..., N, D]. Without `key_bias` the other two biases remain, as
  VideoMAE has it; softmax takes no notice of a bias that all keys share.
  """

  num_heads: int
  dtype: jnp.dtype = jnp.float32
  attention: str = 'auto'
  key_bias: bool = True

  @nn.compact
  def __call__(self, tokens: jax.Array) -> jax.Array:
    width = tokens.shape[-1]
    head_width = head_width_of(width, self.num_heads)
    qkv = nn.DenseGeneral(
      (3, self.num_heads, head_width),
      use_bias=self.key_bias,
      dtype=self.dtype,
      name='qkv',
    )(tokens)
    query, key, value = (qkv[..., i, :, :] for i in range(3))
    if not self.key_bias:
      biases = self.param(
        'qv_bias', nn.initializers.zeros, (2, self.num_heads, head_width)
      )
      query += biases[0].astype(self.dtype)
      value += biases[1].astype(self.dtype)
    mixed = dot_product_attention(
      query, key, value, implementation=self.attention
    )
    return nn.DenseGeneral(width, axis=(-2, -1), dtype=self.dtype, name='out')(
      mixed
    )


class CrossAttention(nn.Module):
  """Multi-head attention to keys and values that were projected elsewhere.

  [B, Q, D] attending to [B, L, heads, d] -> [B, Q, D].
  """

  num_heads: int
  dtype: jnp.dtype = jnp.float32
  attention: str = 'auto'

  @nn.compact
  def __call__(
    self, tokens: jax.Array, key: jax.Array, value: jax.Array
  ) -> jax.Array:
    width = tokens.shape[-1]
    head_width = head_width_of(width, self.num_heads)
    query = nn.DenseGeneral(
      (self.num_heads, head_width), dtype=self.dtype, name='query'
    )(tokens)
    mixed = dot_product_attention(
      query, key, value, implementation=self.attention
    )
    return nn.DenseGeneral(width, axis=(-2, -1), dtype=self.dtype, name='out')(
      mixed
    )


def head_width_of(width: int, num_heads: int) -> int:
  """Width of one head; ValueError when the heads do not divide the width."""
  if width % num_heads:
    raise ValueError(
      f'{num_heads} heads do not divide width {width}; choose num_heads that '
      'does.'
    )
  return width // num_heads
