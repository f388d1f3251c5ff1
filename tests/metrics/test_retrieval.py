"""Retrieval worked by hand, and against scikit-learn."""

import itertools
import tracemalloc

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from rvmae_jax.metrics.retrieval import (
  average_precisions,
  chance_average_precisions,
  chance_recalls,
  rank,
  recalls,
)

# Relevant entries at places 1 and 3 of four, and at place 4.
_RANKED = np.array([[1, 0, 1, 0], [0, 0, 0, 1]], bool)


def test_rank_sorts_by_similarity():
  ranked = rank(
    np.array([[0.1, 0.9, 0.5, 0.3]]), np.array([[0, 1, 0, 1]], bool)
  )
  assert ranked.tolist() == [[True, False, True, False]]


def test_of_equals_the_irrelevant_come_first():
  ranked = rank(np.zeros((1, 3)), np.array([[1, 0, 0]], bool))
  assert ranked.tolist() == [[False, False, True]]


def test_what_is_not_in_the_gallery_is_never_found():
  similarity = np.array([[-np.inf, 0.5]])
  ranked = rank(similarity, np.ones((1, 2), bool))
  assert ranked.tolist() == [[True, False]]


@pytest.mark.parametrize(
  ('k', 'expected'), [(1, [1, 0]), (3, [1, 0]), (4, [1, 1]), (9, [1, 1])]
)
def test_recalls(k, expected):
  assert recalls(_RANKED, k).tolist() == expected


def test_average_precisions():
  # (1/1 + 2/3) / 2, and 1/4.
  np.testing.assert_allclose(average_precisions(_RANKED), [5 / 6, 1 / 4])
  assert average_precisions(np.zeros((1, 3), bool)) == 0


def test_average_precisions_are_those_of_scikit_learn():
  rng = np.random.default_rng(0)
  similarity = rng.normal(size=(5, 40))
  is_relevant = rng.random((5, 40)) < 0.2
  expected = [
    average_precision_score(*query) for query in zip(is_relevant, similarity)
  ]
  found = average_precisions(rank(similarity, is_relevant))
  np.testing.assert_allclose(found, expected)


def test_chance_is_the_mean_over_all_orders():
  orders = np.array(list(itertools.permutations([1, 1, 0, 0, 0])), bool)
  relevant = np.array([2])
  for k in (1, 3, 9):
    expected = recalls(orders, k).mean()
    assert chance_recalls(relevant, 5, k) == pytest.approx(expected)
  expected = average_precisions(orders).mean()
  assert chance_average_precisions(relevant, 5) == pytest.approx(expected)


def test_nothing_relevant_has_no_chance():
  none = np.array([0])
  assert chance_recalls(none, 5, 3) == chance_average_precisions(none, 5) == 0


def test_chance_takes_no_memory_for_each_query_and_place():
  relevant = np.full(1000, 600)
  tracemalloc.start()
  mean = chance_average_precisions(relevant, 10_000)
  _, peak = tracemalloc.get_traced_memory()
  tracemalloc.stop()
  # As the mean over places of (1 + (i - 1) 599 / 9999) / i.
  assert mean == pytest.approx(0.0608261, abs=1e-6)
  # A number for each query and place would take 80 MB.
  assert peak < 1e6
