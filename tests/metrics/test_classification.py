"""Accuracies worked by hand."""

import numpy as np
import pytest

from rvmae_jax.metrics.classification import chance_accuracy, top_k_accuracy


@pytest.mark.parametrize(('k', 'expected'), [(1, 1 / 3), (2, 2 / 3), (3, 1)])
def test_top_k_accuracy(k, expected):
  scores = np.array([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.5, 0.3, 0.2]])
  labels = np.array([0, 1, 2])
  assert top_k_accuracy(scores, labels, k) == pytest.approx(expected)


def test_constant_scores_give_chance():
  assert top_k_accuracy(np.zeros((8, 4)), np.arange(8) % 4) == 0.25


def test_chance_is_the_most_frequent_class():
  assert chance_accuracy(np.array([3, 3, 3, 1])) == 0.75
