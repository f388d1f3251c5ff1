"""How close predicted keypoints come: PCK."""

from collections.abc import Sequence

import numpy as np

# A frame's unit of length is this share of the diagonal around its keypoints.
BOX_SHARE = 0.6


def keypoint_errors(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
  """Distances in units of the size of what is tracked.

  The unit is 0.6 of the diagonal of the box around the true keypoints of the
  frame: JHMDB's rule, as label propagation measures it.

  Args:
    predicted: [..., K, 2] x and y; NaN is nowhere.
    true: [..., K, 2], NaN where a keypoint is not visible.

  Returns:
    [..., K]: infinite where the prediction is nowhere, NaN where nothing is
    visible.
  """
  visible = ~np.isnan(true).any(-1)
  present = visible[..., None]
  low = np.where(present, true, np.inf).min(-2)
  high = np.where(present, true, -np.inf).max(-2)
  # A frame with nothing visible has no box, and no error to divide by it.
  extent = np.where(visible.any(-1)[..., None], high - low, np.nan)
  unit = BOX_SHARE * np.linalg.norm(extent, axis=-1, keepdims=True)
  distance = np.linalg.norm(predicted - np.where(present, true, 0), axis=-1)
  distance = np.where(np.isnan(distance), np.inf, distance)
  # One keypoint alone has no size: it counts when it is met exactly.
  error = distance / np.where(unit == 0, np.finfo(float).tiny, unit)
  return np.where(visible, error, np.nan)


def pck(
  errors: np.ndarray, thresholds: Sequence[float] = (0.1, 0.2, 0.3, 0.4, 0.5)
) -> list[float]:
  """Share of correct keypoints, within each threshold.

  Every kind of keypoint counts alike, however often it is visible.

  Args:
    errors: [frames, K] of `keypoint_errors`, over all videos.
    thresholds: an error up to that is correct.

  Returns:
    Numbers in [0, 1]; kinds that are never visible are left out.
  """
  visible = ~np.isnan(errors)
  seen = visible.any(0)
  count = visible.sum(0)[seen]
  return [
    float(((errors <= t).sum(0)[seen] / count).mean()) if seen.any() else 0.0
    for t in thresholds
  ]
