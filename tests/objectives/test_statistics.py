import jax.numpy as jnp
import numpy as np
import pytest

from rvmae_jax.objectives.statistics import (
  core_metrics,
  feature_metrics,
  network_metrics,
)

STATS = {
  'update_gate': jnp.array([[[0.0, 1.0]]]),
  'reset_gate': jnp.array([[[0.25, 0.75]]]),
  'gate_saturation': jnp.array([[1.0, 0.0]]),
  'state_norm': jnp.array([[1.0, 2.0], [3.0, 6.0]]),
}


def test_core_metrics_by_hand():
  """A state of two numbers: 3 4, then 3 0, then 4 3."""
  features = jnp.array([[3.0, 4.0], [3.0, 0.0], [4.0, 3.0]])[None, :, None]
  metrics = core_metrics(STATS, features)
  assert metrics['core/update_gate'] == 0.5
  assert metrics['core/gate_saturation'] == 0.5
  assert metrics['core/state_norm_first'] == 2.0
  assert metrics['core/state_norm_last'] == 4.0
  # Squared changes 16 and 1 + 9, squared states 9 and 25.
  assert metrics['core/state_change'] == pytest.approx(np.sqrt(26 / 34))


def test_a_single_frame_has_no_change():
  assert 'core/state_change' not in core_metrics(STATS, jnp.ones((1, 1, 2, 3)))


def test_features_of_clips_by_hand():
  """Means (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), each plus (0, 0, 1)."""
  rows = np.array([[1, 0, 1], [-1, 0, 1], [0, 1, 1], [0, -1, 1]], np.float32)
  # Two tokens each, apart from their mean by what cancels out.
  features = jnp.stack([rows + 5, rows - 5], axis=1)[:, None]  # [4, 1, 2, 3]
  metrics = feature_metrics(features)
  # Variance 4 of 8 in all; spread evenly over two directions.
  assert metrics['features/deviation'] == pytest.approx(np.sqrt(0.5))
  assert metrics['features/rank'] == pytest.approx(2)


@pytest.mark.parametrize('scale', [1e-4, 1.0, 1e4])
def test_neither_depends_on_scale(scale):
  rows = np.random.default_rng(0).normal(size=(8, 1, 4)).astype(np.float32)
  want, found = feature_metrics(rows), feature_metrics(rows * scale)
  for name, value in want.items():
    np.testing.assert_allclose(found[name], value, rtol=1e-4)


def test_clips_that_are_all_alike():
  metrics = feature_metrics(jnp.full((4, 3, 8), 7.0))
  assert metrics['features/deviation'] == 0
  assert np.isfinite(metrics['features/rank'])


def test_what_a_model_does_not_give_is_left_out():
  assert network_metrics({'pred': jnp.zeros(3)}) == {}
  few, enough = (
    network_metrics({'features': jnp.ones((n, 3, 4)), 'stats': {}})
    for n in (3, 4)
  )
  assert few == {}
  assert enough.keys() == {'features/deviation', 'features/rank'}
