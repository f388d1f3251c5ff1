import jax.numpy as jnp
import numpy as np

from rvmae_jax.losses import LOSSES


def test_distance_by_hand():
  """Means over places, sums over layers."""
  features = [jnp.array([[[1.0, 0.0]], [[1.0, 0.0]]]), jnp.zeros((2, 2, 2, 1))]
  target = [jnp.array([[[0.0, 1.0]], [[-1.0, 0.0]]]), jnp.ones((2, 2, 2, 1))]
  target[1] = target[1].at[1, 1].set(0)
  distance = LOSSES.get('perceptual')
  np.testing.assert_allclose(distance(features, target), [2 + 1, 4 + 1 / 2])
  np.testing.assert_allclose(distance(features[0], target[0]), [2, 4])
