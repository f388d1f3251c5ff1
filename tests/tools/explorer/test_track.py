"""Points and painted objects, followed."""

import numpy as np
import pytest

from rvmae_jax.tools.explorer import track
from rvmae_jax.visualize.tracks import LABEL_COLOURS


def test_a_point_follows_the_token_that_it_was_set_on():
  # Each place has a feature of its own, one column further in each frame.
  first = np.eye(16, dtype=np.float32).reshape(4, 4, 16)
  features = np.stack([np.roll(first, t, axis=1) for t in range(3)])
  black = np.zeros((3, 256, 256, 3), np.uint8)
  frames = track.follow_points(black, features, [(1 / 8, 3 / 8)])
  for t, frame in enumerate(frames):
    y, x = 3 * 256 // 8, (2 * t + 1) * 256 // 8
    assert np.array_equal(frame[y, x], LABEL_COLOURS[0]), t
  assert not track.follow_points(black, features, []).any()


def test_colours_number_the_objects_that_were_painted():
  layer = np.zeros((8, 8, 4), np.uint8)
  layer[:4, :4] = (*LABEL_COLOURS[2], 255)
  layer[4:, 4:] = (*(LABEL_COLOURS[0] + 3), 255)
  layer[0, 7] = (*LABEL_COLOURS[1], 20)  # Hardly painted.
  mask = track.painted_mask([layer], (4, 4))
  assert mask.tolist() == [[3, 3, 0, 0]] * 2 + [[0, 0, 1, 1]] * 2
  with pytest.raises(ValueError, match='Nothing is painted'):
    track.painted_mask([np.zeros((8, 8, 4), np.uint8)], (4, 4))


def test_each_frame_comes_with_its_objects(network, noise):
  mask = np.zeros((32, 32), np.uint8)
  mask[8:24, 8:24] = 1
  frames = list(track.follow_mask(network, noise[:3], mask, warm_up=2))
  assert len(frames) == 3
  assert ((frames[0] != noise[0]).any(-1) == (mask > 0)).mean() > 0.99
