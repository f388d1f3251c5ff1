"""Frames one at a time: the same as those read at once, whatever holds them."""

import tracemalloc

import numpy as np
import pytest
from PIL import Image

from rvmae_jax.data.decoding import VideoError
from rvmae_jax.data.frames import frame_times_s, read_frames
from rvmae_jax.data.sprites.dataset import encode_mp4

FPS = 10


@pytest.fixture(scope='module')
def grey_frames():
  """Frame i of 24 is grey 10 i."""
  greys = 10 * np.arange(24, dtype=np.uint8)
  return np.broadcast_to(greys[:, None, None, None], (24, 32, 48, 3))


@pytest.fixture(scope='module', params=['file', 'folder', 'record'])
def video(request, grey_frames, tmp_path_factory):
  """The frames in one of three forms."""
  folder = tmp_path_factory.mktemp('video')
  if request.param == 'file':
    path = folder / 'grey.mp4'
    path.write_bytes(encode_mp4(grey_frames, FPS))
    return path
  if request.param == 'folder':
    for i, frame in enumerate(grey_frames):
      Image.fromarray(frame).save(folder / f'{i:05d}.png')
    return str(folder)
  return {'path': 'made', 'label': -1, 'frames': grey_frames}


def numbers(frames):
  return [round(frame.mean() / 10) for frame in frames]


def test_all_frames_in_order(video):
  frames = list(read_frames(video))
  assert numbers(frames) == list(range(24))
  assert {(f.shape, f.dtype.name) for f in frames} == {((32, 48, 3), 'uint8')}


def test_a_stride_starts_with_the_first_frame(video):
  assert numbers(read_frames(video, stride=5)) == [0, 5, 10, 15, 20]
  assert len(frame_times_s(video, stride=5)) == 5


def test_frames_are_resized_whole(video):
  sizes = {frame.shape for frame in read_frames(video, size=(16, 12))}
  assert sizes == {(16, 12, 3)}


def test_a_trim_counts_seconds(video):
  times_s = frame_times_s(video)
  start_s, end_s = times_s[6] - 0.01, times_s[9] - 0.01
  trim = {'start_s': start_s, 'end_s': end_s}
  assert numbers(read_frames(video, **trim)) == [6, 7, 8]
  np.testing.assert_allclose(
    frame_times_s(video, **trim), times_s[6:9] - times_s[6], atol=1e-9
  )
  assert numbers(read_frames(video, start_s=start_s))[0] == 6
  assert numbers(read_frames(video, end_s=end_s))[-1] == 8


def test_times_of_a_file_are_its_own(tmp_path, grey_frames):
  (tmp_path / 'grey.mp4').write_bytes(encode_mp4(grey_frames, FPS))
  np.testing.assert_allclose(
    frame_times_s(tmp_path / 'grey.mp4'), np.arange(24) / FPS, atol=1e-6
  )


def test_a_trim_replaces_that_of_a_record(grey_frames):
  record = {'path': 'made', 'label': -1, 'frames': grey_frames, 'end_s': 0.2}
  assert numbers(read_frames(record)) == [0, 1, 2, 3, 4, 5]
  assert len(list(read_frames(record, end_s=0.4))) == 12


def test_real_frames_are_those_of_a_reader(shared_dir):
  """Two hundred frames of a long file, in the memory of a few."""
  path = shared_dir / 'data/edge_cases/long_loop.mp4'
  next(read_frames(path))  # What the first use of a library takes.
  tracemalloc.start()
  count = sum(1 for _ in read_frames(path, size=(32, 32), end_s=8.0))
  peak = tracemalloc.get_traced_memory()[1]
  tracemalloc.stop()
  frame = next(read_frames(path))
  assert count == (frame_times_s(path) < 8.0).sum() > 100
  # The index of all packets is in it too.
  assert peak < 8 * frame.nbytes + 5e6


def test_a_stride_of_nothing_is_refused():
  with pytest.raises(ValueError, match='stride=0'):
    next(read_frames('any.mp4', stride=0))


def test_a_missing_file_is_named():
  with pytest.raises(VideoError, match='nowhere'):
    next(read_frames('nowhere.mp4'))
