"""The localization head: targets and losses by hand, and what it can learn."""

import numpy as np
import pytest

from rvmae_jax.evals.localization_head import (
  LocalizationHead,
  diou_loss,
  step_targets,
)
from rvmae_jax.evals.proposals import propose
from rvmae_jax.metrics.localization import (
  AMBIGUOUS,
  Truth,
  mean_average_precision,
)

_CLASSES = 8


def _truth(segments, labels):
  return Truth(np.array(segments, float).reshape(-1, 2), np.array(labels))


def test_the_middle_finds_and_the_rest_of_a_segment_does_not_count():
  targets = step_targets(_truth([[2, 6]], [1]), 8, 2, middle=0.5)
  assert targets['found'].tolist() == [0, 0, 0, 1, 1, 0, 0, 0]
  assert targets['counts'].tolist() == [1, 1, 0, 1, 1, 0, 1, 1]
  assert targets['classes'][:, 1].tolist() == [0, 0, 0, 1, 1, 0, 0, 0]
  assert not targets['classes'][:, 0].any()
  # The middle of step 3 lies at 3.5.
  assert targets['distances'][3].tolist() == [1.5, 2.5]


def test_a_step_finds_the_shortest_segment_and_says_both_classes():
  truth = _truth([[2, 4], [0, 6]], [0, 1])
  targets = step_targets(truth, 6, 2)
  assert targets['distances'][2].tolist() == [0.5, 1.5]
  assert targets['distances'][1].tolist() == [1.5, 4.5]
  assert targets['classes'][2].tolist() == [1, 1]


def test_short_segments_have_a_step_and_ambiguous_ones_none():
  truth = _truth([[1.2, 1.8], [3, 5]], [0, AMBIGUOUS])
  targets = step_targets(truth, 5, 1, middle=0.1)
  assert targets['found'].tolist() == [0, 1, 0, 0, 0]
  assert targets['counts'].tolist() == [1, 1, 1, 0, 0]


def test_a_segment_between_the_middles_of_steps_is_no_background():
  targets = step_targets(_truth([[1.6, 1.9], [4.9, 5]], [0, 0]), 5, 1)
  assert not targets['found'].any()
  assert targets['counts'].tolist() == [1, 0, 1, 1, 0]


@pytest.mark.parametrize(
  ('segment', 'label', 'counts'),
  [
    ((2.1, 2.3), AMBIGUOUS, [1, 1, 0, 1]),
    ((1.9, 2.1), 0, [1, 0, 0, 1]),
    ((4, 4), 0, [1, 1, 1, 1]),  # It lies after the end of the video.
  ],
)
def test_what_covers_no_middle_of_a_step(segment, label, counts):
  targets = step_targets(_truth([segment], [label]), 4, 1)
  assert not targets['found'].any()
  assert targets['counts'].tolist() == counts


def test_no_segments_at_all():
  targets = step_targets(_truth([], []), 3, 2)
  assert targets['counts'].all() and not targets['found'].any()


def test_diou_loss():
  # [-1, 3] and [-3, 1]: 2 of 6 shared, centres 2 apart.
  found = diou_loss(np.array([1.0, 3.0]), np.array([3.0, 1.0]))
  assert float(found) == pytest.approx(1 - 2 / 6 + (2 / 6) ** 2)
  assert float(diou_loss(np.ones(2), np.ones(2))) == 0


def _videos(num_videos, seed):
  """One-hot truth, as features; segments, and what is between."""
  rng = np.random.default_rng(seed)
  features, truths = [], []
  for _ in range(num_videos):
    lengths = rng.integers(4, 12, 9)
    lengths[::2] = rng.integers(2, 6, 5)
    ends = lengths.cumsum()
    segments = np.stack([ends - lengths, ends], axis=1)[1::2]
    labels = rng.integers(0, _CLASSES, 4)
    rows = np.zeros((ends[-1], _CLASSES), np.float32)
    for (start, end), label in zip(segments, labels):
      rows[start:end, label] = 1
    features.append(rows)
    truths.append(Truth(segments.astype(float), labels))
  return features, truths


@pytest.fixture(scope='module')
def maps():
  """mAP at 0.5 of a head that learned the truth, and one that learned others'.

  Both see one-hot truth as features; the second learns from labels and times
  that belong to other videos.
  """
  features, truths = _videos(24, seed=0)
  test_features, test_truths = _videos(12, seed=1)
  values = {}
  for name, learned in (
    ('true', truths),
    ('shuffled', truths[1:] + truths[:1]),
  ):
    head = LocalizationHead(
      num_classes=_CLASSES, width=16, num_blocks=3, crop=64, num_steps=200
    )
    localize, losses = head.fit(features, learned)
    assert losses[-1] < losses[0]
    found = [propose(*localize(rows)) for rows in test_features]
    [values[name]] = mean_average_precision(test_truths, found, [0.5])
  return values


def test_perfect_features_are_localized_perfectly(maps):
  assert maps['true'] > 0.99


def test_shuffled_truth_teaches_nothing(maps):
  assert maps['shuffled'] < 0.15
