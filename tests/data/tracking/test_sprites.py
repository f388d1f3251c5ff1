"""Sprites as tracked videos: what is known of every frame."""

import numpy as np
import pytest

from rvmae_jax.data.frames import read_frames
from rvmae_jax.data.tracking import TRACKING


@pytest.fixture(scope='module')
def cache(tmp_path_factory):
  return str(tmp_path_factory.mktemp('cache'))


def sprites(cache, **settings):
  return TRACKING.build(
    {
      'name': 'sprites',
      'size': 32,
      'num_frames': 5,
      'num_videos': 2,
      'cache_dir': cache,
      'num_workers': 1,
      **settings,
    }
  )


def test_masks_number_the_sprites_of_every_frame(cache):
  dataset = sprites(cache)
  assert (dataset.kind, dataset.size, len(dataset)) == ('objects', (32, 32), 2)
  video = dataset[1]
  assert len(list(read_frames(video.video))) == len(video.labels) == 5
  for frame in range(5):
    assert set(np.unique(video.label(frame))) == {0, 1, 2}


def test_keypoints_lie_on_their_sprite_where_they_are_visible(cache):
  masks, points = sprites(cache), sprites(cache, labels='keypoints')
  assert points.kind == 'keypoints'
  seen = 0
  for frame in range(5):
    mask, keypoints = masks[0].label(frame), points[0].label(frame)
    assert keypoints.shape == (10, 2)
    for number, (x, y) in enumerate(keypoints):
      if not np.isnan(x):
        seen += mask[int(y), int(x)] == number // 5 + 1
  hidden = np.isnan([points[0].label(t) for t in range(5)]).any(-1).sum()
  # A point on an edge may be drawn as its neighbour.
  assert seen >= 0.9 * (50 - hidden)


def test_unknown_labels_are_refused(cache):
  with pytest.raises(ValueError, match="labels='boxes'"):
    sprites(cache, labels='boxes')
