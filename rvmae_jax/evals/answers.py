"""From class probabilities to numbers, and to what their pictures show."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from rvmae_jax.evals.kept_probe import KeptProbe
from rvmae_jax.metrics.classification import (
  class_accuracies,
  confusion_matrix,
  reliability,
  top_k_accuracy,
)


class Answer(NamedTuple):
  """What one classifier says of the test videos.

  Attributes:
    probabilities: [videos, classes].
    numbers: what is to be known of how it came about, such as
      `validation_top1` of a classifier that was chosen.
    kept: the classifier, where it is one that others can use.
  """

  probabilities: np.ndarray
  numbers: Mapping[str, float]
  kept: KeptProbe | None = None


def measure(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
  """Numbers of one classifier.

  Args:
    probabilities: [B, classes].
    labels: [B] int.

  Returns:
    `top1`, `top5` from 10 classes up, `mean_class` (the mean over classes of
    their accuracy) and `ece`, the expected calibration error in 15 bins.

  Raises:
    ValueError: probabilities that are no numbers.
  """
  num_lost = int((~np.isfinite(probabilities)).any(1).sum())
  if num_lost:
    raise ValueError(
      f'For {num_lost} of {len(labels)} test videos the answer is not a number '
      '(NaN or infinite): the features are not finite, or the classifier has '
      'diverged. Check the checkpoint and the dtype of config.model, or try '
      'lower learning rates of the classifier.'
    )
  confusion = confusion_matrix(probabilities, labels)
  return {
    f'top{k}': top_k_accuracy(probabilities, labels, k)
    for k in ((1, 5) if probabilities.shape[1] >= 10 else (1,))
  } | {
    'mean_class': float(np.nanmean(class_accuracies(confusion))),
    'ece': reliability(probabilities, labels).error,
  }


def over_seeds(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
  """Means of numbers, and from two runs up their deviations as `<name>_std`."""
  numbers = {}
  for name in runs[0]:
    values = [run[name] for run in runs]
    numbers[name] = float(np.mean(values))
    if len(runs) > 1:
      numbers[f'{name}_std'] = float(np.std(values, ddof=1))
  return numbers


def picture_arrays(
  answers: Mapping[str, np.ndarray],
  labels: np.ndarray,
  class_names: Sequence[str],
) -> dict[str, np.ndarray]:
  """What confusion and calibration are drawn from.

  Args:
    answers: classifier -> probabilities [B, classes].
    labels: [B] int.
    class_names: of the classes; numbers stand in where they have none.

  Returns:
    `classifiers` [n], `predicted` [n, B], `confusion` [n, classes, classes],
    `reliability` [n, 3, bins] (count, confidence, accuracy), `labels` [B] and
    `class_names` [classes].
  """
  num_classes = next(iter(answers.values())).shape[1]
  names = [*class_names, *map(str, range(len(class_names), num_classes))]
  stacked = np.stack(list(answers.values()))
  return {
    'classifiers': np.array(list(answers)),
    'predicted': stacked.argmax(-1),
    'confusion': np.stack([confusion_matrix(p, labels) for p in stacked]),
    'reliability': np.stack(
      [np.stack(reliability(p, labels)) for p in stacked]
    ),
    'labels': labels,
    'class_names': np.array(names[:num_classes]),
  }
