"""Attention as a kernel for TPUs, whose logits never leave the core.

Keys lie along sublanes and queries along lanes: maxima and sums over keys then
join whole vectors, and what belongs to a query is one number in each lane. The
heads of a group lie side by side in the 128 columns that the memory moves at
once, as the projections leave them, and are turned only within the core.

The matrix units work on the logits of one block while the exponentials of
another are taken. The compiler does not look so far ahead: both are written
side by side here.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from rvmae_jax.layers.attention_functions import OUTPUT, named
from rvmae_jax.target_device import target_device

_LANES = 128
_KEYS_AT_ONCE = 256
# Those that the TPU compiler schedules best, by trial.
_QUERIES_AT_ONCE = {'forward': 512, 'backward': 256}
# Blocks whose logits are computed before the first one is used.
_BLOCKS_AHEAD = 2
# The program grows with their product; so large, it takes minutes to compile.
_MOST_LOGITS = 2048**2
_MEMORY_BYTES = 64 * 2**20


def pallas_attention_applies(
  query: jax.Array, key: jax.Array, mask: Any
) -> bool:
  """Whether there is a kernel for these tokens.

  Args:
    query: [B, Q, heads, d].
    key: [B, L, heads, d].
    mask: of the logits, or None; the kernel knows none.
  """
  # Rows of a head must begin where a tile of its numbers does.
  rows_of_tile = 32 // query.dtype.itemsize
  return (
    mask is None
    and query.dtype in (jnp.bfloat16, jnp.float32)
    and query.shape[-1] % rows_of_tile == 0
    and query.shape[1] * key.shape[1] <= _MOST_LOGITS
  )


@jax.custom_vjp
def pallas_attention(
  query: jax.Array, key: jax.Array, value: jax.Array
) -> jax.Array:
  """Exact attention in one kernel for each direction.

  Elsewhere than on a TPU, the kernel is interpreted, which is slow and meant
  for tests. Rows of a batch stay on their devices.

  Args:
    query: [B, Q, heads, d].
    key, value: [B, L, heads, d]; see `pallas_attention_applies`.

  Returns:
    [B, Q, heads, d] in the query's dtype, called `OUTPUT`.
  """
  return _forward(query, key, value)[0]


def _forward(query, key, value):
  run = functools.partial(_call_forward, width=query.shape[-1])
  mixed, log_sums = _on_rows(run)(*map(_flat, (query, key, value)))
  mixed = named(mixed.reshape(query.shape))
  log_sums = checkpoint_name(log_sums, OUTPUT)
  return mixed, (query, key, value, mixed, log_sums)


def _backward(kept, gradient):
  *arrays, log_sums = kept
  run = functools.partial(_call_backward, width=gradient.shape[-1])
  gradients = _on_rows(run)(*map(_flat, (*arrays, gradient)), log_sums)
  return tuple(g.reshape(a.shape) for g, a in zip(gradients, arrays))


pallas_attention.defvjp(_forward, _backward)


def _flat(tokens: jax.Array) -> jax.Array:
  """[B, N, heads, d] -> [B, N, heads * d]."""
  return tokens.reshape(*tokens.shape[:2], -1)


def _on_rows(function: Callable[..., Any]) -> Callable[..., Any]:
  """Runs a function on each device of the mesh, if any, on its own rows.

  The compiler cannot split a kernel over devices by itself.
  """
  mesh = jax.sharding.get_abstract_mesh()
  if mesh.empty:
    return function
  rows = jax.sharding.PartitionSpec(mesh.axis_names)
  # What a kernel gives is not known to differ from device to device.
  return jax.shard_map(function, in_specs=rows, out_specs=rows, check_vma=False)


def _call_forward(query, key, value, *, width: int):
  """[B, Q, heads * d] and twice [B, L, heads * d] -> the same as the query's,
  and the logarithms (of base 2) of sums of weights, [B, groups, heads, Q].
  """
  num_queries, num_keys = query.shape[1], key.shape[1]
  at_once = _QUERIES_AT_ONCE['forward']
  most = max(map(_length, _blocks(num_queries, at_once)))
  kernel = _Kernel(query, key, width)
  return kernel.call(
    functools.partial(_forward_kernel, width=width),
    'attention_forward',
    inputs=(query, key, value),
    outputs=(kernel.of_tokens(query), kernel.of_queries()),
    scratch=(
      kernel.turned(query),
      kernel.turned(value),
      kernel.turned(query),
      pltpu.VMEM((2, num_keys, most), jnp.float32),
    ),
  )


def _call_backward(query, key, value, mixed, gradient, log_sums, *, width: int):
  """As `_call_forward`; gives gradients of query, key and value."""
  kernel = _Kernel(query, key, width)
  return kernel.call(
    functools.partial(_backward_kernel, width=width),
    'attention_backward',
    inputs=(query, key, value, mixed, gradient, log_sums),
    outputs=tuple(map(kernel.of_tokens, (query, key, value))),
    scratch=(
      *map(kernel.turned, (query, key, mixed, gradient, query)),
      kernel.turned(key, jnp.float32),
      kernel.turned(value, jnp.float32),
    ),
  )


def _forward_kernel(
  query_ref,
  key_ref,
  value_ref,
  mixed_ref,
  log_sums_ref,
  query_turned,
  value_turned,
  mixed_turned,
  logits_ref,
  *,
  width: int,
):
  """Attention of one group of heads in one row of the batch.

  Logits of the next head, or of its next queries, are computed between the
  exponentials of the last.
  """
  query_turned[...] = query_ref[0].T
  value_turned[...] = value_ref[0].T
  num_queries, num_keys = query_ref.shape[1], key_ref.shape[1]
  units = [
    (_head(i, width), queries, i)
    for i in range(query_ref.shape[2] // width)
    for queries in _blocks(num_queries, _QUERIES_AT_ONCE['forward'])
  ]
  blocks = _blocks(num_keys, _KEYS_AT_ONCE)
  factor = math.log2(math.e) / width**0.5

  def place(number, keys):
    _, queries, _ = units[number]
    return number % 2, keys, slice(_length(queries))

  def compute_logits(number, keys, largest):
    head, queries, _ = units[number]
    logits = _product(
      key_ref[0, keys, head], query_turned[head, queries], (1, 0)
    )
    logits_ref[place(number, keys)] = logits
    return _joined(jnp.maximum, largest, logits.max(0, keepdims=True))

  following = None
  for keys in blocks:
    following = compute_logits(0, keys, following)
  for number, (head, queries, index) in enumerate(units):
    largest, following = following * factor, None
    total = mixed = None
    for keys in blocks:
      if number + 1 < len(units):
        following = compute_logits(number + 1, keys, following)
      weights = jnp.exp2(logits_ref[place(number, keys)] * factor - largest)
      total = _joined(jnp.add, total, weights.sum(0, keepdims=True))
      weights = weights.astype(value_turned.dtype)
      part = _product(value_turned[head, keys], weights, (1, 0))
      mixed = _joined(jnp.add, mixed, part)
    mixed_turned[head, queries] = (mixed / total).astype(mixed_turned.dtype)
    log_sums_ref[0, 0, index : index + 1, queries] = largest + jnp.log2(total)
  mixed_ref[0] = mixed_turned[...].T


def _backward_kernel(
  query_ref,
  key_ref,
  value_ref,
  mixed_ref,
  gradient_ref,
  log_sums_ref,
  by_query_ref,
  by_key_ref,
  by_value_ref,
  query_turned,
  key_turned,
  mixed_turned,
  gradient_turned,
  by_query_turned,
  by_key_turned,
  by_value_turned,
  *,
  width: int,
):
  """Gradients of one group of heads in one row of the batch.

  The logits of the next blocks are computed before those of this one are used.
  """
  query_turned[...] = query_ref[0].T
  key_turned[...] = key_ref[0].T
  mixed_turned[...] = mixed_ref[0].T
  gradient_turned[...] = gradient_ref[0].T
  num_queries, num_keys = query_ref.shape[1], key_ref.shape[1]
  blocks = [
    (_head(i, width), queries, keys, i)
    for i in range(query_ref.shape[2] // width)
    for queries in _blocks(num_queries, _QUERIES_AT_ONCE['backward'])
    for keys in _blocks(num_keys, _KEYS_AT_ONCE)
  ]
  factor = math.log2(math.e) / width**0.5

  def first_products(head, queries, keys, _):
    return (
      _product(key_ref[0, keys, head], query_turned[head, queries], (1, 0)),
      _product(
        value_ref[0, keys, head], gradient_turned[head, queries], (1, 0)
      ),
    )

  ahead = [first_products(*block) for block in blocks[:_BLOCKS_AHEAD]]
  by_query = None
  for number, (head, queries, keys, index) in enumerate(blocks):
    if number + _BLOCKS_AHEAD < len(blocks):
      ahead.append(first_products(*blocks[number + _BLOCKS_AHEAD]))
    logits, by_weight = ahead.pop(0)
    query = query_turned[head, queries]
    gradient = gradient_turned[head, queries]
    if keys.start == 0:
      log_sums = log_sums_ref[0, 0, index : index + 1, queries]
      # The mean of `by_weight` over the keys, as they are weighted.
      mean = gradient.astype(jnp.float32)
      mean *= mixed_turned[head, queries].astype(jnp.float32)
      mean = mean.sum(0, keepdims=True)
    weights = jnp.exp2(logits * factor - log_sums)
    by_logit = (weights * (by_weight - mean)).astype(query.dtype)
    weights = weights.astype(query.dtype)
    for sums, part in (
      (by_value_turned, _product(gradient, weights, (1, 1))),
      (by_key_turned, _product(query, by_logit, (1, 1))),
    ):
      if queries.start == 0:
        sums[head, keys] = part
      else:
        sums[head, keys] += part
    part = _product(key_turned[head, keys], by_logit, (1, 0))
    by_query = part if keys.start == 0 else by_query + part
    if keys.stop == num_keys:
      by_query = by_query / width**0.5
      by_query_turned[head, queries] = by_query.astype(by_query_turned.dtype)
  by_query_ref[0] = by_query_turned[...].T
  by_key = by_key_turned[...] / width**0.5
  by_key_ref[0] = by_key.astype(by_key_ref.dtype).T
  by_value_ref[0] = by_value_turned[...].astype(by_value_ref.dtype).T


class _Kernel:
  """How a kernel is spread over rows of the batch and groups of heads."""

  def __init__(self, query: jax.Array, key: jax.Array, width: int):
    """Query and key as for `_call_forward`; heads of this width."""
    self._batch_size, self._num_queries, all_heads = query.shape
    num_heads = all_heads // width
    # As few as fill the lanes; else all.
    self._heads = next(
      heads
      for heads in range(1, num_heads + 1)
      if heads == num_heads
      or (num_heads % heads == 0 and heads * width % _LANES == 0)
    )
    self._width = self._heads * width
    self._num_groups = num_heads // self._heads
    self._dtype = query.dtype

  def of_tokens(self, tokens: jax.Array) -> jax.ShapeDtypeStruct:
    """A result like these tokens."""
    return jax.ShapeDtypeStruct(tokens.shape, tokens.dtype)

  def of_queries(self) -> jax.ShapeDtypeStruct:
    """A result with a number for each query and head."""
    shape = self._batch_size, self._num_groups, self._heads, self._num_queries
    return jax.ShapeDtypeStruct(shape, jnp.float32)

  def turned(self, tokens: jax.Array, dtype: Any = None) -> Any:
    """Memory for a group's columns of these tokens, as rows."""
    return pltpu.VMEM((self._width, tokens.shape[1]), dtype or self._dtype)

  def call(
    self,
    function: Callable[..., None],
    name: str,
    inputs: Sequence[jax.Array],
    outputs: Sequence[jax.ShapeDtypeStruct],
    scratch: Sequence[Any],
  ) -> Any:
    """Runs it once for each row and group."""
    return pl.pallas_call(
      function,
      grid=(self._batch_size, self._num_groups),
      in_specs=[*map(self._block, inputs)],
      out_specs=[*map(self._block, outputs)],
      out_shape=list(outputs),
      scratch_shapes=list(scratch),
      interpret=target_device().platform != 'tpu',
      name=name,
      compiler_params=pltpu.CompilerParams(
        dimension_semantics=('parallel', 'parallel'),
        vmem_limit_bytes=_MEMORY_BYTES,
      ),
    )(*inputs)

  def _block(self, array: Any) -> pl.BlockSpec:
    if len(array.shape) == 3:  # Of tokens.
      block = 1, array.shape[1], self._width
      return pl.BlockSpec(block, lambda row, group: (row, 0, group))
    block = 1, 1, *array.shape[2:]
    return pl.BlockSpec(block, lambda row, group: (row, group, 0, 0))


def _blocks(number: int, size: int) -> list[slice]:
  """Parts of so many; a rest of less than a vector goes to the last one."""
  count = max(1, number // size + (number % size >= _LANES))
  starts = [i * size for i in range(count)]
  return [slice(*ends) for ends in zip(starts, [*starts[1:], number])]


def _length(block: slice) -> int:
  return block.stop - block.start


def _head(index: int, width: int) -> slice:
  return slice(index * width, (index + 1) * width)


def _product(
  left: jax.Array, right: jax.Array, contracted: tuple[int, int]
) -> jax.Array:
  """Of matrices, over these axes, in float32."""
  exact = jax.lax.Precision.HIGHEST if left.dtype == jnp.float32 else None
  return jax.lax.dot_general(
    left,
    right,
    (((contracted[0],), (contracted[1],)), ((), ())),
    precision=exact,
    preferred_element_type=jnp.float32,
  )


def _joined(function: Callable[..., jax.Array], so_far: Any, part: jax.Array):
  return part if so_far is None else function(so_far, part)
