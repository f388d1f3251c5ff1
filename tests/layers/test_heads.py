import jax
import jax.numpy as jnp
import numpy as np

from rvmae_jax.layers.heads import BatchNorm, BatchNormMlp


def test_batch_norm_by_hand():
  vectors = jnp.array([[1.0, 5.0], [3.0, 5.0]])
  out, variables = BatchNorm().init_with_output(jax.random.key(0), vectors)
  # Mean 2 and deviation 1; a column without deviation becomes 0.
  np.testing.assert_allclose(out, [[-1, 0], [1, 0]], atol=1e-5)
  variables['params']['scale'] += 1.0
  variables['params']['bias'] += 7.0
  out = BatchNorm().apply(variables, vectors)
  np.testing.assert_allclose(out, [[5, 7], [9, 7]], atol=1e-4)


def test_the_last_norm_has_no_parameters():
  shapes = jax.eval_shape(
    BatchNormMlp((6, 6, 3)).init, jax.random.key(0), jnp.ones((2, 4))
  )
  assert set(shapes['params']) == {
    'dense_0',
    'norm_0',
    'dense_1',
    'norm_1',
    'dense_2',
  }


def test_only_the_first_axis_shares_statistics():
  rng = np.random.default_rng(0)
  vectors = rng.normal(size=(16, 2, 4))
  head = BatchNormMlp((8, 3))
  both, variables = jax.jit(head.init_with_output)(jax.random.key(0), vectors)
  for view in range(2):
    one = jax.jit(head.apply)(variables, vectors[:, view])
    np.testing.assert_allclose(both[:, view], one, atol=1e-5)
