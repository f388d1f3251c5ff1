"""Overlays and films of tracked labels."""

import io

import av
import numpy as np
import pytest

from rvmae_jax import visualize
from rvmae_jax.visualize.film import Film
from rvmae_jax.visualize.tracks import overlay, side_by_side

GREY = np.full((20, 30, 3), 100, np.uint8)


def test_a_mask_tints_its_object_and_nothing_else():
  mask = np.zeros((20, 30), np.uint8)
  mask[5:15, 5:15] = 1
  drawn = overlay(GREY, mask)
  np.testing.assert_array_equal(drawn[mask == 0], GREY[mask == 0])
  inside, edge = drawn[10, 10], drawn[5, 10]
  # Red above all, and full at the edge.
  assert edge[0] > inside[0] > 100 > inside[1] > edge[1]


def test_objects_have_colours_of_their_own():
  masks = (np.full((20, 30), number, np.uint8) for number in range(1, 13))
  colours = {tuple(overlay(GREY, mask)[10, 10]) for mask in masks}
  assert len(colours) == 12


def test_keypoints_are_dots_where_they_are():
  points = np.array([[25.0, 5.0], [np.nan, np.nan]])
  drawn = overlay(GREY, points)
  assert (drawn[5, 25] != 100).any()
  changed = (drawn != GREY).any(-1)
  assert 4 < changed.sum() < 40
  assert changed[:10, 20:].sum() == changed.sum()


def test_panels_lie_in_rows_of_three():
  frames = np.broadcast_to(GREY, (2, *GREY.shape))
  names = ('true', 'trained', 'random', 'copy')
  large = side_by_side(dict.fromkeys(names, frames))
  # 30 pixels wide, enlarged 7 times to reach 200, under a caption of 14.
  assert large.shape == (2, 2 * (14 + 140), 3 * 210, 3)


def test_a_film_plays_what_was_put_in():
  brightness = np.array([20, 90, 160, 230], np.uint8)
  frames = np.broadcast_to(brightness[:, None, None, None], (4, 17, 24, 3))
  with av.open(io.BytesIO(Film(frames, fps=5).encode())) as container:
    shown = [f.to_ndarray(format='rgb24') for f in container.decode(video=0)]
    assert container.streams.video[0].average_rate == 5
  assert {frame.shape for frame in shown} == {(16, 24, 3)}
  assert [frame.mean() for frame in shown] == pytest.approx(brightness, abs=3)


def test_pictures_and_films_are_written(tmp_path):
  frames = np.broadcast_to(GREY, (7, *GREY.shape))
  arrays = {
    'name_0': np.array('a'),
    'frames_0': frames,
    'labels_0/true': np.zeros((7, 20, 30), np.uint8),
    'labels_0/trained': np.ones((7, 20, 30), np.uint8),
  }
  paths = visualize.draw('label_propagation', arrays, {'J': 1}, tmp_path)
  assert [path.name for path in paths] == ['tracks_0.png', 'tracks_0_film.mp4']
  assert all(len(path.read_bytes()) > 500 for path in paths)
