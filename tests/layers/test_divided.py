import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvmae_jax.layers.divided import DividedBlock
from rvmae_jax.layers.transformer import SelfAttentionBlock

B, T, K, D = 2, 3, 4, 8


@pytest.fixture(scope='module')
def block():
  """A block with one CLS token, its variables and tokens."""
  block = DividedBlock(num_heads=2, mlp_dim=16, num_prefix=1)
  tokens = jax.random.normal(jax.random.key(0), (B, T, 1 + K, D))
  tokens = tokens.at[:, :, 0].set(tokens[:, :1, 0])
  return block, block.init(jax.random.key(1), tokens), tokens


def trained(variables):
  """The same with every parameter away from its start."""
  leaves, tree = jax.tree.flatten(variables)
  keys = jax.random.split(jax.random.key(2), len(leaves))
  leaves = [x + jax.random.normal(k, x.shape) for x, k in zip(leaves, keys)]
  return jax.tree.unflatten(tree, leaves)


def test_a_fresh_block_is_an_image_transformers(block):
  block, variables, tokens = block
  params = {
    name: value
    for name, value in variables['params'].items()
    if not name.startswith('temporal')
  }
  image_block = SelfAttentionBlock(num_heads=2, mlp_dim=16)
  np.testing.assert_allclose(
    block.apply(variables, tokens)[:, :, 1:],
    image_block.apply({'params': params}, tokens)[:, :, 1:],
    atol=1e-5,
  )


def test_copies_of_the_cls_token_stay_equal(block):
  block, variables, tokens = block
  out = block.apply(trained(variables), tokens)
  np.testing.assert_allclose(
    out[:, :, 0], jnp.broadcast_to(out[:, :1, 0], (B, T, D)), atol=1e-5
  )


def test_time_goes_along_places_before_space_mixes_them(block):
  """Token (slot 0, place 0) reaches all of slot 0, and place 0 elsewhere.

  Through place 0 it reaches all places of the other slots too; so look at the
  attention over time alone, with the one over space switched off.
  """
  block, variables, tokens = block
  params = trained(variables)['params']
  params = params | {
    'attention': jax.tree.map(jnp.zeros_like, params['attention'])
  }
  before = block.apply({'params': params}, tokens)
  after = block.apply({'params': params}, tokens.at[:, 0, 1, 0].add(1.0))
  changed = np.abs(after - before).max((0, 3)) > 1e-4  # [T, 1+K]
  want = np.zeros((T, 1 + K), bool)
  want[:, 1] = True
  np.testing.assert_array_equal(changed, want)
