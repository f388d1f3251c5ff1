"""Dense layers on bfloat16 factors: what is rounded and what is not."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvmae_jax.layers.bfloat16_products import (
  bfloat16_kernels,
  bfloat16_products,
)


@pytest.mark.parametrize(
  'layer',
  [
    nn.Dense(5, bias_init=nn.initializers.normal()),
    nn.DenseGeneral((2, 5), use_bias=False),
    nn.DenseGeneral(5, axis=(-2, -1), bias_init=nn.initializers.normal()),
  ],
  ids=['dense', 'several features', 'several axes'],
)
def test_factors_alone_are_rounded(layer):
  tokens = jax.random.normal(jax.random.key(0), (2, 3, 4, 6))
  params = layer.init(jax.random.key(1), tokens)['params']
  with bfloat16_products():
    got = layer.apply({'params': params}, tokens)
  rounded = {**params, 'kernel': _rounded(params['kernel'])}
  want = layer.apply({'params': rounded}, _rounded(tokens))
  assert got.dtype == jnp.float32
  np.testing.assert_allclose(got, want, atol=1e-6)


def test_other_layers_and_later_ones_are_as_they_were():
  dense, norm = nn.Dense(5), nn.LayerNorm()
  tokens = jax.random.normal(jax.random.key(0), (3, 6))
  normed, _ = norm.init_with_output(jax.random.key(1), tokens)
  outputs, variables = dense.init_with_output(jax.random.key(1), tokens)
  with bfloat16_products():
    again, _ = norm.init_with_output(jax.random.key(1), tokens)
  np.testing.assert_array_equal(again, normed)
  np.testing.assert_array_equal(dense.apply(variables, tokens), outputs)


def test_kernels_alone_become_bfloat16():
  ones = jnp.ones(2)
  params = {'dense': {'kernel': ones, 'bias': ones}, 'norm': {'scale': ones}}
  dtypes = jax.tree.map(lambda leaf: leaf.dtype.name, bfloat16_kernels(params))
  assert dtypes == {
    'dense': {'kernel': 'bfloat16', 'bias': 'float32'},
    'norm': {'scale': 'float32'},
  }


def _rounded(values):
  return values.astype(jnp.bfloat16).astype(jnp.float32)
