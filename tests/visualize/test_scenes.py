"""Points, boxes and depth over frames: what is drawn where."""

import numpy as np
import pytest

from rvmae_jax.visualize.scenes import (
  box_frames,
  depth_frames,
  draw_depth,
  point_frames,
)
from rvmae_jax.visualize.tracks import draw_tracks, side_by_side

GREY = np.full((4, 32, 64, 3), 100, np.uint8)
LARGER = 4  # Times that frames 64 wide are enlarged.
ONE = np.array([[[0.25, 0.5], [0.375, 0.5], [0.5, 0.5], [0.625, 0.5]]])
SEEN = np.ones((1, 4), bool)


def changed(drawn):
  assert drawn.shape == (4, 32 * LARGER, 64 * LARGER, 3)
  return (drawn != 100).any(-1)


def columns(mask):
  """First and last column of the marks, in pixels of the small frame."""
  across = np.flatnonzero(mask.any(0)) / LARGER
  return across[0], across[-1]


def test_a_point_is_a_dot_with_a_trail_behind_it():
  where = changed(point_frames(GREY, ONE, SEEN, trail=2))
  dot, *_, last = where
  assert columns(dot) == pytest.approx((16, 16), abs=1.5)
  assert dot[:, : 16 * LARGER].any() and not dot[:32].any()
  # Two frames back: from 0.375 to 0.625.
  assert columns(last) == pytest.approx((24, 40), abs=1.5)


def test_a_hidden_point_is_a_ring_and_breaks_its_trail():
  seen = np.array([[True, True, False, True]])
  drawn = point_frames(GREY, ONE, seen)
  frame = drawn[2]
  assert (frame[16 * LARGER, 32 * LARGER] == 100).all()  # Hollow.
  assert (drawn[3][16 * LARGER, 40 * LARGER] != 100).any()
  assert (frame[16 * LARGER, 32 * LARGER + 6] != 100).any()
  # Of the last frame's trail only the part from 0.25 to 0.375 was seen.
  at = changed(drawn)[3][16 * LARGER]
  assert at[20 * LARGER] and not at[28 * LARGER] and not at[36 * LARGER]


def test_a_line_leads_to_where_the_point_truly_is():
  plain = point_frames(GREY, ONE, SEEN, trail=0)
  true = ONE + [0.25, 0], np.array([[True, False, True, True]])
  with_truth = changed(point_frames(GREY, ONE, SEEN, trail=0, truth=true))
  assert columns(with_truth[0]) == pytest.approx((15, 32), abs=1.5)
  np.testing.assert_array_equal(with_truth[1], changed(plain)[1])


def test_places_that_are_not_known_are_not_drawn():
  nowhere = np.full((1, 4, 2), np.nan)
  assert not changed(point_frames(GREY, nowhere, ~SEEN)).any()
  assert not changed(box_frames(GREY, np.full((1, 4, 4), np.nan))).any()


def test_a_box_is_its_outline():
  boxes = np.tile([0.25, 0.125, 0.75, 0.5], (1, 4, 1))
  where = changed(box_frames(GREY, boxes))[0]
  assert columns(where) == pytest.approx((8, 32), abs=0.5)
  assert columns(where.T) == pytest.approx((8, 24), abs=0.5)
  assert not where[12 * LARGER : 20 * LARGER, 12 * LARGER : 28 * LARGER].any()


def test_a_true_box_is_white_and_beneath():
  boxes = np.tile([0.25, 0.125, 0.75, 0.5], (1, 4, 1))
  alone = box_frames(GREY, boxes)
  np.testing.assert_array_equal(alone, box_frames(GREY, boxes, truth=boxes))
  moved = box_frames(GREY, boxes, truth=boxes + [0, 0.25, 0, 0.25])[0]
  assert (moved[:, 48 * LARGER - 1] == 255).all(-1).sum() > 8 * LARGER


def test_boxes_that_end_before_they_begin_are_drawn_all_the_same():
  boxes = np.tile([0.75, 0.5, 0.25, 0.125], (1, 4, 1))
  np.testing.assert_array_equal(
    box_frames(GREY, boxes), box_frames(GREY, boxes[..., [2, 3, 0, 1]])
  )


def test_near_is_light_and_unknown_is_grey():
  pytest.importorskip('matplotlib')
  depth = np.array([[[1.0, 2.5, 4.0, 9.0, np.nan]]])
  near, middle, far, beyond, unknown = depth_frames(depth, (1, 4))[0, 0]
  assert near.sum() > middle.sum() > far.sum()
  np.testing.assert_array_equal(beyond, far)
  assert np.ptp(unknown) == 0


def test_depth_stands_beside_its_truth_and_error():
  pytest.importorskip('matplotlib')
  true = np.linspace(1, 4, 4 * 8 * 8).reshape(4, 8, 8)
  true[:, 0] = np.nan
  figure = draw_depth(GREY, true, {'network': true * 1.1, 'mean': true * 0 + 2})
  figure.draw_without_rendering()
  images = [axes.images[0] for axes in figure.axes if axes.images]
  assert len(images) == 6 * 4  # Frames, truth, and two rows for each source.
  errors = [
    image.get_array() for image in images if image.get_array().ndim == 2
  ]
  assert len(errors) == 2 * 4
  np.testing.assert_allclose(errors[0][1:], 0.1)
  labels = {axes.get_ylabel() for axes in figure.axes}
  assert {'metres', 'relative error'} <= labels


def test_sheets_and_films_take_any_source():
  pytest.importorskip('matplotlib')
  drawn = {
    'true': point_frames(GREY, ONE, SEEN),
    'stand still': point_frames(GREY, ONE[:, :1].repeat(4, 1), SEEN),
  }
  figure = draw_tracks(drawn, 'a video')
  texts = [text.get_text() for axes in figure.axes for text in axes.texts]
  assert texts == ['true', 'stand still']
  assert side_by_side(drawn).shape == (4, 14 + 128, 2 * 256, 3)
