"""The linear probe against scikit-learn, and what it is allowed to see."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from rvmae_jax.evals.linear_probe import (
  LinearProbeEval,
  fit_logistic,
  principal_axes,
)
from rvmae_jax.evals.videos import Videos

_VIDEOS = Videos(
  clip={'name': 'uniform', 'num_frames': 8}, patch_size=8, batch_size=4
)


def _blobs(num_rows: int, width: int = 20, spread: float = 3.0):
  """Four overlapping classes with strongly correlated features."""
  rng = np.random.default_rng(0)
  labels = rng.integers(0, 4, num_rows)
  features = rng.normal(size=(4, width))[labels]
  features += spread * rng.normal(size=(num_rows, width))
  features = features @ rng.normal(size=(width, width))
  return (features - features.mean(0)) / features.std(0), labels


@pytest.mark.parametrize('penalty', [1.0, 0.01, 1e-4])
@pytest.mark.parametrize('num_rows', [200, 15])
def test_agrees_with_scikit_learn(penalty, num_rows):
  features, labels = _blobs(num_rows)
  weights, bias = fit_logistic(features, labels, penalty)
  reference = LogisticRegression(
    C=1 / (penalty * num_rows), solver='newton-cg', tol=1e-8, max_iter=1000
  ).fit(features, labels)
  expected = reference.predict_proba(features)
  scores = features @ weights + bias
  found = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
  np.testing.assert_allclose(found, expected, atol=2e-4)


def _choose_penalty(features, labels, penalties):
  probe = LinearProbeEval(train=_VIDEOS, test=_VIDEOS, penalties=penalties)
  return probe.choose_penalty(features, labels, seed=0)


def test_equal_penalties_are_settled_for_the_larger():
  assert _choose_penalty(*_blobs(100, spread=0.01), (1e-6, 1e-2)) == (1e-2, 1)


def test_a_penalty_that_hides_the_class_is_not_chosen():
  rng = np.random.default_rng(1)
  labels = rng.integers(0, 2, 400)
  features = rng.normal(size=(400, 3))
  # The class is one feature's sign, by a hair: strong shrinkage misses it.
  features[:, 0] = 0.01 * (2 * labels - 1)
  assert _choose_penalty(features, labels, (10.0, 1e-6))[0] == 1e-6


@pytest.mark.parametrize('num_rows', [30, 8])
def test_principal_axes_rebuild_the_features(num_rows):
  features, _ = _blobs(num_rows)
  variance, axes = principal_axes(features)
  np.testing.assert_allclose(axes.T @ axes, np.eye(len(variance)), atol=1e-6)
  np.testing.assert_allclose(features @ axes @ axes.T, features, atol=1e-6)
