"""How well masks agree: region similarity J, boundary accuracy F, mean IoU."""

import math

import numpy as np

# Boundaries agree within this share of the frame's diagonal.
BOUNDARY_TOLERANCE = 0.008


def jaccard(predicted: np.ndarray, true: np.ndarray) -> float:
  """J, intersection over union of masks [H, W] bool; 1 if both are empty."""
  union = np.count_nonzero(predicted | true)
  return np.count_nonzero(predicted & true) / union if union else 1.0


def boundary_f(
  predicted: np.ndarray,
  true: np.ndarray,
  tolerance: float = BOUNDARY_TOLERANCE,
) -> float:
  """F: how well the boundaries of two masks agree.

  The harmonic mean of precision (share of the predicted boundary that lies near
  the true one) and recall (the other way round). Near is within a disk of
  `tolerance` times the diagonal, rounded up. Source: Perazzi et al., "A
  benchmark dataset and evaluation methodology for video object segmentation",
  2016, with the boundaries and rounding of its public code.

  Args:
    predicted, true: [H, W] bool.
    tolerance: as a share of the diagonal.

  Returns:
    A number in [0, 1]; 1 where neither mask has a boundary, 0 where one has.
  """
  radius = math.ceil(tolerance * math.hypot(*true.shape))
  ours, theirs = boundary(predicted), boundary(true)
  if not ours.any() or not theirs.any():
    return float(ours.any() == theirs.any())
  precision = (ours & dilate(theirs, radius)).sum() / ours.sum()
  recall = (theirs & dilate(ours, radius)).sum() / theirs.sum()
  total = precision + recall
  return float(2 * precision * recall / total) if total else 0.0


def boundary(mask: np.ndarray) -> np.ndarray:
  """Pixels [H, W] bool that differ from the one right, below or across."""
  # The last row and column are their own neighbours.
  padded = np.pad(mask, (0, 1), mode='edge')
  right, below, across = padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
  return (mask != right) | (mask != below) | (mask != across)


def dilate(mask: np.ndarray, radius: int) -> np.ndarray:
  """Sets all pixels within `radius` of one that is set; [H, W] bool.

  Boundaries are thin: drawing a disk at each of their pixels takes less than
  looking around every pixel of the frame.
  """
  reach = np.arange(-radius, radius + 1)
  dy, dx = np.nonzero(reach[:, None] ** 2 + reach**2 <= radius**2)
  y, x = np.nonzero(mask)
  padded = np.zeros(np.add(mask.shape, 2 * radius), bool)
  padded[y[:, None] + dy, x[:, None] + dx] = True
  height, width = mask.shape
  return padded[radius : radius + height, radius : radius + width]


def confusion(
  predicted: np.ndarray, true: np.ndarray, num_classes: int
) -> np.ndarray:
  """Counts of pixels, [true class, predicted class] int64.

  Args:
    predicted, true: any equal shape, ints from 0; what is true at or beyond
      `num_classes` does not count.
    num_classes: a prediction beyond is an IndexError.
  """
  known = true < num_classes
  counts = np.zeros((num_classes, num_classes), np.int64)
  np.add.at(counts, (true[known], predicted[known]), 1)
  return counts


def mean_iou(counts: np.ndarray) -> float:
  """Mean intersection over union of the classes that occur at all.

  Args:
    counts: of `confusion`, summed over all frames of a dataset.
  """
  both = np.diagonal(counts)
  union = counts.sum(0) + counts.sum(1) - both
  occurs = union > 0
  return float((both[occurs] / union[occurs]).mean()) if occurs.any() else 1.0
