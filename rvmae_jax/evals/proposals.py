"""From scores and boundaries at each time to a few proposals."""

import numpy as np

from rvmae_jax.metrics.localization import Detections, temporal_iou


def propose(
  scores: np.ndarray,
  distances: np.ndarray,
  *,
  most: int = 100,
  min_score: float = 1e-3,
  sigma: float = 0.5,
) -> Detections:
  """Proposals of one video, in units of its time steps.

  Args:
    scores: [T, classes] in [0, 1], what is going on at each step.
    distances: [T, 2], steps from its middle back to the start and on to the
      end of it.
    most: proposals to keep, and ten times as many to choose from.
    min_score: proposals below it are left out, before and after soft-NMS.
    sigma: of soft-NMS, which works on each class for itself.
  """
  num_steps, num_classes = scores.shape
  middle = np.arange(num_steps) + 0.5
  segments = np.stack(
    [middle - distances[:, 0], middle + distances[:, 1]], axis=1
  ).clip(0, num_steps)
  surest = np.argsort(-scores, axis=None, kind='stable')[: 10 * most]
  steps, labels = np.unravel_index(surest, scores.shape)
  is_sure = scores[steps, labels] >= min_score
  steps, labels = steps[is_sure], labels[is_sure]
  kept = []
  for label in range(num_classes):
    of_class = steps[labels == label]
    order, faded = soft_nms(segments[of_class], scores[of_class, label], sigma)
    kept.append(
      Detections(segments[of_class][order], np.full(len(order), label), faded)
    )
  everything = Detections(*map(np.concatenate, zip(*kept)))
  surest = np.argsort(-everything.scores, kind='stable')[:most]
  surest = surest[everything.scores[surest] >= min_score]
  return Detections(*(column[surest] for column in everything))


def soft_nms(
  segments: np.ndarray, scores: np.ndarray, sigma: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
  """Fades proposals that overlap surer ones (Bodla et al., 1704.04503).

  The surest is taken; each that is left loses by the factor
  exp(-tIoU^2 / sigma) with it; and so on.

  Args:
    segments: [n, 2] of one class.
    scores: [n].
    sigma: the smaller, the more they fade.

  Returns:
    The order in which they are taken, [n] int, and the faded scores in that
    order, falling.
  """
  scores = np.array(scores, np.float64)
  left = np.arange(len(scores))
  order, faded = [], []
  while len(left):
    best = left[scores[left].argmax()]
    order.append(best)
    faded.append(scores[best])
    left = left[left != best]
    overlap = temporal_iou(segments[best][None], segments[left])[0]
    scores[left] *= np.exp(-(overlap**2) / sigma)
  return np.array(order, int), np.array(faded)
