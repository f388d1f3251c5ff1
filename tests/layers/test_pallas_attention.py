"""The TPU kernel, interpreted: plain attention, on one device and on many."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvmae_jax.benchmarks.program import count, walk
from rvmae_jax.layers import attention, pallas_attention
from rvmae_jax.layers.attention_functions import OUTPUT, plain_attention

TENSORS = 'output', 'query', 'key', 'value'


def make_inputs(shape, dtype=jnp.float32):
  """Query, key, value, and a gradient of the output."""
  rows, num_queries, num_keys, heads, width = shape
  lengths = num_queries, num_keys, num_keys, num_queries
  keys = jax.random.split(jax.random.key(0), 4)
  return [
    jax.random.normal(key, (rows, length, heads, width)).astype(dtype)
    for key, length in zip(keys, lengths)
  ]


def run(attend, query, key, value, gradient):
  """The output and all gradients."""
  out, back = jax.vjp(attend, query, key, value)
  return out, *back(gradient)


def exact_attention(query, key, value, gradient):
  """The same as `run`, by NumPy in float64."""
  query, key, value, gradient = map(np.float64, (query, key, value, gradient))
  scale = query.shape[-1] ** -0.5
  logits = scale * np.einsum('bqhd,blhd->bhql', query, key)
  weights = np.exp(logits - logits.max(-1, keepdims=True))
  weights /= weights.sum(-1, keepdims=True)
  by_weight = np.einsum('bqhd,blhd->bhql', gradient, value)
  mean = (weights * by_weight).sum(-1, keepdims=True)
  by_logit = scale * weights * (by_weight - mean)
  return (
    np.einsum('bhql,blhd->bqhd', weights, value),
    np.einsum('bhql,blhd->bqhd', by_logit, key),
    np.einsum('bhql,bqhd->blhd', by_logit, query),
    np.einsum('bhql,bqhd->blhd', weights, gradient),
  )


@pytest.mark.parametrize(
  'shape',
  [
    # rows, queries, keys, heads, their width
    (2, 45, 9, 4, 16),
    (1, 1, 1, 2, 8),
    # One group of four heads; blocks of 256 and of 164 keys.
    (1, 140, 420, 4, 32),
    # Two groups; a block of 257.
    (2, 257, 257, 4, 64),
    # Three heads of 64 fill no lanes evenly; blocks of queries in both ways.
    (1, 700, 300, 3, 64),
  ],
  ids=str,
)
def test_it_is_plain_attention(shape):
  inputs = make_inputs(shape)
  exact = exact_attention(*inputs)
  for attend in (pallas_attention.pallas_attention, plain_attention):
    for name, got, want in zip(TENSORS, run(attend, *inputs), exact):
      # Of a single key, the weight is one, and no gradient reaches the logits.
      atol = 1.5e-6 * max(np.abs(want).max(), 1e-1)
      np.testing.assert_allclose(got, want, rtol=0, atol=atol, err_msg=name)


def test_in_bfloat16_it_is_as_near_as_plain_attention():
  inputs = make_inputs((2, 300, 280, 4, 32), jnp.bfloat16)
  exact = run(plain_attention, *(x.astype(jnp.float32) for x in inputs))

  def distances(attend):
    return [
      np.linalg.norm(np.float32(got) - want) / np.linalg.norm(want)
      for got, want in zip(run(attend, *inputs), exact)
    ]

  ours = distances(pallas_attention.pallas_attention)
  for mine, plain in zip(ours, distances(plain_attention)):
    assert mine < 1.1 * plain < 0.02


def test_logits_of_any_size_are_taken():
  """The largest of a row is subtracted, however far it is from zero."""
  query, key, value, gradient = make_inputs((1, 40, 300, 2, 32))
  inputs = 30 * query, 30 * key, value, gradient
  want = run(plain_attention, *inputs)
  found = run(pallas_attention.pallas_attention, *inputs)
  for got, wanted in zip(found, want):
    assert np.isfinite(got).all()
    np.testing.assert_allclose(got, wanted, atol=1e-3 * np.abs(wanted).max())


def test_on_a_mesh_each_device_keeps_its_rows():
  inputs = make_inputs((8, 40, 30, 4, 32))
  want = run(plain_attention, *inputs)
  mesh = jax.make_mesh(
    (2, 4), ('data', 'fsdp'), (jax.sharding.AxisType.Auto,) * 2
  )
  rows = jax.NamedSharding(mesh, jax.P(('data', 'fsdp')))

  @functools.partial(jax.jit, in_shardings=rows)
  def on_mesh(*inputs):
    with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
      return run(pallas_attention.pallas_attention, *inputs)

  found = on_mesh(*inputs)
  for got, wanted in zip(found, want):
    assert got.sharding.is_equivalent_to(rows, got.ndim)
    np.testing.assert_allclose(got, wanted, atol=1e-5)
  program = on_mesh.lower(*inputs).compile().as_text()
  assert 'all-gather' not in program


def _kernels(jaxpr):
  """Names of those whose results are used; XLA drops the others."""
  used = {id(v) for equation in jaxpr.eqns for v in equation.invars}
  used |= {id(v) for v in jaxpr.outvars}
  for equation in jaxpr.eqns:
    if equation.primitive.name != 'pallas_call':
      for value in equation.params.values():
        inner = getattr(value, 'jaxpr', value)
        if hasattr(inner, 'eqns'):
          yield from _kernels(inner)
    elif any(id(v) in used for v in equation.outvars):
      yield equation.params['name']


@pytest.mark.parametrize(
  ('policy', 'times_forward'),
  [
    (jax.checkpoint_policies.save_only_these_names(OUTPUT), 1),
    (jax.checkpoint_policies.nothing_saveable, 2),
  ],
)
def test_what_is_kept_is_not_computed_again(policy, times_forward):
  attend = jax.checkpoint(pallas_attention.pallas_attention, policy=policy)
  program = jax.make_jaxpr(functools.partial(run, attend))(
    *make_inputs((1, 8, 8, 2, 16))
  )
  forward, backward = 'attention_forward', 'attention_backward'
  assert [*_kernels(program.jaxpr)] == [forward] * times_forward + [backward]


def test_products_of_a_kernel_are_counted():
  """Two each way forward, five backward, each of 2 * Q * L * d a head."""
  shape = rows, num_queries, num_keys, heads, width = 3, 40, 30, 4, 32
  inputs = make_inputs(shape)
  program = jax.make_jaxpr(
    functools.partial(run, pallas_attention.pallas_attention)
  )(*inputs)
  once = 2 * rows * heads * num_queries * num_keys * width
  assert count(program).flops == 7 * once


@pytest.mark.parametrize(
  ('shape', 'dtype', 'num_clusters', 'kernels'),
  [
    ((1, 8, 8, 2, 16), 'bfloat16', 1, 1),
    ((1, 8, 8, 2, 8), 'float32', 1, 1),
    ((1, 8, 8, 2, 8), 'bfloat16', 1, 0),
    ((1, 8, 8, 2, 16), 'float16', 1, 0),
    ((1, 8, 8, 2, 16), 'bfloat16', 2, 0),
    ((1, 2049, 2048, 1, 16), 'bfloat16', 1, 0),
  ],
)
def test_where_there_is_no_kernel_heads_come_one_by_one(
  shape, dtype, num_clusters, kernels
):
  query, key, value, _ = (
    jax.ShapeDtypeStruct(x.shape, x.dtype)
    for x in jax.eval_shape(lambda: make_inputs(shape, jnp.dtype(dtype)))
  )
  attend = functools.partial(
    attention.dot_product_attention,
    implementation='pallas',
    num_clusters=num_clusters,
  )
  program = jax.make_jaxpr(attend)(query, key, value)
  names = [equation.primitive.name for equation, _ in walk(program)]
  assert names.count('pallas_call') == kernels
