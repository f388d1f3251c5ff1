"""How well boxes overlap."""

import numpy as np


def box_iou(one: np.ndarray, other: np.ndarray) -> np.ndarray:
  """Intersection over union of pairs of boxes: [..., 4] twice -> [...].

  Args:
    one, other: y1, x1, y2, x2. A box that ends before it begins is empty, and
      overlaps nothing.
  """
  low = np.maximum(one[..., :2], other[..., :2])
  high = np.minimum(one[..., 2:], other[..., 2:])
  common = np.prod(np.maximum(high - low, 0), axis=-1)
  areas = [
    np.prod(np.maximum(box[..., 2:] - box[..., :2], 0), axis=-1)
    for box in (one, other)
  ]
  union = sum(areas) - common
  return common / np.where(union > 0, union, 1)


def tracked_iou(pred: np.ndarray, true: np.ndarray) -> float:
  """Mean IoU of the boxes of a video, in the frames after the first.

  Args:
    pred: [N, T, 4] y1, x1, y2, x2.
    true: [N, T, 4], NaN where a box is not there.

  Returns:
    A number in 0..1; NaN where no box is there after the first frame.
  """
  iou = box_iou(pred[:, 1:], true[:, 1:])
  known = ~np.isnan(true[:, 1:]).any(-1)
  return float(iou[known].mean()) if known.any() else float('nan')
