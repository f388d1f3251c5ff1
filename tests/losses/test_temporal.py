import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvmae_jax.losses import LOSSES

slowness = LOSSES.get('temporal_slowness')


def course(*values):
  """One token of one channel through time: [1, T, 1, 1]."""
  return jnp.array(values, jnp.float32).reshape(1, -1, 1, 1)


def test_changes_by_hand():
  """Two clips of three frames of one token: changes 1 3, and 0 0."""
  features = jnp.array([[0.0, 1.0, 4.0], [2.0, 2.0, 2.0]])[:, :, None, None]
  np.testing.assert_allclose(LOSSES.get('temporal_l1')(features), [2.0, 0.0])
  np.testing.assert_allclose(LOSSES.get('temporal_l2')(features), [5.0, 0.0])


@pytest.mark.parametrize('name', ['l1', 'l2', 'slowness'])
def test_one_frame_is_answered(name):
  with pytest.raises(ValueError, match=r'not \[2, 1, 5, 8\]'):
    LOSSES.get(f'temporal_{name}')(jnp.zeros((2, 1, 5, 8)))


@pytest.mark.parametrize(
  ('values', 'ratio'),
  [
    # Squared changes 4 4 4, variance 4 / 3.
    ((-1, 1, -1, 1), 4 / (8 / 3)),
    # Changes 0 4 0: mean 4 / 3.
    ((-1, -1, 1, 1), 0.5),
    # A line: changes 1, variance 5 / 3.
    ((0, 1, 2, 3), 0.3),
    # Variance 2.5.
    ((0, 1, 2, 3, 4), 0.2),
  ],
)
def test_slowness_by_hand(values, ratio):
  want = max(0, ratio - 0.3)
  np.testing.assert_allclose(slowness(course(*values)), want, atol=1e-5)


def test_noise_has_a_ratio_of_one():
  features = np.random.default_rng(0).normal(size=(2, 8, 40, 64))
  np.testing.assert_allclose(slowness(jnp.array(features)), 0.7, atol=0.02)


def test_standing_still_is_no_way_out():
  """A state that stops after the first frame is not below one that moves."""
  rng = np.random.default_rng(0)
  moving = jnp.array(rng.normal(size=(1, 8, 4, 16)), jnp.float32)
  still = jnp.broadcast_to(moving[:, :1], moving.shape)
  assert slowness(still) == pytest.approx(0.7, abs=1e-4)
  assert slowness(still + 0.01 * (moving - still)) == pytest.approx(
    float(slowness(moving)[0]), rel=0.02
  )


@pytest.mark.parametrize('scale', [1e-3, 0.1, 10.0, 1e3])
def test_scaling_and_shifting_features_changes_nothing(scale):
  features = jnp.array(np.random.default_rng(0).normal(size=(2, 6, 4, 8)))
  want = slowness(features)
  np.testing.assert_allclose(slowness(scale * features), want, rtol=1e-4)
  np.testing.assert_allclose(slowness(features + 3), want, rtol=1e-3)
  # So its gradient has no part along them: it never makes them smaller.
  slope = jax.grad(lambda s: slowness(s * features).sum())(scale)
  assert abs(slope * scale) < 1e-4


def test_gradients_are_finite_where_nothing_moves():
  gradient = jax.grad(lambda x: slowness(x).sum())
  for features in (jnp.zeros((1, 4, 2, 3)), jnp.ones((1, 4, 2, 3))):
    assert np.isfinite(gradient(features)).all()
