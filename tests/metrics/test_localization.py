"""mAP at tIoU: cases worked by hand, and the area against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve

from rvmae_jax.metrics.localization import (
  AMBIGUOUS,
  Detections,
  Truth,
  average_precision,
  class_average_precision,
  match,
  mean_average_precision,
  temporal_iou,
)


def _truth(*segments, labels=None):
  labels = labels or [0] * len(segments)
  return Truth(np.array(segments, float).reshape(-1, 2), np.array(labels))


def _found(*segments, scores, labels=None):
  return Detections(*_truth(*segments, labels=labels), np.array(scores, float))


_NOTHING = Detections(np.zeros((0, 2)), np.zeros(0, int), np.zeros(0))


def test_temporal_iou():
  first = np.array([[0, 10], [5, 5]])
  second = np.array([[0, 10], [5, 15], [10, 20], [2, 4], [5, 5]])
  # [5, 15] shares 5 of 15; [10, 20] only touches.
  expected = [[1, 1 / 3, 0, 0.2, 0], [0, 0, 0, 0, 0]]
  np.testing.assert_allclose(temporal_iou(first, second), expected)


def test_each_true_segment_is_found_once():
  true = np.array([[0.0, 10], [20, 30]])
  twice = np.array([[0.0, 10], [0, 9], [20, 29]])
  assert match(twice, true, 0.5).tolist() == [True, False, True]


def test_a_taken_segment_leaves_the_next_best():
  # Both detections overlap the first most; the later one still has the second.
  true = np.array([[0.0, 10], [4, 14]])
  found = np.array([[0.0, 10], [1, 11]])
  # tIoU with [4, 14] is 7 / 13.
  assert match(found, true, 0.5).tolist() == [True, True]
  assert match(found, true, 0.6).tolist() == [True, False]


def test_average_precision_is_interpolated():
  # Right, wrong, right of 2: precision 1, 1/2, 2/3.
  assert average_precision(np.array([1, 0, 1]), 2) == pytest.approx(5 / 6)
  # Precision 0, 1/2, 2/3 is interpolated to 2/3 throughout; 2 of 4 are found.
  assert average_precision(np.array([0, 1, 1]), 4) == pytest.approx(1 / 3)


def test_average_precision_is_the_area_that_scikit_learn_draws():
  rng = np.random.default_rng(0)
  is_right = rng.random(200) < np.linspace(0.9, 0.1, 200)
  precision, recall, _ = precision_recall_curve(is_right, -np.arange(200))
  precision = np.maximum.accumulate(precision)  # Recall falls along the curve.
  area = -(np.diff(recall) * precision[:-1]).sum()
  found = average_precision(is_right, is_right.sum())
  assert found == pytest.approx(area)


def test_scores_rank_over_all_videos():
  truths = [_truth((0, 10)), _truth((0, 10))]
  wrong_first = [
    _found((0, 10), scores=[0.5]),
    _found((50, 60), (0, 10), scores=[0.9, 0.8]),
  ]
  # False 0.9, true 0.8, true 0.5: precision 0, 1/2, 2/3, interpolated 2/3.
  expected = pytest.approx([2 / 3])
  assert class_average_precision(truths, wrong_first, 0, [0.5]) == expected


def test_map_by_threshold_and_class():
  truths = [_truth((0, 10), (20, 30), labels=[0, 1])]
  # tIoU 1 for class 0; 8 / 10 for class 1.
  found = [_found((0, 10), (20, 28), scores=[0.3, 0.9], labels=[0, 1])]
  values = mean_average_precision(truths, found, [0.5, 0.8, 0.9])
  np.testing.assert_allclose(values, [1, 1, 0.5])


def test_a_class_without_truth_does_not_count():
  truths = [_truth((0, 10)), _truth()]
  found = [
    _found((0, 10), (3, 7), scores=[0.9, 1.0], labels=[0, 5]),
    _NOTHING,
  ]
  assert mean_average_precision(truths, found, [0.5]) == pytest.approx([1])


def test_a_detection_in_a_video_without_its_class_is_false():
  truths = [_truth((0, 10)), _truth()]
  found = [_found((0, 10), scores=[0.5]), _found((0, 10), scores=[0.9])]
  assert mean_average_precision(truths, found, [0.5]) == pytest.approx([0.5])


def test_what_touches_an_ambiguous_segment_is_left_out():
  truths = [_truth((0, 10), (20, 30), labels=[0, AMBIGUOUS])]
  found = [_found((25, 50), (0, 10), scores=[0.9, 0.5])]
  assert mean_average_precision(truths, found, [0.5]) == pytest.approx([1])
  plain = [_truth((0, 10))]
  assert mean_average_precision(plain, found, [0.5]) == pytest.approx([0.5])


def test_nothing_found_and_nothing_to_find():
  assert mean_average_precision([_truth((0, 1))], [_NOTHING], [0.5]) == [0]
  with pytest.raises(ValueError, match='No true segment'):
    mean_average_precision([_truth()], [_NOTHING], [0.5])
