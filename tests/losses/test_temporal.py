import jax.numpy as jnp
import numpy as np
import pytest

from rvmae_jax.losses import LOSSES


def test_changes_by_hand():
  """Two clips of three frames of one token: changes 1 3, and 0 0."""
  features = jnp.array([[0.0, 1.0, 4.0], [2.0, 2.0, 2.0]])[:, :, None, None]
  np.testing.assert_allclose(LOSSES.get('temporal_l1')(features), [2.0, 0.0])
  np.testing.assert_allclose(LOSSES.get('temporal_l2')(features), [5.0, 0.0])


def test_one_frame_is_answered():
  with pytest.raises(ValueError, match=r'not \[2, 1, 5, 8\]'):
    LOSSES.get('temporal_l1')(jnp.zeros((2, 1, 5, 8)))
