"""Attention: one function with an implementation switch, and projections."""

import functools
import math
import re
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.ad_checkpoint import checkpoint_name

from rvmae_jax.target_device import target_device

# How many, side by side as wide as the tokens; or how many of which width.
Heads = int | tuple[int, int]
IMPLEMENTATIONS = (
  *('auto', 'xla', 'blockwise', 'headwise', 'cudnn', 'heads_first'),
)
# What attention gives, before its last projection, and what else its backward
# pass needs for not computing it again.
OUTPUT = 'attention_output'
# What 'auto' means there; on GPUs it depends on the tokens.
BEST_ON = {'cpu': 'blockwise', 'tpu': 'headwise'}
# Of queries in a block, where logits are parted for a CPU's cache.
_FEW_QUERIES, _MANY_QUERIES = 32, 128


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
      `headwise_attention`); 'heads_first' anywhere, for programs to export (see
      `heads_first_attention`); 'auto' takes what suits the `target_device`.
    num_clusters: more than one is not for cuDNN; see `cluster_mask`.

  Returns:
    [..., Q, heads, d] in the query's dtype, called `OUTPUT` for policies of
    `remat` where it pays to keep it.

  Raises:
    ValueError: an unknown implementation, or one without clusters.
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
    return _named(padded_attention(query, key, value, implementation='cudnn'))
  mask = None
  if num_clusters > 1:
    mask = cluster_mask(query.shape[1], key.shape[1], num_clusters)
  if implementation == 'headwise':
    return headwise_attention(query, key, value, mask)
  if implementation == 'blockwise':
    return blockwise_attention(query, key, value, mask)
  attend = plain_attention
  if implementation == 'heads_first':
    attend = heads_first_attention
  return _named(attend(query, key, value, mask))


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


def plain_attention(
  query: jax.Array,
  key: jax.Array,
  value: jax.Array,
  mask: np.ndarray | None = None,
) -> jax.Array:
  """Attention with all logits at once; shapes as for `blockwise_attention`."""
  whole = None if mask is None else mask[None, None]
  return jax.nn.dot_product_attention(
    query, key, value, mask=whole, implementation='xla'
  )


def heads_first_attention(
  query: jax.Array,
  key: jax.Array,
  value: jax.Array,
  mask: np.ndarray | None = None,
) -> jax.Array:
  """Attention in which every product is a plain one of matrices.

  Without loops, as programs are best exported; shapes as for
  `blockwise_attention`.
  """
  # [B, N, heads, d] -> [B, heads, N, d], the key's with tokens last
  query, value = query.swapaxes(1, 2), value.swapaxes(1, 2)
  logits = _logits(query, key.transpose(0, 2, 3, 1), mask)
  weights = jax.nn.softmax(logits).astype(value.dtype)
  return (weights @ value).swapaxes(1, 2)


def blockwise_attention(
  query: jax.Array,
  key: jax.Array,
  value: jax.Array,
  mask: np.ndarray | None = None,
  max_logits: int = 2**18,
  short: int = 512,
) -> jax.Array:
  """Exact attention as CPUs like it: of many queries, few logits at once.

  Few heads at once and, if need be, blocks of their queries: their logits fit
  into a core's cache of 1 MiB. They are computed again in the backward pass.
  Few queries are not parted, which would gain less than it takes to compile.

  Args:
    query: [B, Q, heads, d].
    key, value: [B, L, heads, d].
    mask: [Q, L] bool, True where the query sees the key; None is everywhere.
    max_logits: at once, about; no block is smaller than 32 queries.
    short: so many queries, or fewer, are not parted.

  Returns:
    [B, Q, heads, d] in the query's dtype, called `OUTPUT`.
  """
  num_queries, num_heads = query.shape[1:3]
  if num_queries <= short:
    return _named(heads_first_attention(query, key, value, mask))
  # Of one query in all rows, which stay together.
  logits = key.shape[0] * key.shape[1]
  # Products of fewer queries are slower, so heads are parted first.
  most = max_logits // (logits * min(num_queries, _MANY_QUERIES))
  at_once = _divisor(num_heads, most)
  block = max(_FEW_QUERIES, max_logits // (logits * at_once))
  return _in_parts(query, key, value, mask, at_once, block)


def headwise_attention(
  query: jax.Array,
  key: jax.Array,
  value: jax.Array,
  mask: np.ndarray | None = None,
  max_logits: int = 2**19,
) -> jax.Array:
  """Exact attention as TPUs like it: few heads at once.

  Their logits stay in the chip's fast memory, and are computed again in the
  backward pass; those of all heads would go through the slow one. The batch
  stays whole, since it may be spread over chips.

  Args:
    query: [B, Q, heads, d].
    key, value: [B, L, heads, d].
    mask: [Q, L] bool, True where the query sees the key; None is everywhere.
    max_logits: of a row, at once; one head may have more.

  Returns:
    [B, Q, heads, d] in the query's dtype, called `OUTPUT` unless all heads fit
    at once.
  """
  num_heads = query.shape[2]
  at_once = _divisor(num_heads, max_logits // (query.shape[1] * key.shape[1]))
  if at_once == num_heads:
    # Its backward pass needs the logits even where its output is kept.
    return plain_attention(query, key, value, mask)
  return _in_parts(query, key, value, mask, at_once, query.shape[1])


def _divisor(number: int, most: int) -> int:
  """The largest divisor of a number that is at most so large, or 1."""
  return max(
    n for n in range(1, number + 1) if number % n == 0 and n <= max(most, 1)
  )


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def _in_parts(
  query: jax.Array,
  key: jax.Array,
  value: jax.Array,
  mask: np.ndarray | None,
  at_once: int,
  block: int,
) -> jax.Array:
  """Attention over so many heads, and about so many queries, at once."""
  return _in_parts_forward(query, key, value, mask, at_once, block)[0]


def _in_parts_forward(query, key, value, mask, at_once, block):
  def attend(parts):
    query, key, value = parts
    key = key.swapaxes(-1, -2)

    def of_queries(query, mask):
      logits = _logits(query, key, mask)
      largest = logits.max(-1, keepdims=True)
      weights = jnp.exp(logits - largest)
      total = weights.sum(-1, keepdims=True)
      mixed = (weights / total).astype(value.dtype) @ value
      return mixed, (largest + jnp.log(total))[..., 0]

    num_queries = query.shape[2]
    if block >= num_queries:
      return of_queries(query, mask)
    blocks = _blocks(block, mask, query)
    found = jax.lax.map(lambda part: of_queries(part[1], part[0]), blocks)
    return tuple(_joined(blocks, num_queries) for blocks in found)

  parts = (_split(tokens, at_once) for tokens in (query, key, value))
  mixed, log_sums = jax.lax.map(attend, tuple(parts))
  mixed = _named(_merge(mixed))
  log_sums = checkpoint_name(log_sums, OUTPUT)
  return mixed, (query, key, value, mask, mixed, log_sums)


def _in_parts_backward(at_once, block, kept, gradient):
  query, key, value, mask, mixed, log_sums = kept

  def attend(parts):
    query, key, value, mixed, log_sum, gradient = parts
    num_queries = query.shape[2]
    # What comes from several blocks is rounded once, when it is summed.
    sums = key.dtype if block >= num_queries else jnp.float32

    def of_queries(mask, query, mixed, log_sum, gradient):
      # In one step from the logits; softmax itself would take three.
      weights = jnp.exp(
        _logits(query, key.swapaxes(-1, -2), mask) - log_sum[..., None]
      )
      by_weight = jnp.matmul(
        gradient, value.swapaxes(-1, -2), preferred_element_type=jnp.float32
      )
      # The mean of `by_weight` over the keys, as they are weighted.
      mean = gradient.astype(jnp.float32) * mixed.astype(jnp.float32)
      by_logit = weights * (by_weight - mean.sum(-1, keepdims=True))
      by_product = (by_logit / query.shape[-1] ** 0.5).astype(query.dtype)
      weights = weights.astype(gradient.dtype)
      return (
        by_product @ key,
        jnp.matmul(
          by_product.swapaxes(-1, -2), query, preferred_element_type=sums
        ),
        jnp.matmul(
          weights.swapaxes(-1, -2), gradient, preferred_element_type=sums
        ),
      )

    if block >= num_queries:
      return of_queries(mask, query, mixed, log_sum, gradient)

    def add(total, part):
      by_query, *by_context = of_queries(*part)
      return jax.tree.map(jnp.add, total, by_context), by_query

    zeros = [jnp.zeros(tokens.shape, sums) for tokens in (key, value)]
    blocks = _blocks(block, mask, query, mixed, log_sum, gradient)
    (by_key, by_value), by_query = jax.lax.scan(add, zeros, blocks)
    return (
      _joined(by_query, num_queries),
      by_key.astype(key.dtype),
      by_value.astype(value.dtype),
    )

  split = functools.partial(_split, at_once=at_once)
  query, key, value, mixed, gradient = map(
    split, (query, key, value, mixed, gradient)
  )
  parts = query, key, value, mixed, log_sums, gradient
  return *map(_merge, jax.lax.map(attend, parts)), None


_in_parts.defvjp(_in_parts_forward, _in_parts_backward)


def _blocks(
  block: int, mask: jax.Array | np.ndarray | None, *arrays: jax.Array
) -> tuple[Any, ...]:
  """[Q, L] and [B, g, Q, ...] in even blocks of queries, the last one padded.

  Returns:
    [blocks, q, L] or None, and [blocks, B, g, q, ...] of each array.
  """
  num_queries = arrays[0].shape[2]
  num_blocks = -(-num_queries // block)
  missing = -num_queries % num_blocks
  if mask is not None:
    mask = jnp.pad(mask, ((0, missing), (0, 0)), constant_values=True)
    mask = mask.reshape(num_blocks, -1, mask.shape[1])

  def cut(array):
    unpadded = [(0, 0)] * (array.ndim - 3)
    array = jnp.pad(array, [(0, 0), (0, 0), (0, missing), *unpadded])
    array = array.reshape(*array.shape[:2], num_blocks, -1, *array.shape[3:])
    return jnp.moveaxis(array, 2, 0)

  return mask, *map(cut, arrays)


def _joined(blocks: jax.Array, num_queries: int) -> jax.Array:
  """[blocks, B, g, q, ...] -> [B, g, Q, ...]."""
  array = jnp.moveaxis(blocks, 0, 2)
  array = array.reshape(*array.shape[:2], -1, *array.shape[4:])
  return array[:, :, :num_queries]


def _split(tokens: jax.Array, at_once: int) -> jax.Array:
  """[B, N, heads, d] -> [groups, B, g, N, d], g heads at once."""
  groups = tokens.reshape(*tokens.shape[:2], -1, at_once, tokens.shape[-1])
  return groups.transpose(2, 0, 3, 1, 4)


def _merge(groups: jax.Array) -> jax.Array:
  """[groups, B, g, N, d] -> [B, N, heads, d]."""
  tokens = groups.transpose(1, 3, 0, 2, 4)
  return tokens.reshape(*tokens.shape[:2], -1, tokens.shape[-1])


def _logits(
  query: jax.Array, key: jax.Array, mask: np.ndarray | None
) -> jax.Array:
  """[..., Q, d], [..., d, L] and [Q, L] -> [..., Q, L] float32."""
  logits = jnp.matmul(query, key, preferred_element_type=jnp.float32)
  logits /= query.shape[-1] ** 0.5
  if mask is not None:
    logits = jnp.where(mask, logits, -jnp.inf)
  return logits


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
    qkv = nn.DenseGeneral(
      (3, *heads),
      use_bias=self.key_bias,
      dtype=self.dtype,
      name='qkv',
    )(tokens)
    query, key, value = (qkv[..., i, :, :] for i in range(3))
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
    return nn.DenseGeneral(width, axis=(-2, -1), dtype=self.dtype, name='out')(
      mixed
    )


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
    query = nn.DenseGeneral(heads, dtype=self.dtype, name='query')(tokens)
    mixed = dot_product_attention(
      query,
      key,
      value,
      implementation=self.attention,
      num_clusters=self.num_clusters,
    )
    return nn.DenseGeneral(width, axis=(-2, -1), dtype=self.dtype, name='out')(
      mixed
    )


def _named(mixed: jax.Array) -> jax.Array:
  """[..., Q, heads, d] -> same, called `OUTPUT` for policies of `remat`.

  What has the name is flat: with few numbers in a row, as a head has them, a
  TPU would keep mostly padding.
  """
  flat = mixed.reshape(*mixed.shape[:-2], -1)
  return checkpoint_name(flat, OUTPUT).reshape(mixed.shape)


def heads_width(width: int, heads: Heads) -> int:
  """Width of all heads together, where tokens are so wide."""
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
