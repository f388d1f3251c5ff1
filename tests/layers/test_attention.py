import functools
import types

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvmae_jax.benchmarks.program import exponentials
from rvmae_jax.layers import attention
from rvmae_jax.layers.attention_functions import OUTPUT
from rvmae_jax.layers.dense_products import dense_products
from rvmae_jax.target_device import compiling_for, target_device


def make_inputs(num_queries, num_keys, num_heads=3):
  keys = jax.random.split(jax.random.key(0), 3)
  lengths = (num_queries, num_keys, num_keys)
  return [
    jax.random.normal(key, (2, length, num_heads, 8))
    for key, length in zip(keys, lengths)
  ]


def plain_attention(query, key, value):
  logits = jnp.einsum('bqhd,bkhd->bhqk', query, key) / jnp.sqrt(8.0)
  return jnp.einsum('bhqk,bkhd->bqhd', jax.nn.softmax(logits), value)


def test_is_scaled_softmax():
  inputs = make_inputs(5, 7)
  np.testing.assert_allclose(
    attention.dot_product_attention(*inputs),
    plain_attention(*inputs),
    atol=1e-6,
  )


def test_one_key_returns_its_value():
  query, key, value = make_inputs(4, 1)
  out = attention.dot_product_attention(query, key, value)
  np.testing.assert_allclose(
    out, jnp.broadcast_to(value, query.shape), atol=1e-6
  )


@pytest.mark.parametrize(
  'lengths', [(5, 7), (5, 8), (6, 7), (257, 257)], ids=str
)
def test_padding_changes_neither_values_nor_gradients(lengths):
  """What cuDNN is given for odd counts, run through XLA."""
  inputs = make_inputs(*lengths)

  def padded(*inputs):
    out = attention.padded_attention(*inputs, implementation='xla', multiple=8)
    return (out**2).sum(), out

  def plain(*inputs):
    out = plain_attention(*inputs)
    return (out**2).sum(), out

  where = (0, 1, 2)
  got, out = jax.grad(padded, where, has_aux=True)(*inputs)
  want, plain_out = jax.grad(plain, where, has_aux=True)(*inputs)
  np.testing.assert_allclose(out, plain_out, atol=1e-5)
  for a, b in zip(got, want):
    np.testing.assert_allclose(a, b, atol=1e-4)


IN_PARTS = {
  'heads first': attention.heads_first_attention,
  # 45 queries in two blocks of 23: the last one is filled up.
  'blocks': functools.partial(
    attention.blockwise_attention, max_logits=1, short=0
  ),
  # 2 rows * 2 heads * 45 queries * 9 keys are 1,620.
  'blocks of two heads': functools.partial(
    attention.blockwise_attention, max_logits=2_000, short=44
  ),
  'few queries': functools.partial(
    attention.blockwise_attention, max_logits=1, short=45
  ),
  'each head': functools.partial(attention.headwise_attention, max_logits=1),
  'two heads': functools.partial(attention.headwise_attention, max_logits=900),
  'all heads': attention.headwise_attention,
}


@pytest.mark.parametrize('num_clusters', [1, 3])
@pytest.mark.parametrize('attend', IN_PARTS.values(), ids=IN_PARTS)
def test_parts_change_neither_values_nor_gradients(attend, num_clusters):
  inputs = make_inputs(45, 9, num_heads=4)
  mask = attention.cluster_mask(45, 9, num_clusters)

  @jax.checkpoint  # Where the mask too is traced.
  def in_parts(*inputs):
    out = attend(*inputs, mask)
    return (out**2).sum(), out

  def whole(*inputs):
    out = attention.dot_product_attention(
      *inputs, implementation='xla', num_clusters=num_clusters
    )
    return (out**2).sum(), out

  where = (0, 1, 2)
  got, out = jax.grad(in_parts, where, has_aux=True)(*inputs)
  want, whole_out = jax.grad(whole, where, has_aux=True)(*inputs)
  assert out.shape == whole_out.shape
  np.testing.assert_allclose(out, whole_out, atol=1e-6)
  for a, b in zip(got, want):
    np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize('attend', ['blocks', 'each head'])
def test_parts_are_as_near_to_float32_as_plain_attention(attend):
  """In bfloat16; the backward pass takes its weights from the logits again."""
  *inputs, cotangent = (
    jax.random.normal(key, (2, 65, 4, 32))
    for key in jax.random.split(jax.random.key(1), 4)
  )

  def run(attend, dtype):
    out, back = jax.vjp(attend, *(x.astype(dtype) for x in inputs))
    return out, *back(cotangent.astype(dtype))

  def error(attend):
    return [
      np.linalg.norm(got.astype(jnp.float32) - want) / np.linalg.norm(want)
      for got, want in zip(run(attend, jnp.bfloat16), exact)
    ]

  exact = run(attention.plain_attention, jnp.float32)
  own = error(attention.plain_attention)
  for ours, plain in zip(error(IN_PARTS[attend]), own):
    assert ours < 1.1 * plain < 0.02


@pytest.mark.parametrize(
  ('policy', 'times'),
  [
    # In the forward pass and, for the gradient, in the backward pass.
    (jax.checkpoint_policies.save_only_these_names(OUTPUT), 2),
    # Once more for the output.
    (jax.checkpoint_policies.nothing_saveable, 3),
  ],
)
def test_how_often_exponentials_of_heads_apart_are_taken(policy, times):
  query, key, value = make_inputs(4, 5, num_heads=2)
  attend = jax.checkpoint(IN_PARTS['each head'], policy=policy)
  program = jax.make_jaxpr(jax.grad(lambda *x: attend(*x).sum(), (0, 1, 2)))(
    query, key, value
  )
  # Of two rows and two heads.
  assert exponentials(program) == times * 2 * 2 * 4 * 5


def test_memory_of_parts_does_not_hold_all_logits():
  """Of 2,048 tokens the logits alone are 8 heads * 2048^2 floats."""
  logits_bytes = 8 * 2048**2 * 4
  shape = jax.ShapeDtypeStruct((1, 2048, 8, 8), jnp.float32)

  def temporary_bytes(name):
    def loss(*inputs):
      out = attention.dot_product_attention(*inputs, implementation=name)
      return (out**2).sum()

    step = jax.jit(jax.grad(loss, (0, 1, 2))).lower(shape, shape, shape)
    return step.compile().memory_analysis().temp_size_in_bytes

  assert temporary_bytes('xla') > logits_bytes
  assert temporary_bytes('blockwise') < logits_bytes / 2
  assert temporary_bytes('headwise') < logits_bytes / 2


def test_a_cluster_sees_itself_and_earlier_ones():
  """Two clusters, of two queries and of three keys each."""
  mask = attention.cluster_mask(4, 6, num_clusters=2)
  first, second = [1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 1]
  np.testing.assert_array_equal(mask, [first, first, second, second])


def test_attention_by_clusters_is_attention_to_what_came_before():
  query, key, value = inputs = make_inputs(4, 6)
  got = attention.dot_product_attention(*inputs, num_clusters=2)
  first = plain_attention(query[:, :2], key[:, :3], value[:, :3])
  np.testing.assert_allclose(got[:, :2], first, atol=1e-6)
  second = plain_attention(query[:, 2:], key, value)
  np.testing.assert_allclose(got[:, 2:], second, atol=1e-6)


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'num_clusters': 3}, '4 queries and 6 keys .* 3 equal clusters'),
    ({'num_clusters': 2, 'implementation': 'cudnn'}, "use 'auto' or 'xla'"),
  ],
)
def test_clusters_that_cannot_be_are_refused(options, message):
  with pytest.raises(ValueError, match=message):
    attention.dot_product_attention(*make_inputs(4, 6), **options)


def device(platform, capability=None):
  """A stand-in; of TPUs and CPUs nobody asks for a capability."""
  found = types.SimpleNamespace(platform=platform)
  if capability:
    found.compute_capability = capability
  return found


@pytest.mark.parametrize(
  ('target', 'dtype', 'num_clusters', 'wanted'),
  [
    (device('gpu', '7.5'), 'bfloat16', 1, 'xla'),
    (device('gpu', '7.0'), 'float16', 1, 'xla'),
    (device('gpu', '8.0'), 'bfloat16', 1, 'cudnn'),
    (device('gpu', '9.0'), 'float16', 1, 'cudnn'),
    (device('gpu', '12.0'), 'bfloat16', 1, 'cudnn'),
    (device('gpu', '9.0'), 'float32', 1, 'xla'),
    (device('gpu', '9.0'), 'bfloat16', 2, 'xla'),
    (device('gpu', 'gfx942'), 'bfloat16', 1, 'xla'),
    (device('gpu'), 'bfloat16', 1, 'xla'),
    (device('tpu'), 'bfloat16', 1, 'headwise'),
    (device('cpu'), 'bfloat16', 1, 'blockwise'),
  ],
)
def test_auto_suits_the_device_that_is_compiled_for(
  monkeypatch, target, dtype, num_clusters, wanted
):
  taken = []
  names = {
    'xla': 'plain_attention',
    'cudnn': 'padded_attention',
    'headwise': 'headwise_attention',
    'blockwise': 'blockwise_attention',
  }
  for name, function in names.items():
    monkeypatch.setattr(
      attention,
      function,
      lambda query, *_, name=name, **__: taken.append(name) or query,
    )

  @jax.jit
  @compiling_for(target)
  def attend(*inputs):
    return attention.dot_product_attention(*inputs, num_clusters=num_clusters)

  attend(*(x.astype(dtype) for x in make_inputs(4, 4)))
  assert taken == [wanted]


def test_the_target_is_the_default_device_unless_told():
  assert target_device() == jax.devices()[0]
  other = jax.devices()[3]
  with jax.default_device(other):
    assert target_device() == other
    with compiling_for(jax.devices()[5]):
      assert target_device() == jax.devices()[5]
  with jax.default_device('cpu'):
    assert target_device() == jax.devices()[0]


@pytest.mark.skipif(
  jax.default_backend() != 'gpu', reason='needs an NVIDIA GPU'
)
@pytest.mark.parametrize('length', [256, 257, 1028])
def test_cudnn_equals_xla(length):
  *inputs, cotangent = (
    jax.random.normal(key, (2, length, 4, 64), jnp.bfloat16)
    for key in jax.random.split(jax.random.key(0), 4)
  )

  def values_and_gradients(implementation):
    output, pull_back = jax.vjp(
      functools.partial(
        attention.dot_product_attention, implementation=implementation
      ),
      *inputs,
    )
    return output, *pull_back(cotangent)

  for got, want in zip(*map(values_and_gradients, ('cudnn', 'xla'))):
    got, want = got.astype(jnp.float32), want.astype(jnp.float32)
    # A number in bfloat16 is off by 0.4 %.
    assert jnp.abs(got - want).max() < 0.02 * jnp.abs(want).max()


@pytest.mark.parametrize(
  'features, axis, shape',
  [
    ((3, 4, 8), -1, (2, 5, 16)),
    ((2, 2, 4, 8), -1, (3, 5, 16)),
    ((4, 8), -1, (2, 3, 5, 16)),
    (16, (-2, -1), (2, 5, 4, 8)),
  ],
)
@pytest.mark.parametrize('use_bias', [True, False])
def test_flat_products_are_those_of_dense_layers(
  features, axis, shape, use_bias
):
  settings = {'features': features, 'axis': axis, 'use_bias': use_bias}
  flat = attention.FlatDense(**settings, dtype=jnp.float32)
  dense = nn.DenseGeneral(**settings)
  inputs = jax.random.normal(jax.random.key(0), shape)
  outputs, params = dense.init_with_output(jax.random.key(1), inputs)
  same = flat.init(jax.random.key(1), inputs)
  jax.tree.map(np.testing.assert_array_equal, params, same)
  params = jax.tree.map(lambda leaf: leaf + 0.1, params)
  weights = jax.random.normal(jax.random.key(2), outputs.shape)

  def weighted(layer):
    return lambda params: (weights * layer.apply(params, inputs)).sum()

  for function in (jax.jit, jax.grad):
    found, wanted = (function(weighted(x))(params) for x in (flat, dense))
    jax.tree.map(
      functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5),
      found,
      wanted,
    )


def test_flat_products_can_be_replaced():
  """By quantised ones, for example."""
  layer = attention.FlatDense((3, 4, 8), dtype=jnp.float32)
  inputs = jnp.ones((2, 5, 16))
  params = layer.init(jax.random.key(0), inputs)
  with dense_products(lambda layer, tokens, kernel, num_summed: jnp.ones(1)):
    outputs = layer.apply(params, inputs)
  np.testing.assert_array_equal(outputs, jnp.ones((3, 4, 8)))
