"""How often a classifier is right, about which classes, and how sure it is."""

from typing import NamedTuple

import numpy as np


def top_k_accuracy(scores: np.ndarray, labels: np.ndarray, k: int = 1) -> float:
  """Share of rows whose true class is among the k highest scores, in [0, 1].

  See `top_k_hits`.
  """
  return float(top_k_hits(scores, labels, k).mean())


def top_k_hits(
  scores: np.ndarray, labels: np.ndarray, k: int = 1
) -> np.ndarray:
  """Whether the true class of each row is among the k highest scores.

  A class that ties with others at the edge of the k counts by the share of them
  that fits, so that constant scores give chance and not 0 or 1. A row with a
  score that is no number has no answer, and counts as wrong.

  Args:
    scores: [B, classes], higher is likelier.
    labels: [B] int.
    k: how many guesses are allowed.

  Returns:
    [B] float in [0, 1].
  """
  true = np.take_along_axis(scores, labels[:, None], axis=1)
  better = (scores > true).sum(1)
  # At least 1, the true class itself, but for a score that is no number.
  tied = np.maximum((scores == true).sum(1), 1)
  hits = np.clip((k - better) / tied, 0, 1)
  return np.where(np.isnan(scores).any(1), 0.0, hits)


def chance_accuracy(labels: np.ndarray) -> float:
  """Accuracy of always answering the most frequent of [B] labels."""
  return float(np.unique(labels, return_counts=True)[1].max() / len(labels))


def confusion_matrix(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
  """How many rows of each true class got each answer, the highest score.

  Args:
    scores: [B, classes]; of equal scores the first class is the answer.
    labels: [B] int.

  Returns:
    [classes, classes] int: true classes down, answers across.
  """
  num_classes = scores.shape[1]
  counts = np.zeros((num_classes, num_classes), int)
  np.add.at(counts, (labels, scores.argmax(1)), 1)
  return counts


def class_accuracies(confusion: np.ndarray) -> np.ndarray:
  """Share of each class that was recognised; nan for a class without rows.

  Args:
    confusion: [classes, classes] of `confusion_matrix`.

  Returns:
    [classes].
  """
  rows = confusion.sum(1)
  shares = confusion.diagonal() / np.maximum(rows, 1)
  return np.where(rows, shares, np.nan)


class Reliability(NamedTuple):
  """Answers sorted into bins by how sure the classifier was, each [bins].

  Attributes:
    count: answers.
    confidence: mean probability that they were given; 0 in an empty bin.
    accuracy: share of them that is right; 0 in an empty bin.
  """

  count: np.ndarray
  confidence: np.ndarray
  accuracy: np.ndarray

  @property
  def error(self) -> float:
    """Expected calibration error: the mean over answers of their bin's gap.

    Source: Guo et al., "On calibration of modern neural networks", equation 3.
    """
    gap = np.abs(self.confidence - self.accuracy)
    return float((self.count * gap).sum() / self.count.sum())


def reliability(
  probabilities: np.ndarray, labels: np.ndarray, num_bins: int = 15
) -> Reliability:
  """Whether answers are right as often as their probability says.

  Args:
    probabilities: [B, classes], rows sum to 1; the highest is the answer.
    labels: [B] int.
    num_bins: equally wide; bin i of n holds confidences in (i/n, (i+1)/n].
  """
  confidence = probabilities.max(1)
  is_right = probabilities.argmax(1) == labels
  bins = np.ceil(confidence * num_bins).astype(int) - 1
  bins = np.clip(bins, 0, num_bins - 1)
  count = np.bincount(bins, minlength=num_bins)

  def mean(values):
    total = np.bincount(bins, values, minlength=num_bins)
    return total / np.maximum(count, 1)

  return Reliability(count, mean(confidence), mean(is_right))
