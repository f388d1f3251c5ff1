"""Composed videos: the times are those of the clips, frame by frame."""

import numpy as np
import pytest

from rvmae_jax.data.localization.composed import composed

_SOURCE = {
  'name': 'fake',
  'num_videos': 9,
  'num_frames': 12,
  'num_classes': 3,
  'size': (8, 8),
}


def test_segments_are_the_clips_in_turn():
  read = composed(_SOURCE, num_videos=5, num_clips=(2, 4), max_seconds=0.3)
  assert len(read.videos) == 5 and len(read.class_names) == 3
  assert {len(video.parts) for video in read.videos} <= {2, 3, 4}
  for video in read.videos:
    # 30 frames a second, of which 0.3 seconds are 9.
    count = len(video.parts)
    np.testing.assert_allclose(
      video.segments_s, 0.3 * np.array([range(count), range(1, count + 1)]).T
    )
    assert video.labels.tolist() == [part['label'] for part in video.parts]
    assert (np.diff(video.labels) != 0).all()
    frames = np.stack(list(video.read((8, 8))))
    shown = np.concatenate([part['frames'][:9] for part in video.parts])
    np.testing.assert_array_equal(frames, shown)


def test_times_go_on_from_part_to_part():
  [video] = composed(_SOURCE, num_videos=1, num_clips=(2, 2)).videos
  np.testing.assert_allclose(video.times_s(), np.arange(25) / 30)
  # Of each part every third frame.
  np.testing.assert_allclose(
    video.times_s(10), np.append(np.arange(8) / 10, 0.8)
  )
  assert len(list(video.read((8, 8), 10))) == 8


def test_the_draw_is_the_seeds():
  def parts(seed):
    return [
      [part['path'] for part in video.parts]
      for video in composed(_SOURCE, num_videos=6, seed=seed).videos
    ]

  assert parts(0) == parts(0) != parts(1)


def test_one_label_says_nothing():
  with pytest.raises(ValueError, match=r'at least two labels; they have \[0\]'):
    composed({**_SOURCE, 'num_classes': 1})
