"""Long videos: drift by hand, what is measured of which network, tracking."""

import numpy as np
import pytest

from rvmae_jax.evals.long_video import LongVideoEval, drift
from rvmae_jax.evals.videos import Videos
from rvmae_jax.visualize.long_video import long_video_figures

_VIDEOS = Videos(
  sources={
    'short': {'name': 'fake', 'num_videos': 1, 'num_frames': 7},
    'long': {'name': 'fake', 'num_videos': 3, 'num_frames': 20},
  },
  crop={'size': (16, 16)},
  patch_size=8,
  batch_size=1,
)


class Counter:
  """A recurrent network with features (n, 1) after n frames, in each place."""

  is_recurrent = True
  num_prefix_tokens = 0

  def untrained(self, video, seed):
    return self

  def init_state(self, batch_size, height, width):
    return np.zeros(1)

  def encode_from(self, state, video):
    counts = state + np.arange(1, 1 + video.shape[1])
    features = np.stack([counts, np.ones(len(counts))], axis=-1)  # [T, 2]
    grid = video.shape[2] // 8 * (video.shape[3] // 8)
    return np.repeat(features[None, :, None], grid, axis=2), counts[-1:]


class Windows:
  """A network of clips whose features are the colours of patches."""

  is_recurrent = False
  num_prefix_tokens = 0

  def untrained(self, video, seed):
    return self

  def encode(self, video):
    rows, frames, height, width, _ = video.shape
    # [B, T, h, 8, w, 8, 3] -> [B, T, h*w, 3]
    patches = video.reshape(rows, frames, height // 8, 8, width // 8, 8, 3)
    means = patches.mean((3, 5)).reshape(rows, frames, -1, 3)
    return np.float32(means - means.mean(2, keepdims=True))


def test_drift():
  # One video, two lengths, one place. The second is turned by a right angle.
  features = np.array([[[[3.0, 4.0]], [[0.0, 1.0]]]])
  fresh = np.array([[[[3.0, 4.0]], [[1.0, 0.0]]]])
  # Fresh features lie at (1, 2) around their mean, and at (-1, -2).
  expected = {'cosine': [1, 0], 'drift': [0, 2 / 5], 'state_norm': [5, 1]}
  found = drift(features, fresh)
  assert {key: value.tolist() for key, value in found.items()} == expected


def test_a_state_drifts_unless_it_is_reset():
  evaluation = LongVideoEval(
    videos=_VIDEOS, lengths=(4, 8, 20), context=4, reset_every=4, num_videos=2
  )
  metrics = evaluation.run(Counter()).metrics
  assert metrics['num_videos'] == 2  # The short one is not among them.

  def cosine(count):
    return (4 * count + 1) / np.sqrt((count**2 + 1) * (4**2 + 1))

  for length in (4, 8, 20):
    found = metrics[f'stream/length_{length}/cosine']
    assert found == pytest.approx(cosine(length))
    assert metrics[f'reset_4/length_{length}/cosine'] == pytest.approx(1)
    norm = metrics[f'stream/length_{length}/state_norm']
    assert norm == pytest.approx(np.sqrt(length**2 + 1))
  assert not any('/J' in key for key in metrics)  # Nobody knows the objects.


def test_windows_track_but_do_not_drift(tmp_path):
  evaluation = LongVideoEval(
    videos=_VIDEOS,
    dataset={
      'name': 'sprites',
      'num_videos': 1,
      'num_frames': 12,
      'size': 32,
      'cache_dir': str(tmp_path),
    },
    lengths=(4, 12),
    window=4,
  )
  metrics = evaluation.run(Windows()).metrics
  columns = {key.split('/')[-1] for key in metrics if 'windows' in key}
  assert columns == {'J', 'live_mib', 'resident_mib'}
  assert 0 < metrics['copy/length_12/J'] < metrics['windows/length_12/J'] <= 1
  [figure] = long_video_figures({}, metrics).values()
  figure.draw_without_rendering()
  titles = [axes.get_title(loc='left') for axes in figure.axes]
  assert titles == ['J of tracked objects', 'memory of the process, MiB']


def test_without_a_long_video_nothing_is_measured():
  assert (
    LongVideoEval(videos=_VIDEOS, lengths=(16, 32)).run(Counter()).metrics == {}
  )


def test_lengths_rise():
  with pytest.raises(ValueError, match=r'lengths=\(8, 4\) must be positive'):
    LongVideoEval(videos=_VIDEOS, lengths=(8, 4))


def test_impossible_states_are_refused():
  with pytest.raises(ValueError, match='reset_every=-2'):
    LongVideoEval(videos=_VIDEOS, lengths=(8,), reset_every=-2)


def test_a_video_that_cannot_be_read_is_left_out(tmp_path):
  (tmp_path / 'cut.mp4').write_bytes(b'no video')
  listing = tmp_path / 'list.csv'
  listing.write_text('path\ncut.mp4\n')
  source = {'name': 'listing', 'path': str(listing), 'split': 'all'}
  videos = _VIDEOS.replace(sources={'cut': source, **_VIDEOS.sources})
  metrics = LongVideoEval(videos=videos, lengths=(4, 16)).run(Counter()).metrics
  assert metrics['num_videos'] == 3
