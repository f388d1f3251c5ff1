"""The benchmark of decoders: the same frames for all, and told when not."""

import numpy as np
import pytest

from rvmae_jax.benchmarks import decoders
from rvmae_jax.benchmarks.decoders import read_ours, read_pyav
from rvmae_jax.data.sprites.dataset import encode_mp4


@pytest.fixture(scope='module', name='folder')
def _folder(tmp_path_factory):
  """Two files of 30 frames, ever brighter, one that is too short, one bad."""
  folder = tmp_path_factory.mktemp('videos')
  frames = np.zeros((30, 32, 32, 3), np.uint8)
  frames += np.arange(0, 240, 8, dtype=np.uint8)[:, None, None, None]
  for name, length in (('a', 30), ('b', 30), ('short', 7)):
    (folder / f'{name}.mp4').write_bytes(encode_mp4(frames[:length], 15))
  (folder / 'bad.mp4').write_bytes(b'no video')
  return str(folder)


def test_clips_are_of_files_that_are_long_enough(folder):
  clips = decoders.draw_clips(folder)
  assert [path[-5:] for path, _ in clips] == ['a.mp4', 'b.mp4']
  for _, indices in clips:
    assert len(indices) == 8
    assert np.diff(indices[:4]).tolist() == [1, 1, 1]
    assert indices == sorted(set(indices))
    assert indices[-1] < 30


def test_decoders_read_the_same_frames_in_turn(folder):
  clips = decoders.draw_clips(folder)

  def read_next(path, indices):
    return read_pyav(path, [(i + 1) % 30 for i in indices])

  contestants = {'ours': read_ours, 'pyav': read_pyav, 'next': read_next}
  results = decoders.benchmark_decoders(clips, contestants, 0)
  assert results['ours']['ratio'] == 1
  assert {k: r['different'] for k, r in results.items()} == {
    'ours': 0,
    'pyav': 0,
    'next': 1,
  }


def test_what_is_not_installed_is_named(folder, monkeypatch, capsys):
  def read_missing(path, indices):
    raise ModuleNotFoundError("No module named 'missing'")

  monkeypatch.setattr(
    decoders,
    'DECODERS',
    {'ours': read_ours, 'missing': read_missing},
  )
  ((path, indices), _) = decoders.draw_clips(folder)
  assert list(decoders.usable(path, indices)) == ['ours']
  assert 'missing left out: ModuleNotFoundError' in capsys.readouterr().out
