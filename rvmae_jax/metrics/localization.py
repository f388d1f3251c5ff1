"""Temporal localization: how well segments of video are found, mAP at tIoU."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# Those of the benchmark THUMOS14.
THUMOS_THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)
# Truth with this label is doubtful: to find it is neither right nor wrong.
AMBIGUOUS = -1


class Truth(NamedTuple):
  """What happens in one video.

  Attributes:
    segments: [n, 2] start and end.
    labels: [n] int, or AMBIGUOUS.
  """

  segments: np.ndarray
  labels: np.ndarray


class Detections(NamedTuple):
  """What was found in one video.

  Attributes:
    segments: [n, 2] start and end, in the units of the truth.
    labels: [n] int.
    scores: [n], higher is surer.
  """

  segments: np.ndarray
  labels: np.ndarray
  scores: np.ndarray


def temporal_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
  """Intersection over union of segments [n, 2] and [m, 2], [n, m].

  Two segments without any length have 0.
  """
  first, second = first[:, None], second[None]
  overlap = np.minimum(first[..., 1], second[..., 1]) - np.maximum(
    first[..., 0], second[..., 0]
  )
  overlap = overlap.clip(0)
  union = np.diff(first)[..., 0] + np.diff(second)[..., 0] - overlap
  return np.divide(overlap, union, out=np.zeros(union.shape), where=union > 0)


def mean_average_precision(
  truths: Sequence[Truth],
  detections: Sequence[Detections],
  thresholds: Sequence[float],
) -> np.ndarray:
  """Mean over classes of the average precision at each threshold.

  Detections of a class take their turn by descending score over all videos.
  Each takes, of the true segments of its class and video that are still free,
  the one of greatest tIoU if that reaches the threshold; otherwise it is false.
  Precision is interpolated over all points. This is what ActivityNet's code
  counts; what only touches an ambiguous segment is left out, as in THUMOS14's.

  Args:
    truths: of each video.
    detections: of the same videos in the same order.
    thresholds: tIoU that a match must reach.

  Returns:
    [thresholds] in [0, 1]. Classes without a true segment do not count.

  Raises:
    ValueError: there is no true segment at all.
  """
  classes = {
    label for truth in truths for label in np.unique(truth.labels).tolist()
  } - {AMBIGUOUS}
  if not classes:
    raise ValueError('No true segment in any video: mAP is not defined.')
  return np.mean(
    [
      class_average_precision(truths, detections, label, thresholds)
      for label in sorted(classes)
    ],
    axis=0,
  )


def class_average_precision(
  truths: Sequence[Truth],
  detections: Sequence[Detections],
  label: int,
  thresholds: Sequence[float],
) -> np.ndarray:
  """Average precision of one class at each threshold, [thresholds]."""
  scores, outcomes, num_true = [], [], 0
  for truth, found in zip(truths, detections, strict=True):
    is_class = found.labels == label
    true = truth.segments[truth.labels == label]
    doubtful = truth.segments[truth.labels == AMBIGUOUS]
    num_true += len(true)
    # Matching looks at one video, so the order within it is enough.
    order = np.argsort(-found.scores[is_class], kind='stable')
    segments = found.segments[is_class][order]
    scores.append(found.scores[is_class][order])
    right = [match(segments, true, threshold) for threshold in thresholds]
    touches = (temporal_iou(segments, doubtful) > 0).any(1)
    outcomes.append(np.where(right, 1, np.where(touches, np.nan, 0)))
  order = np.argsort(-np.concatenate(scores), kind='stable')
  outcomes = np.concatenate(outcomes, axis=1)[:, order]
  return np.array(
    [average_precision(row[~np.isnan(row)], num_true) for row in outcomes]
  )


def match(
  segments: np.ndarray, true: np.ndarray, threshold: float
) -> np.ndarray:
  """Which segments [n, 2], in their order, each take a true one: [n] bool."""
  overlap = temporal_iou(segments, true)
  is_right = np.zeros(len(segments), bool)
  for number in range(len(segments) if len(true) else 0):
    best = overlap[number].argmax()
    if overlap[number, best] >= threshold:
      is_right[number] = True
      overlap[:, best] = -1.0  # Taken.
  return is_right


def average_precision(is_right: np.ndarray, num_true: int) -> float:
  """Area under precision over recall, precision interpolated.

  Args:
    is_right: [n] of detections by descending score.
    num_true: how many there are to find.
  """
  right = np.cumsum(is_right)
  precision = right / np.arange(1, len(right) + 1)
  # Interpolated: the best that a recall at least as high still has.
  precision = np.maximum.accumulate(precision[::-1])[::-1]
  return float(precision @ np.asarray(is_right, float)) / num_true
