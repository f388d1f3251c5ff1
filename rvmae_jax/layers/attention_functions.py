"""What attention computes, in ways that suit different devices."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.ad_checkpoint import checkpoint_name

# Names attention's result before the last projection, and whatever else must be
# kept so that the backward pass need not recompute it.
OUTPUT = 'attention_output'
# Of queries in a block, where logits are split for a CPU's cache.
_FEW_QUERIES, _MANY_QUERIES = 32, 128


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
  Few queries are not split, which would gain less than it takes to compile.

  Args:
    query: [B, Q, heads, d].
    key, value: [B, L, heads, d].
    mask: [Q, L] bool, True where the query sees the key; None is everywhere.
    max_logits: at once, about; no block is smaller than 32 queries.
    short: so many queries, or fewer, are not split.

  Returns:
    [B, Q, heads, d] in the query's dtype, called `OUTPUT`.
  """
  num_queries, num_heads = query.shape[1:3]
  if num_queries <= short:
    return named(heads_first_attention(query, key, value, mask))
  # Of one query in all rows, which stay together.
  logits = key.shape[0] * key.shape[1]
  # Products of fewer queries are slower, so heads are split first.
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
  mixed = named(_merge(mixed))
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


def named(mixed: jax.Array) -> jax.Array:
  """[..., Q, heads, d] -> same, called `OUTPUT` for policies of `remat`.

  What has the name is flat: with few numbers in a row, as a head has them, a
  TPU would keep mostly padding.
  """
  flat = mixed.reshape(*mixed.shape[:-2], -1)
  return checkpoint_name(flat, OUTPUT).reshape(mixed.shape)
