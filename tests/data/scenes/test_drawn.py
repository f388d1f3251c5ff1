"""Drawn scenes as datasets of points, boxes and depth."""

import numpy as np
import pytest

from rvmae_jax.data.frames import read_frames
from rvmae_jax.data.scenes import BOXES, DEPTH, POINTS
from rvmae_jax.data.sources.moving_sprites import MovingSprites

TINY = {'size': 32, 'num_frames': 3, 'num_videos': 2}


def parallax(table, **settings):
  return table.build({'name': 'parallax', **TINY, **settings})


def test_all_three_are_of_the_same_videos():
  points, boxes, depth = (
    parallax(table)[1] for table in (POINTS, BOXES, DEPTH)
  )
  assert points.name == boxes.name == depth.name == 'train/00001'
  frames = np.stack(list(read_frames(points.video)))
  assert frames.shape == (3, 32, 32, 3)
  for video in (boxes, depth):
    np.testing.assert_array_equal(list(read_frames(video.video)), frames)
  assert points.points.shape == (32, 3, 2) and points.visible.any()
  assert boxes.boxes.shape[1:] == (3, 4)
  assert len(depth.maps) == 3 and depth.depth(2).shape == (32, 32)
  assert depth.depth(0, size=(8, 16)).shape == (8, 16)


def test_what_is_not_there_is_not_drawn():
  with pytest.raises(IndexError):
    parallax(DEPTH)[2]
  with pytest.raises(ValueError, match="Unknown split 'tset'"):
    parallax(DEPTH, split='tset')


@pytest.fixture(scope='module')
def sprites(tmp_path_factory):
  return {
    **TINY,
    'split': 'test',
    'num_sprites': 2,
    'cache_dir': str(tmp_path_factory.mktemp('cache')),
    'num_workers': 1,
  }


def test_points_of_sprites_are_shares_of_the_frame(sprites):
  video = POINTS.build({'name': 'sprites', **sprites})[1]
  truth = MovingSprites(**sprites).truth(1)
  assert video.points.shape == (10, 3, 2)
  assert len(list(read_frames(video.video))) == 3
  # The third point of the second sprite, in the last frame.
  np.testing.assert_allclose(
    32 * video.points[7, 2], truth['keypoints'][2, 1, 2], rtol=1e-6
  )
  assert video.visible[7, 2] == truth['visible'][2, 1, 2]


def test_boxes_of_sprites_are_shares_of_the_frame(sprites):
  video = BOXES.build({'name': 'sprites', **sprites})[1]
  truth = MovingSprites(**sprites).truth(1)
  assert video.boxes.shape == (2, 3, 4)
  x0, y0, x1, y1 = truth['boxes'][2, 1]
  np.testing.assert_allclose(32 * video.boxes[1, 2], [y0, x0, y1, x1])
