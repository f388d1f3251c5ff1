"""Rank, spread and likeness of features that are worked by hand."""

import numpy as np
import pytest

from rvmae_jax.metrics.features import (
  cosines,
  mean_cosine,
  rank_me,
  similarities,
  singular_values,
  spread,
  standardise,
  unit_rows,
)

_RNG = np.random.default_rng(0)


def test_rank_of_identical_features_is_one_and_of_orthonormal_ones_full():
  same = np.tile(_RNG.normal(size=6), (20, 1)).astype(np.float32)
  assert rank_me(same) == pytest.approx(1)
  rotation = np.linalg.qr(_RNG.normal(size=(6, 6)))[0]
  assert rank_me(rotation) == pytest.approx(6)


def test_rank_of_two_unequal_directions_by_hand():
  # Singular values 3 and 1: exp(-(.75 log .75 + .25 log .25)).
  features = np.diag([3.0, 1.0, 0.0])
  assert singular_values(features).tolist() == [3, 1, 0]
  assert rank_me(features) == pytest.approx(1.754765)


def test_a_rotation_or_scale_changes_no_rank():
  features = _RNG.normal(size=(30, 8)) * np.arange(1, 9)
  rotation = np.linalg.qr(_RNG.normal(size=(8, 8)))[0]
  assert rank_me(5 * features @ rotation) == pytest.approx(rank_me(features))


def test_mean_cosine_of_pairs():
  features = np.array([[2.0, 0], [0, 1], [0, 3]])
  # Pairs: 0, 0 and 1.
  assert mean_cosine(features) == pytest.approx(1 / 3)
  assert mean_cosine(np.ones((5, 3))) == pytest.approx(1)
  expected = np.mean([cosines(features[[i]], features[[j]]) for i, j in
                      ((0, 1), (0, 2), (1, 2))])  # fmt: skip
  assert mean_cosine(features) == pytest.approx(expected)


def test_spread_of_a_collapse_and_of_directions_everywhere():
  assert spread(np.ones((9, 4))).max() < 1e-7
  assert spread(_RNG.normal(size=(4000, 16))).mean() == pytest.approx(
    1, abs=0.02
  )


def test_rows_have_length_one_and_zeros_stay():
  rows = unit_rows(np.array([[3, 4], [0, 0]], np.float32))
  assert rows.dtype == np.float32
  np.testing.assert_allclose(rows, [[0.6, 0.8], [0, 0]], rtol=1e-6)


def test_others_are_standardised_as_the_first_is():
  first, other = standardise(
    np.array([[1.0, 5], [3, 5]]), np.array([[[4.0, 5]]])
  )
  # Mean 2 and deviation 1; a feature that never changes is 0.
  np.testing.assert_allclose(first, [[-1, 0], [1, 0]], atol=1e-5)
  np.testing.assert_allclose(other, [[[2, 0]]], atol=1e-5)


def test_similarities_come_a_few_queries_at_a_time(monkeypatch):
  queries, gallery = np.array([[2.0, 0], [0, 1], [3, 4]]), np.eye(2)
  monkeypatch.setattr('rvmae_jax.metrics.features._AT_ONCE', 5)
  found = [(r.tolist(), s.tolist()) for r, s in similarities(queries, gallery)]
  assert found == [([0, 1], [[1, 0], [0, 1]]), ([2], [[0.6, 0.8]])]
