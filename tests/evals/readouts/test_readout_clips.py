"""Clips of readout heads: whose they are, their truth, and their room."""

import numpy as np
import pytest

from rvmae_jax import memory
from rvmae_jax.data.decoding import VideoError
from rvmae_jax.data.scenes.videos import DepthVideo
from tests.evals.readouts.readout_tasks import FRAMES, SIZE, evaluation


def read(**changes):
  """The clips of each side."""
  return evaluation('depth', **changes).read_all()


def test_videos_are_on_one_side_alone():
  train, validation, test = read(validation={}, held_out=0.25)
  assert (len(train), len(validation), len(test)) == (18, 6, 6)
  with pytest.raises(ValueError, match='6 videos are in train and in test'):
    read(test={'num_videos': 6})
  with pytest.raises(ValueError, match='in validation and in test, such as'):
    read(validation={'split': 'test', 'num_videos': 2})


def test_truth_is_of_the_frames_of_a_clip():
  """Several clips of a video, of every second frame."""

  class Counted:
    """Each frame has its number as its colour and its depth."""

    def __len__(self):
      return 4

    def __getitem__(self, index):
      if index == 3:
        raise VideoError('c', 'is damaged')
      count = 11 - 8 * (index == 2)
      frames = np.ones((count, SIZE, SIZE, 3), np.uint8)
      frames *= np.arange(count, dtype=np.uint8)[:, None, None, None]
      record = {'path': 'c', 'label': -1, 'frames': frames}
      return DepthVideo(str(index), record, list(np.float32(frames[..., 0])))

  asked = evaluation('depth', stride=2, num_clips=3)
  clips = asked._read('test', Counted(), np.arange(4))
  # One is too short, one damaged.
  assert [clip.place[1] for clip in clips] == ['0'] * 3 + ['1'] * 3
  for clip, start in zip(clips, (0, 2, 4)):
    wanted = start + 2 * np.arange(FRAMES)
    np.testing.assert_array_equal(clip.frames[:, 0, 0, 0], wanted)
    np.testing.assert_array_equal(clip.truth['depth'][:, 5, 5], wanted)
  with pytest.raises(ValueError, match='of 2 videos, 1 are shorter than 7'):
    asked._read('test', Counted(), np.arange(2, 4))


def test_what_does_not_fit_into_memory_is_refused(monkeypatch):
  monkeypatch.setattr(memory, 'free_memory', lambda: 1e5)
  with pytest.raises(ValueError, match=r'test clips would take .* max_videos'):
    read()


class Several:
  """Videos of a frame each, of which some have no truth."""

  def __init__(self, *known):
    self._known = known

  def __len__(self):
    return len(self._known)

  def __getitem__(self, index):
    frames = np.zeros((FRAMES, SIZE, SIZE, 3), np.uint8)
    record = {'path': str(index), 'label': -1, 'frames': frames}
    depth = list(np.float32(frames[..., 0] + self._known[index]))
    return DepthVideo(str(index), record, depth)


def test_a_video_of_which_nothing_is_known_is_left_out(monkeypatch):
  asked = evaluation('depth')
  truth = type(asked).truth
  monkeypatch.setattr(
    type(asked),
    'truth',
    lambda self, video, frames: (
      truth(self, video, frames) if video.maps[0].any() else None
    ),
  )
  clips = asked._read('test', Several(0, 1, 0, 1), np.arange(4))
  assert [clip.place[1] for clip in clips] == ['1', '3']


def test_room_is_asked_for_where_videos_have_several_clips(monkeypatch):
  monkeypatch.setattr(memory, 'free_memory', lambda: 1e3)
  asked = evaluation('depth', num_clips=2)
  with pytest.raises(ValueError, match=r'test clips would take .* max_videos'):
    asked._read('test', asked._chosen(asked.test)[0], np.arange(2))


def test_what_was_trained_on_is_found_among_the_videos_asked_about():
  files = evaluation('depth', max_videos=2).test_files()
  assert files == ['test/0', 'test/3']
