"""Temporal coherence of tiny videos, worked by hand."""

import numpy as np
import pytest

from rvmae_jax.metrics.coherence import (
  difference_error,
  is_followed,
  mean_where,
  warp,
  warped_error,
)


def _video(*frames):
  """Frames of one row of grey pixels: [T, 1, W, 1]."""
  return np.array(frames, np.float64)[:, None, :, None]


def _flow(*right):
  """Flow of one frame of one row, along the row: [1, 1, W, 2]."""
  return np.stack([right, np.zeros(len(right))], -1)[None, None]


def test_differences_are_compared_not_frames():
  true = _video([0.1, 0.5], [0.3, 0.5], [0.3, 0.9])
  # 0.2 too bright at all times: it changes as the truth does.
  assert difference_error(true + 0.2, true) == pytest.approx(0)
  # A still picture has the energy of the true change.
  still = np.full_like(true, 0.5)
  found = difference_error(still, true)
  np.testing.assert_allclose(found[:, 0], [[0.04, 0], [0, 0.16]], atol=1e-12)
  # Flicker: right in the mean, 0.1 up and down.
  flicker = true + np.reshape([0.1, -0.1, 0.1], (3, 1, 1, 1))
  assert difference_error(flicker, true) == pytest.approx(0.04)


def test_colours_are_averaged():
  true = np.zeros((2, 1, 1, 3))
  pred = true.copy()
  pred[1, ..., 0] = 0.3  # one of three
  assert difference_error(pred, true) == pytest.approx(0.03)


def test_warp_takes_pixels_from_where_flow_leads():
  frame = _video([0.0, 1, 2, 3])
  assert warp(frame, _flow(1, 0.25, -2, 5)).ravel() == pytest.approx(
    [1, 1.25, 0, 3]
  )
  # Down: both axes are told apart.
  frame = np.arange(6.0).reshape(1, 3, 2, 1)
  flow = np.zeros((1, 3, 2, 2))
  flow[0, 0, 0] = 0.5, 1.5
  # Between 2 3 and 4 5.
  assert warp(frame, flow)[0, 0, 0, 0] == pytest.approx(3.5)


def test_what_moves_along_with_the_flow_has_no_warped_error():
  # A bright pixel moves right by one; flow goes back to where it was.
  moving = _video([0, 1, 0, 0], [0, 0, 1, 0])
  flow = _flow(0, 0, -1, 0)
  # The pixel that it left has no place it comes from.
  assert warped_error(moving, flow).ravel() == pytest.approx([0, 1, 0, 0])
  # A copy of the first frame stays where the truth has gone on.
  still = _video([0, 1, 0, 0], [0, 1, 0, 0])
  assert warped_error(still, flow).ravel() == pytest.approx([0, 0, 1, 0])
  # The truth's flow finds no fault with a single colour.
  assert not warped_error(np.full_like(moving, 0.3), flow).any()


def test_covered_pixels_and_those_outside_are_not_followed():
  # Two right for all: the last two leave. One is not led back.
  flow, back = _flow(2, 2, 2, 2), _flow(0, 0, -2, 1)
  assert is_followed(flow, back).ravel().tolist() == [True, False, False, False]
  # sqrt(0.5) px off is the limit of pixels at rest.
  still = _flow(0, 0)
  assert is_followed(still, _flow(0.69, 0.73)).ravel().tolist() == [True, False]


def test_means_of_nothing_are_masked():
  values = np.array([[1.0, 3], [5, np.nan]])
  where = np.array([[True, True], [False, False]])
  found = mean_where(values, where, (1,))
  assert found[0] == 2 and found.mask.tolist() == [False, True]
  # What is wrong stays visible.
  assert np.isnan(mean_where(values, ~where, (1,))[1])
