"""Views worked by hand."""

import numpy as np
import pytest

from rvmae_jax.data.clips import CLIPS
from rvmae_jax.evals.videos import Videos
from rvmae_jax.evals.views import Views


def test_views_are_cut_in_time_and_space():
  video = np.arange(4 * 2 * 6).reshape(1, 4, 2, 6, 1)
  views = Views(2, 3).cut(video)
  assert [view.shape for view in views] == [(1, 2, 2, 2, 1)] * 6
  np.testing.assert_array_equal(views[0], video[:, :2, :, :2])
  np.testing.assert_array_equal(views[1], video[:, :2, :, 2:4])
  np.testing.assert_array_equal(views[5], video[:, 2:, :, 4:])
  # Frames that are spread over the video: each clip spans all of it.
  views = Views(2, is_spread=True).cut(video)
  np.testing.assert_array_equal(views[1], video[:, 1::2])


def test_clips_that_do_not_divide_are_answered():
  with pytest.raises(ValueError, match='4 frames cannot be cut into num_clips'):
    Views(3).cut(np.zeros((1, 4, 2, 2, 3)))


def test_no_view_is_an_error():
  with pytest.raises(ValueError, match='num_crops=0 must be at least 1'):
    Views(1, 0)


def _cut(clip, num_clips, num_frames=12):
  """Which frames of a video each view of it has, as evaluations read them."""
  videos = Videos(clip=clip, patch_size=8, batch_size=1)
  frames = CLIPS.build(clip)(np.arange(num_frames) / 25).frames['video']
  views = Views.of(videos, num_clips, 1).cut(frames.reshape(1, -1, 1, 1, 1))
  return [view.ravel().tolist() for view in views]


def test_views_are_the_clips_that_the_sampler_took():
  clip = {'name': 'uniform', 'num_frames': 3, 'stride': 2}
  wanted = [[0, 2, 4], [3, 5, 7], [7, 9, 11]]
  assert _cut({**clip, 'num_clips': 3}, 3) == wanted
  wrapped = {'name': 'playback', 'clip': {**clip, 'num_clips': 3}}
  assert _cut(wrapped, 3) == wanted


def test_views_of_spread_frames_are_the_same_in_both_ways():
  """As one clip of all frames, or as clips that take turns."""
  clip = {'name': 'uniform', 'stride': 0}
  wanted = [[1, 5, 9], [3, 7, 11]]
  assert _cut({**clip, 'num_frames': 6}, 2) == wanted
  assert _cut({**clip, 'num_frames': 3, 'num_clips': 2}, 2) == wanted


def test_another_number_of_clips_is_refused():
  clip = {'name': 'uniform', 'num_frames': 3, 'stride': 2, 'num_clips': 5}
  with pytest.raises(ValueError, match=r'num_clips=5 differs from num_clips=1'):
    _cut(clip, 1)


def test_crops_of_square_frames_are_refused():
  clip = {'name': 'uniform', 'num_frames': 3}
  square = Videos(clip=clip, crop={'size': (8, 8)}, patch_size=8, batch_size=1)
  with pytest.raises(ValueError, match=r'num_crops=3 does nothing .*\(8, 8\)'):
    Views.of(square, 1, 3)
  wide = square.replace(crop={'size': (8, 16)})
  assert len(Views.of(wide, 1, 3)) == 3
