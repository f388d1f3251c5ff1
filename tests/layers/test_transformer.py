import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvmae_jax.layers import attention
from rvmae_jax.layers.transformer import (
  ACTIVATIONS,
  CrossEncoder,
  DropPath,
  Encoder,
  Mlp,
  layer_norm,
  stack_blocks,
  unstack_blocks,
)


def make_cross_encoder(**options):
  module = CrossEncoder(num_blocks=3, num_heads=2, mlp_dim=16, **options)
  queries = jax.random.normal(jax.random.key(0), (2, 4, 5, 8))
  context = jax.random.normal(jax.random.key(1), (2, 7, 12))
  return module, queries, context


def test_groups_do_not_see_each_other():
  module, queries, context = make_cross_encoder()
  variables = module.init(jax.random.key(2), queries, context)
  together = module.apply(variables, queries, context)
  for g in range(4):
    alone = module.apply(variables, queries[:, g : g + 1], context)
    np.testing.assert_allclose(together[:, g], alone[:, 0], atol=1e-5)


def test_causal_groups_see_their_share_of_the_context_and_what_is_before():
  module, queries, _ = make_cross_encoder(causal=True)
  context = jax.random.normal(jax.random.key(1), (2, 12, 6))
  variables = module.init(jax.random.key(2), queries, context)
  causal = module.apply(variables, queries, context)
  sees_all, _, _ = make_cross_encoder()
  for g in range(4):
    group, share = queries[:, g : g + 1], context[:, : 3 * (g + 1)]
    alone = sees_all.apply(variables, group, share)
    np.testing.assert_allclose(causal[:, g], alone[:, 0], atol=1e-5)


def test_a_block_has_only_the_parts_of_its_order():
  module, queries, context = make_cross_encoder(order=('mlp', 'attention'))
  params = module.init(jax.random.key(2), queries, context)['params']
  assert set(params['blocks']['block_00']) == {
    'mlp', 'mlp_norm', 'attention', 'attention_norm'
  }  # fmt: skip


def test_the_order_of_a_block_matters():
  module, queries, context = make_cross_encoder()
  variables = module.init(jax.random.key(2), queries, context)
  last, _, _ = make_cross_encoder(order=('attention', 'cross_attention', 'mlp'))
  outputs = [m.apply(variables, queries, context) for m in (module, last)]
  assert np.abs(outputs[0] - outputs[1]).max() > 1e-2


def test_scanned_stack_equals_unrolled():
  module, queries, context = make_cross_encoder()
  variables = module.init(jax.random.key(2), queries, context)
  scanned, _, _ = make_cross_encoder(scan=True)
  stacked = {'params': stack_blocks(variables['params'])}
  np.testing.assert_allclose(
    scanned.apply(stacked, queries, context),
    module.apply(variables, queries, context),
    atol=1e-5,
  )
  shapes = jax.eval_shape(scanned.init, jax.random.key(0), queries, context)
  assert jax.tree.map(jnp.shape, stacked) == jax.tree.map(jnp.shape, shapes)


def test_scanned_blocks_start_different():
  module, queries, context = make_cross_encoder(scan=True)
  variables = module.init(jax.random.key(2), queries, context)
  kernel = variables['params']['blocks']['block']['mlp']['dense_in']['kernel']
  assert np.abs(kernel[0] - kernel[1]).max() > 0.1


def test_unstack_is_the_inverse():
  module, queries, context = make_cross_encoder()
  params = module.init(jax.random.key(2), queries, context)['params']
  again = unstack_blocks(stack_blocks(params))
  jax.tree.map(np.testing.assert_array_equal, params, again)


def test_blocks_are_stacked_by_number():
  params = {f'block_{i:02d}': {'kernel': np.full(1, i)} for i in range(102)}
  stacked = stack_blocks(params)['block']['kernel']
  assert stacked[:, 0].tolist() == list(range(102))


def test_drop_path_leaves_out_whole_rows_and_keeps_the_mean():
  added = jnp.ones((4000, 3, 2))
  out = DropPath().apply({}, added, 0.2, rngs={'dropout': jax.random.key(0)})
  assert set(np.unique(out)) == {0, np.float32(1.25)}
  np.testing.assert_array_equal(out.min((1, 2)), out.max((1, 2)))
  assert abs(out.mean() - 1) < 0.04  # Five standard deviations.


@pytest.mark.parametrize('options', [{}, {'scan': True, 'remat': 'full'}])
def test_drop_path_rises_from_the_first_block_to_the_last(options):
  tokens = jax.random.normal(jax.random.key(0), (2, 4, 8))
  encoder = Encoder(2, 2, 8, drop_path=0.999, **options)
  variables = jax.jit(encoder.init)(jax.random.key(1), tokens)
  apply = jax.jit(encoder.apply, static_argnames='train')
  rngs = {'dropout': jax.random.key(2)}
  out = apply(variables, tokens, train=True, rngs=rngs)
  # The first block is never left out, the second always (but for 1 in 1,000).
  params = unstack_blocks(variables['params'])
  del params['blocks']['block_01']
  first = jax.jit(Encoder(1, 2, 8).apply)({'params': params}, tokens)
  np.testing.assert_allclose(out, first, atol=1e-5)
  # Without training nothing is left out, and no random numbers are needed.
  assert np.abs(apply(variables, tokens) - first).max() > 0.1


def test_attention_that_is_kept_changes_no_gradient(monkeypatch):
  one_head = functools.partial(attention.headwise_attention, max_logits=1)
  monkeypatch.setattr(attention, 'headwise_attention', one_head)
  options = {'scan': True, 'attention': 'headwise'}
  module, queries, context = make_cross_encoder(**options)
  shapes = jax.eval_shape(module.init, jax.random.key(2), queries, context)
  rng = np.random.default_rng(0)
  variables = jax.tree.map(
    lambda leaf: rng.normal(0, 0.3, leaf.shape).astype(np.float32), shapes
  )

  def loss(variables, remat):
    module, *_ = make_cross_encoder(remat=remat, **options)
    return (module.apply(variables, queries, context) ** 2).mean()

  kept, whole = jax.jit(
    lambda variables: [
      jax.value_and_grad(loss)(variables, remat)
      for remat in ('attention', 'none')
    ]
  )(variables)
  for ours, plain in zip(jax.tree.leaves(kept), jax.tree.leaves(whole)):
    np.testing.assert_allclose(ours, plain, rtol=1e-5, atol=1e-6)


# What JAX derives by itself.
DERIVED = {
  'gelu': functools.partial(nn.gelu, approximate=False),
  'gelu_tanh': nn.gelu,
  'quick_gelu': lambda x: x * nn.sigmoid(1.702 * x),
  'relu': nn.relu,
  'silu': nn.silu,
}


@pytest.mark.parametrize('name', ACTIVATIONS)
def test_activations_and_their_gradients_are_those_that_jax_derives(name):
  hidden = jnp.linspace(-6, 6, 1001)
  found, derived = (
    jax.vmap(jax.value_and_grad(function))(hidden)
    for function in (ACTIVATIONS[name], DERIVED[name])
  )
  np.testing.assert_array_equal(found[0], derived[0])
  np.testing.assert_allclose(found[1], derived[1], rtol=1e-6, atol=1e-6)


def _kept(function, *arrays):
  """Shapes and types of what is kept for the backward pass."""
  _, backward = jax.vjp(function, *arrays)
  return sorted((x.dtype.name, x.shape) for x in jax.tree.leaves(backward))


@pytest.mark.parametrize('name', sorted(ACTIVATIONS.keys() - {'relu'}))
def test_of_an_activation_one_array_is_kept(name):
  hidden = jnp.ones((3, 7), jnp.bfloat16)
  [(_, shape)] = _kept(ACTIVATIONS[name], hidden)
  assert shape == (3, 7)


def test_of_an_mlp_its_input_and_two_arrays_of_the_hidden_width_are_kept():
  mlp = Mlp(hidden_dim=16, dtype=jnp.bfloat16)
  tokens = jnp.ones((5, 4), jnp.bfloat16)
  variables = mlp.init(jax.random.key(0), tokens)
  kept = _kept(lambda tokens: mlp.apply(variables, tokens), tokens)
  assert [k for k in kept if k[1] == (5, 16)] == [('bfloat16', (5, 16))]
  kept = _kept(mlp.apply, variables, tokens)
  assert [k for k in kept if k[1] == (5, 16)] == 2 * [('bfloat16', (5, 16))]


def test_of_a_norm_its_input_alone_is_kept_and_gradients_are_derived_ones():
  tokens = jax.random.normal(jax.random.key(0), (5, 8))
  norm = layer_norm(jnp.float32)
  variables = norm.init(jax.random.key(1), tokens)
  variables = jax.tree.map(
    lambda x: x + jax.random.normal(jax.random.key(2), x.shape), variables
  )

  def loss(module, variables, tokens):
    return jnp.sum(module.apply(variables, tokens) ** 3)

  plain = nn.LayerNorm(epsilon=1e-6)
  found, derived = (
    jax.grad(functools.partial(loss, module), (0, 1))(variables, tokens)
    for module in (norm, plain)
  )
  jax.tree.map(
    functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5),
    *(found, derived),
  )
  small = layer_norm(jnp.bfloat16)
  kept = _kept(small.apply, variables, tokens.astype(jnp.bfloat16))
  assert [k for k in kept if k[1] == (5, 8)] == [('bfloat16', (5, 8))]
