"""What is counted, and what is left out."""

import numpy as np
import pytest

from rvmae_jax.evals.tracking.scores import (
  KeypointScores,
  ObjectScores,
  PartScores,
)


def mask(*numbers):
  """A frame of 40x40 in upright stripes, one for each number."""
  stripes = np.repeat(np.array(numbers, np.uint8), 40 // len(numbers))
  return np.broadcast_to(stripes, (40, 40))


TWO, ONE, NONE = mask(0, 1, 2, 0), mask(0, 1, 0, 0), mask(0, 0, 0, 0)


def test_the_first_and_the_last_frame_are_left_out():
  scores = ObjectScores()
  for frame, predicted in enumerate([NONE, TWO, ONE, NONE]):
    scores.add(frame, predicted, TWO)
  # Object 1 is met in both frames that count, object 2 in one of them.
  assert scores.end_video(num_frames=4) == 0.75
  summary = scores.summary()
  assert summary['J'] == summary['F'] == summary['J&F'] == 0.75
  assert summary['J_recall'] == 0.75


def test_every_object_counts_the_same():
  scores = ObjectScores()
  for frame in range(3):
    scores.add(frame, TWO, TWO)
  scores.end_video(3)
  for frame in range(9):
    scores.add(frame, NONE, ONE)
  assert scores.end_video(9) == 0
  assert scores.summary()['J'] == pytest.approx(2 / 3)


def test_frames_without_truth_are_not_measured():
  scores = ObjectScores()
  scores.add(0, TWO, TWO)
  assert np.isnan(scores.end_video(100))
  assert scores.summary() == {}


def test_parts_are_counted_over_all_videos():
  scores = PartScores(num_classes=3)
  for predicted in (TWO, ONE):
    scores.add(0, NONE, TWO)  # Given, so it does not count.
    scores.add(1, predicted, TWO)
    scores.end_video(2)
  # Of 2 * 40 * 40 pixels: class 0 is half, 1 and 2 a quarter each; half of
  # class 2 was called 0.
  expected = np.mean([1 / 1.25, 1, 0.5])
  assert scores.summary() == {'mIoU': pytest.approx(expected)}


def test_keypoints_are_counted_over_all_videos():
  scores = KeypointScores()
  true = np.array([[0.0, 0.0], [30, 40]])  # The unit is 30.
  for shift in (2.9, 14.9):
    scores.add(0, true + 99, true)
    scores.add(1, true + [shift, 0], true)
    scores.end_video(2)
  summary = scores.summary()
  assert summary['PCK@0.1'] == 0.5
  assert summary['PCK@0.4'] == 0.5
  assert summary['PCK@0.5'] == 1


@pytest.mark.parametrize('scores', [PartScores(), KeypointScores()])
def test_nothing_to_measure(scores):
  assert np.isnan(scores.end_video(5))
  assert scores.summary() == {}
