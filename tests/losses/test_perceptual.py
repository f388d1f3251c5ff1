import jax.numpy as jnp
import numpy as np

from rvmae_jax.losses import LOSSES


def test_distance_of_directions_by_hand():
  """The same, opposite and orthogonal directions, whatever their length."""
  features = jnp.array([[2.0, 0.0], [1.0, 0.0], [0.0, 3.0]])
  target = jnp.array([[5.0, 0.0], [-1.0, 0.0], [1.0, 0.0]])
  distance = LOSSES.get('perceptual')(features, target)
  np.testing.assert_allclose(distance, [0.0, 4.0, 2.0], atol=1e-6)
