"""Errors of depth, worked by hand."""

import math

import numpy as np
import pytest

from rvmae_jax.metrics.depth import depth_scores


def test_errors_by_hand():
  """1 for 2, 2 for 2, 3 for 2, and a pixel without truth."""
  scores = depth_scores([[1, 2], [3, 50]], [[2, 2], [2, math.nan]])
  assert scores['AbsRel'] == pytest.approx(1 / 3)
  assert scores['RMSE'] == pytest.approx(math.sqrt(2 / 3))
  # Ratios 2, 1 and 1.5 against 1.25, 1.56 and 1.95.
  assert scores['within_1.25'] == pytest.approx(1 / 3)
  assert scores['within_1.25^2'] == scores['within_1.25^3']
  assert scores['within_1.25^3'] == pytest.approx(2 / 3)


def test_a_ratio_of_exactly_that_is_not_within():
  assert depth_scores([1.25], [1])['within_1.25'] == 0
  assert depth_scores([1], [1.25])['within_1.25'] == 0


@pytest.mark.parametrize('pred', [0.0, -1.0])
def test_behind_the_camera_is_not_within(pred):
  assert depth_scores([pred], [1])['within_1.25^3'] == 0


def test_no_truth_at_all():
  scores = depth_scores(np.ones(2), np.full(2, np.nan))
  assert scores.keys() == depth_scores(np.ones(2), np.ones(2)).keys()
  assert all(math.isnan(score) for score in scores.values())


def test_what_cannot_be_compared_is_named():
  with pytest.raises(ValueError, match=r'\(1, 2\) and \(2,\)'):
    depth_scores(np.ones((1, 2)), np.ones(2))
  with pytest.raises(ValueError, match='depth of 0 is not a distance'):
    depth_scores(np.ones(2), np.array([0.0, 1.0]))
