"""Attention: one function with an implementation switch, and projections."""

import functools
import math
import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from rvmae_jax.layers.attention_functions import (
  blockwise_attention,
  heads_first_attention,
  headwise_attention,
  named,
  padded_attention,
  plain_attention,
)
from rvmae_jax.layers.pallas_attention import (
  pallas_attention,
  pallas_attention_applies,
)
from rvmae_jax.target_device import target_device

# Number of heads, which split the tokens' width; or (number, width of each).
Heads = int | tuple[int, int]
IMPLEMENTATIONS = (
  *('auto', 'xla', 'blockwise', 'headwise', 'pallas', 'cudnn', 'heads_first'),
)
# What 'auto' means on each platform; on GPUs it depends on the tokens.
BEST_ON = {'cpu': 'blockwise', 'tpu': 'headwise'}


def dot_product_attention(
  query: jax.Array,
  key: jax.Array,
  value: jax.Array,
  *,
  implementation: str = 'auto',
  num_clusters: int = 1,
) -> jax.Array:
  """Softmax attention with float32 logits, scaled by 1 / sqrt(head width).

  Args:
    query: [..., Q, heads, d].
    key, value: [..., L, heads, d].
    implementation: 'xla' anywhere; 'cudnn' for flash attention on NVIDIA, any
      token count (see `padded_attention`); 'blockwise' anywhere, best on CPUs
      (see `blockwise_attention`); 'headwise' anywhere, best on TPUs (see
      `headwise_attention`); 'pallas' for TPUs, which is 'headwise' where
      `pallas_attention_applies` does not hold; 'heads_first' anywhere, for
      programs to export (see `heads_first_attention`); 'auto' takes what suits
      the `target_device`.
    num_clusters: more than one is not for cuDNN; see `cluster_mask`.

  Returns:
    [..., Q, heads, d] in the query's dtype, called `OUTPUT` for policies of
    `remat` where it pays to keep it.

  Raises:
    ValueError: an unknown implementation, or one that cannot mask clusters.
  """
  if implementation not in IMPLEMENTATIONS:
    raise ValueError(
      f'Unknown attention {implementation!r}; use one of {IMPLEMENTATIONS}.'
    )
  if implementation == 'auto':
    implementation = _best(query, num_clusters)
  if implementation == 'cudnn' and num_clusters > 1:
    raise ValueError(
      "attention='cudnn' has no cluster-causal masks; use 'auto' or 'xla'."
    )
  if query.ndim > 4:
    # Groups are rows of the batch: [..., N, heads, d] -> [B, N, heads, d]
    rows = (x.reshape(-1, *x.shape[-3:]) for x in (query, key, value))
    mixed = dot_product_attention(
      *rows, implementation=implementation, num_clusters=num_clusters
    )
    return mixed.reshape(query.shape)
  if implementation == 'cudnn':
    return named(padded_attention(query, key, value, implementation='cudnn'))
  mask = None
  if num_clusters > 1:
    mask = cluster_mask(query.shape[1], key.shape[1], num_clusters)
  if implementation == 'pallas':
    if pallas_attention_applies(query, key, mask):
      return pallas_attention(query, key, value)
    implementation = 'headwise'
  if implementation == 'headwise':
    return headwise_attention(query, key, value, mask)
  if implementation == 'blockwise':
    return blockwise_attention(query, key, value, mask)
  attend = plain_attention
  if implementation == 'heads_first':
    attend = heads_first_attention
  return named(attend(query, key, value, mask))


def cluster_mask(
  num_queries: int, num_keys: int, num_clusters: int
) -> np.ndarray:
  """What a query may see when queries and keys come in clusters, in order.

  Both are cut into `num_clusters` equal parts; queries of part i see the keys
  of parts 0 to i. One part for each token is the usual causal mask.

  Returns:
    [num_queries, num_keys] bool, True where the query sees the key.

  Raises:
    ValueError: clusters do not divide the queries or the keys.
  """
  if num_queries % num_clusters or num_keys % num_clusters:
    raise ValueError(
      f'{num_queries} queries and {num_keys} keys cannot be cut into '
      f'{num_clusters} equal clusters.'
    )
  query_cluster = np.arange(num_queries) // (num_queries // num_clusters)
  key_cluster = np.arange(num_keys) // (num_keys // num_clusters)
  return query_cluster[:, None] >= key_cluster


def _best(query: jax.Array, num_clusters: int) -> str:
  """The implementation that suits the device that is compiled for."""
  device = target_device()
  if device.platform in BEST_ON:
    return BEST_ON[device.platform]
  if num_clusters == 1 and _cudnn_applies(query, device):
    return 'cudnn'
  return 'xla'


def _cudnn_applies(query: jax.Array, device: jax.Device) -> bool:
  """Flash attention wants NVIDIA's Ampere, 16-bit floats and small heads."""
  # '8.0' of an A100; AMD's are no numbers, such as 'gfx942'.
  capability = str(getattr(device, 'compute_capability', ''))
  number = re.fullmatch(r'(\d+)\.\d+', capability)
  head_width = query.shape[-1]
  return (
    number is not None
    and int(number[1]) >= 8
    and query.dtype in (jnp.bfloat16, jnp.float16)
    and head_width % 8 == 0
    and head_width <= 128
  )


class FlatDense(nn.DenseGeneral):
  """`nn.DenseGeneral` whose results a kernel for attention takes as they are.

  Of features (..., heads, d), each of the leading ones has a product of
  matrices to itself. In one product for all of them, the TPU compiler mixes
  their columns, and copies every array on its way into a kernel and out of it.
  """

  def __call__(self, inputs: jax.Array) -> jax.Array:
    """Sums over the last axes of the inputs; [..., *features]."""
    if self.is_initializing():
      return super().__call__(inputs)
    params = self.variables['params']
    features = tuple(np.atleast_1d(self.features))
    rows = inputs.shape[: inputs.ndim - np.size(self.axis)]
    inputs = inputs.reshape(*rows, -1).astype(self.dtype)
    # [inputs, products, outputs of a product]
    kernel = params['kernel'].astype(self.dtype)
    kernel = kernel.reshape(inputs.shape[-1], -1, math.prod(features[-2:]))
    outputs = [inputs @ kernel[:, i] for i in range(kernel.shape[1])]
    if self.use_bias:
      biases = params['bias'].astype(self.dtype).reshape(kernel.shape[1:])
      outputs = [output + bias for output, bias in zip(outputs, biases)]
    outputs = [x.reshape(*rows, 1, *features[-2:]) for x in outputs]
    return jnp.concatenate(outputs, len(rows)).reshape(*rows, *features)


def dense_layer(attention: str) -> type[nn.DenseGeneral]:
  """The layer that projects to heads, and back, for this implementation."""
  return FlatDense if attention == 'pallas' else nn.DenseGeneral


class SelfAttention(nn.Module):
  """Multi-head self-attention; query, key and value in one projection.

  [..., N, D] -> [..., N, D]. Without `key_bias` the other two biases remain, as
  VideoMAE has it; softmax takes no notice of a bias that all keys share. For
  `num_clusters` see `cluster_mask`.
  """

  num_heads: Heads
  dtype: jnp.dtype = jnp.float32
  attention: str = 'auto'
  key_bias: bool = True
  num_clusters: int = 1

  @nn.compact
  def __call__(self, tokens: jax.Array) -> jax.Array:
    width = tokens.shape[-1]
    heads = split_heads(width, self.num_heads)
    dense = functools.partial(dense_layer(self.attention), dtype=self.dtype)
    qkv = dense((3, *heads), use_bias=self.key_bias, name='qkv')(tokens)
    # [..., N, 3, heads, d] -> three times [..., N, heads, d]
    query, key, value = (
      x.squeeze(-3) for x in jax.lax.split(qkv, (1, 1, 1), axis=qkv.ndim - 3)
    )
    if not self.key_bias:
      biases = self.param('qv_bias', nn.initializers.zeros, (2, *heads))
      query += biases[0].astype(self.dtype)
      value += biases[1].astype(self.dtype)
    mixed = dot_product_attention(
      query,
      key,
      value,
      implementation=self.attention,
      num_clusters=self.num_clusters,
    )
    return dense(width, axis=(-2, -1), name='out')(mixed)


class CrossAttention(nn.Module):
  """Multi-head attention to keys and values that were projected elsewhere.

  [B, Q, D] attending to [B, L, heads, d] -> [B, Q, D]. For `num_clusters` see
  `cluster_mask`.
  """

  num_heads: Heads
  dtype: jnp.dtype = jnp.float32
  attention: str = 'auto'
  num_clusters: int = 1

  @nn.compact
  def __call__(
    self, tokens: jax.Array, key: jax.Array, value: jax.Array
  ) -> jax.Array:
    width = tokens.shape[-1]
    heads = split_heads(width, self.num_heads)
    dense = functools.partial(dense_layer(self.attention), dtype=self.dtype)
    query = dense(heads, name='query')(tokens)
    mixed = dot_product_attention(
      query,
      key,
      value,
      implementation=self.attention,
      num_clusters=self.num_clusters,
    )
    return dense(width, axis=(-2, -1), name='out')(mixed)


def heads_width(width: int, heads: Heads) -> int:
  """Width of all heads together, for tokens of a width."""
  return math.prod(split_heads(width, heads))


def split_heads(width: int, heads: Heads) -> tuple[int, int]:
  """How many heads there are and how wide each is.

  Raises:
    ValueError: the heads do not divide the width.
  """
  if not isinstance(heads, int):
    return tuple(heads)
  if heads < 1 or width % heads:
    raise ValueError(
      f'{heads} heads do not divide width {width}; choose num_heads that does.'
    )
  return heads, width // heads
