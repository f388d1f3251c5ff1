"""Proposals and soft-NMS, worked by hand."""

import numpy as np
import pytest

from rvmae_jax.evals.proposals import propose, soft_nms


def test_soft_nms_fades_what_overlaps():
  segments = np.array([[0.0, 10], [5, 10], [20, 30]])
  order, scores = soft_nms(segments, np.array([0.8, 0.9, 0.5]), sigma=0.5)
  # [5, 10] is taken first; [0, 10] overlaps it with tIoU 1/2.
  faded = 0.8 * np.exp(-(0.5**2) / 0.5)
  assert faded == pytest.approx(0.48522, abs=1e-5)
  # So it falls behind [20, 30], which overlaps none.
  assert order.tolist() == [1, 2, 0]
  np.testing.assert_allclose(scores, [0.9, 0.5, faded])


def test_soft_nms_fades_again_and_again():
  segments = np.array([[0.0, 10], [0, 10], [0, 10]])
  order, scores = soft_nms(segments, np.array([1.0, 1.0, 1.0]), sigma=0.5)
  assert order.tolist() == [0, 1, 2]
  np.testing.assert_allclose(scores, [1, np.exp(-2), np.exp(-4)])


def test_soft_nms_of_nothing():
  order, scores = soft_nms(np.zeros((0, 2)), np.zeros(0))
  assert len(order) == len(scores) == 0


def test_proposals_lie_around_the_middle_of_their_step():
  scores = np.array([[0.0, 0.9], [0.0, 0.0], [0.7, 0.0], [0.0, 0.0]])
  distances = np.array([[3.0, 1.5], [1, 1], [0.5, 1.5], [1, 1]])
  found = propose(scores, distances)
  # The first is cut off at the start of the video.
  assert found.segments.tolist() == [[0, 2], [2, 4]]
  assert found.labels.tolist() == [1, 0]
  np.testing.assert_allclose(found.scores, [0.9, 0.7])


def test_classes_do_not_fade_each_other_and_the_surest_are_kept():
  scores = np.array([[0.9, 0.8, 0.1]])
  found = propose(scores, np.array([[0.5, 0.5]]), most=2)
  assert found.labels.tolist() == [0, 1]
  np.testing.assert_allclose(found.scores, [0.9, 0.8])
  assert (
    len(propose(scores, np.array([[0.5, 0.5]]), min_score=0.85).labels) == 1
  )
