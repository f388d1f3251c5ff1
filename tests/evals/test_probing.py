"""Probes on made-up features: perfect ones, shuffled labels, no labels."""

import functools

import numpy as np
import pytest

from rvmae_jax.evals.features import (
  FeatureSet,
  gather,
  patch_colours,
  thumbnails,
)
from rvmae_jax.evals.knn import KnnEval
from rvmae_jax.evals.linear_probe import LinearProbeEval
from rvmae_jax.evals.videos import Videos
from rvmae_jax.evals.views import Views

_VIDEOS = Videos(
  sources={'noise': {'name': 'fake'}},
  clip={'name': 'uniform', 'num_frames': 8},
  patch_size=8,
  batch_size=4,
)


def _probe(kind, **settings):
  settings = {'poolings': ('mean',), **settings}
  return kind(train=_VIDEOS, test=_VIDEOS, **settings)


def _compare(probe, *pairs):
  return probe.count(probe.answer_pairs(pairs)).metrics


def _features(labels: np.ndarray, seed: int, signal: float = 10) -> FeatureSet:
  """Each class is a direction, plus noise."""
  rng = np.random.default_rng(seed)
  features = signal * np.eye(8)[labels] + rng.normal(size=(len(labels), 8))
  return FeatureSet({'trained': {'mean': features.astype(np.float32)}}, labels)


_SgdProbe = functools.partial(
  LinearProbeEval, solver='sgd', learning_rates=(0.03, 0.3), num_epochs=2
)


@pytest.mark.parametrize('kind', [KnnEval, LinearProbeEval, _SgdProbe])
class TestProbe:
  def test_features_that_tell_the_class_give_one(self, kind):
    labels = np.arange(240) % 8
    pair = _features(labels, 0), _features(labels, 1)
    metrics = _compare(_probe(kind), pair)
    assert metrics['trained/mean/top1'] == 1
    assert metrics['chance'] == 0.125
    assert metrics['num_test'] == 240

  def test_shuffled_labels_give_chance(self, kind):
    labels = np.arange(800) % 8
    shuffled = np.random.default_rng(2).permutation(labels)
    train = FeatureSet(_features(labels, 0, signal=0).pooled, shuffled)
    test = _features(labels, 1, signal=0)
    accuracy = _compare(_probe(kind), (train, test))['trained/mean/top1']
    # Four standard errors of 800 answers.
    assert accuracy == pytest.approx(0.125, abs=0.047)

  def test_labels_may_have_gaps(self, kind):
    train = _features(np.array([1, 5] * 40), 0)
    test = _features(np.array([1, 5, 7] * 20), 1)
    metrics = _compare(_probe(kind), (train, test))
    # Class 7 was never seen, so its third of the videos is always wrong.
    assert metrics['trained/mean/top1'] == pytest.approx(2 / 3)
    assert metrics['num_classes'] == 8


def test_probabilities_of_views_are_averaged():
  labels = np.array([0, 1] * 8)
  train = _features(labels, 0)
  # One view says class 1 loudly, two say class 0 with a low voice.
  loud, low = np.eye(8)[1] * 12, np.eye(8)[0] * 6 + np.eye(8)[1] * 4
  views = np.stack([loud, low, low]).astype(np.float32)[None]
  test = FeatureSet({'trained': {'mean': views}}, np.array([0]))
  probe = _probe(KnnEval, k=4)
  answers = probe.answer_pairs([(train, test)])
  [answer] = answers.given['trained/mean']
  np.testing.assert_allclose(answer.probabilities, [[2 / 3, 1 / 3]], atol=1e-6)


def test_seeds_give_a_mean_and_a_deviation():
  labels = np.arange(40) % 4
  train, test = _features(labels, 0), _features(labels, 1)
  blind = FeatureSet(_features(labels, 2, signal=0).pooled, labels)
  metrics = _compare(_probe(KnnEval), (train, test), (blind, test))
  first = _compare(_probe(KnnEval), (train, test))['trained/mean/top1']
  second = _compare(_probe(KnnEval), (blind, test))['trained/mean/top1']
  assert metrics['trained/mean/top1'] == pytest.approx((first + second) / 2)
  # The deviation of two numbers is their distance over the root of 2.
  assert metrics['trained/mean/top1_std'] == pytest.approx(
    abs(first - second) / 2**0.5
  )


def test_what_was_chosen_is_told():
  labels = np.arange(80) % 8
  pair = _features(labels, 0), _features(labels, 1)
  metrics = _compare(_probe(_SgdProbe, learning_rates=(0.0, 0.3)), pair)
  assert metrics['trained/mean/learning_rate'] == 0.3
  assert metrics['trained/mean/validation_top1'] > 0.9
  assert 0 <= metrics['trained/mean/ece'] <= 1


@pytest.mark.parametrize(
  ('pooling', 'message'),
  [('means', 'Unknown pooling'), ('mean_9', 'clips of 8 frames .* up to 8')],
)
def test_poolings_that_cannot_be_are_refused(pooling, message):
  with pytest.raises(ValueError, match=message):
    _probe(KnnEval, poolings=(pooling,))


def test_settings_of_another_solver_are_refused():
  with pytest.raises(ValueError, match=r'num_epochs=3 does nothing .*lbfgs'):
    _probe(LinearProbeEval, num_epochs=3)


def test_rows_that_are_padding_or_unlabelled_are_left_out():
  batch = {
    'video': np.zeros((4, 3, 16, 16, 3), np.uint8),
    'label': np.array([2, -1, 0, 1], np.int32),
    'valid': np.array([True, True, True, False]),
    'host/source': np.array([0, 0, 1, 1], np.int32),
    'host/record': np.array([7, 8, 9, 9], np.int32),
  }

  def colours(batch):
    return {'mean': batch['video'][:, 0, 0, 0, :] + np.arange(4)[:, None]}

  rows, labels, places = gather(colours, [batch], Views())
  assert labels.tolist() == [2, 0]
  assert places.tolist() == [[0, 7], [1, 9]]
  assert rows['mean'][:, 0, 0].tolist() == [0, 2]


def test_thumbnails_are_means_of_squares():
  frame = np.zeros((32, 48, 3), np.uint8)
  frame[:2, :2, 0] = [[0, 255], [255, 0]]
  small = thumbnails(frame[None, None])
  assert small.shape == (1, 1, 1, 16 * 24 * 3)
  assert small[0, 0, 0, 0] == pytest.approx(0.5)
  assert small.sum() == pytest.approx(0.5)


def test_colours_of_patches_lie_row_by_row():
  frame = np.zeros((4, 6, 3), np.uint8)
  frame[:2, 2:4] = 255  # The second patch of the first row.
  colours = patch_colours(frame[None, None], patch_size=2)
  assert colours.shape == (1, 1, 6, 12)
  assert colours.dtype == np.float32
  np.testing.assert_array_equal(colours[0, 0, :, 0], [-1, 1, -1, -1, -1, -1])
