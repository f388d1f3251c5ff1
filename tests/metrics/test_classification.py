"""Accuracies and calibration worked by hand."""

import numpy as np
import pytest

from rvmae_jax.metrics.classification import (
  chance_accuracy,
  class_accuracies,
  confusion_matrix,
  reliability,
  top_k_accuracy,
)


@pytest.mark.parametrize(('k', 'expected'), [(1, 1 / 3), (2, 2 / 3), (3, 1)])
def test_top_k_accuracy(k, expected):
  scores = np.array([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.5, 0.3, 0.2]])
  labels = np.array([0, 1, 2])
  assert top_k_accuracy(scores, labels, k) == pytest.approx(expected)


def test_constant_scores_give_chance():
  assert top_k_accuracy(np.zeros((8, 4)), np.arange(8) % 4) == 0.25


def test_a_row_without_numbers_is_wrong():
  scores = np.array([[np.nan, np.nan], [np.nan, 0.5], [0.2, 0.8]])
  assert top_k_accuracy(scores, np.array([0, 1, 1])) == pytest.approx(1 / 3)


def test_chance_is_the_most_frequent_class():
  assert chance_accuracy(np.array([3, 3, 3, 1])) == 0.75


def test_confusion_has_true_classes_down_and_answers_across():
  # Class 0 twice right and once taken for 2; class 1 never asked about.
  answers, labels = np.array([0, 0, 2, 1]), np.array([0, 0, 0, 2])
  confusion = confusion_matrix(np.eye(3)[answers], labels)
  assert confusion.tolist() == [[2, 0, 1], [0, 0, 0], [0, 1, 0]]
  np.testing.assert_allclose(class_accuracies(confusion), [2 / 3, np.nan, 0])


def test_calibration_error():
  # Confidences .9 (right), .7 (wrong) and, on the edge of a bin, .5 (right).
  probabilities = np.array([[0.9, 0.1], [0.3, 0.7], [0.5, 0.5]])
  bins = reliability(probabilities, np.array([0, 0, 0]), num_bins=2)
  assert bins.count.tolist() == [1, 2]
  np.testing.assert_allclose(bins.confidence, [0.5, 0.8])
  np.testing.assert_allclose(bins.accuracy, [1, 0.5])
  # (1 * |.5 - 1| + 2 * |.8 - .5|) / 3
  assert bins.error == pytest.approx(1.1 / 3)


def test_sure_and_right_is_calibrated():
  assert reliability(np.eye(4), np.arange(4)).error == 0
