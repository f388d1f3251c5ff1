"""Poolings worked by hand."""

import jax.numpy as jnp
import numpy as np

from rvmae_jax.evals.pooling import POOLINGS, pool_all


def _ramp(num_frames: int = 10):
  """Features [1, T, 2, 1]: tokens t and t + 2 at frame t."""
  t = jnp.arange(num_frames, dtype=jnp.float32)
  return jnp.stack([t, t + 2], axis=-1)[None, :, :, None]


def test_poolings_of_a_ramp():
  pooled = {name: np.asarray(v)[0] for name, v in pool_all(_ramp()).items()}
  np.testing.assert_allclose(pooled['mean'], [5.5])
  np.testing.assert_allclose(pooled['last_state'], [10])
  # Token means of the last 8 frames: 3 to 10.
  np.testing.assert_allclose(
    pooled['mean_std_8'], [6.5, np.sqrt(5.25)], rtol=1e-6
  )
  np.testing.assert_allclose(pooled['absolute_difference'], [1])


def test_one_frame_has_finite_poolings():
  for name, pooled in pool_all(_ramp(1)).items():
    assert np.isfinite(pooled).all(), name
  assert POOLINGS['absolute_difference'](_ramp(1)) == 0
