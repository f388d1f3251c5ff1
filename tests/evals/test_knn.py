"""kNN votes worked by hand."""

import tracemalloc

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from rvmae_jax.evals.knn import KnnEval
from rvmae_jax.evals.videos import Videos

_VIDEOS = Videos(
  clip={'name': 'uniform', 'num_frames': 8}, patch_size=8, batch_size=4
)


def _answers(train, labels, test, **settings):
  probe = KnnEval(train=_VIDEOS, test=_VIDEOS, **settings)
  classify, _ = probe.fit(train, np.array(labels), seed=0)
  return classify(test)


def test_votes_weigh_by_similarity():
  train = np.array([[1.0, 0], [0, 1], [-1, 0]])
  # Length plays no part: the cosine to the three is 0.8, 0.6 and -0.8.
  test = np.array([[8.0, 6]])
  votes = _answers(train, [0, 1, 0], test, k=2, temperature=0.1)
  expected = np.exp([[-2.0, -4.0]])
  np.testing.assert_allclose(votes, expected / expected.sum(), rtol=1e-6)


def test_votes_do_not_underflow_at_a_low_temperature():
  train = np.array([[1.0, 0], [0, 1]], np.float32)
  test = np.array([[-1.0, -2]], np.float32)
  # The first is nearer, and both are far: cosines of -0.45 and -0.89.
  votes = _answers(train, [0, 1], test, k=2, temperature=1e-3)
  assert votes.tolist() == [[1, 0]]


@pytest.mark.parametrize('setting', [{'k': 0}, {'temperature': 0.0}])
def test_impossible_settings_are_refused(setting):
  [(name, value)] = setting.items()
  with pytest.raises(ValueError, match=f'{name}={value}'):
    KnnEval(train=_VIDEOS, test=_VIDEOS, **setting)


def test_k_may_exceed_the_training_set():
  train = np.eye(2)
  assert _answers(train, [0, 1], train, k=20).argmax(1).tolist() == [0, 1]


@pytest.mark.parametrize('k', [1, 3])
def test_far_rows_have_no_vote(k):
  train = np.array([[1.0, 0], [1, 0.1], [1, -0.1], [0, 1], [0.1, 1]])
  votes = _answers(train, [1, 1, 1, 0, 0], np.array([[1.0, 0]]), k=k)
  assert votes[0, 0] == 0


def test_votes_are_those_of_scikit_learn():
  rng = np.random.default_rng(0)
  train, test = rng.normal(size=(60, 5)), rng.normal(size=(20, 5))
  labels = rng.integers(0, 3, 60)
  reference = KNeighborsClassifier(
    n_neighbors=7,
    metric='cosine',
    weights=lambda distances: np.exp(-distances / 0.07),
  ).fit(train, labels)
  np.testing.assert_allclose(
    _answers(train, labels, test, k=7), reference.predict_proba(test)
  )


def test_memory_does_not_grow_with_the_number_of_questions(monkeypatch):
  rng = np.random.default_rng(0)
  train, test = rng.normal(size=(2000, 2)), rng.normal(size=(400, 2))
  labels = rng.integers(0, 3, 2000)
  votes = _answers(train, labels, test)
  monkeypatch.setattr('rvmae_jax.metrics.features._AT_ONCE', 3 * 2000)
  tracemalloc.start()
  np.testing.assert_allclose(_answers(train, labels, test), votes)
  _, peak = tracemalloc.get_traced_memory()
  tracemalloc.stop()
  # All similarities are 6.4 MB, three rows of them 0.05.
  assert peak < 1e6
