"""How often a classifier is right."""

import numpy as np


def top_k_accuracy(scores: np.ndarray, labels: np.ndarray, k: int = 1) -> float:
  """Share of rows whose true class is among the k highest scores.

  A class that ties with others at the edge of the k counts by the share of them
  that fits, so that constant scores give chance and not 0 or 1.

  Args:
    scores: [B, classes], higher is likelier.
    labels: [B] int.
    k: how many guesses are allowed.

  Returns:
    A number in [0, 1].
  """
  true = np.take_along_axis(scores, labels[:, None], axis=1)
  better = (scores > true).sum(1)
  tied = (scores == true).sum(1)  # at least 1: the true class itself
  return float(np.clip((k - better) / tied, 0, 1).mean())


def chance_accuracy(labels: np.ndarray) -> float:
  """Accuracy of always answering the most frequent of [B] labels."""
  return float(np.unique(labels, return_counts=True)[1].max() / len(labels))
