"""The command: what it prints and writes, and its exit code."""

import json

import pytest

from rvmae_jax.data.sprites import dataset
from rvmae_jax.tools import doctor


@pytest.fixture
def folder(tmp_path):
  frames = dataset.make_video(dataset.SpritesConfig(), 'train', 0).frames
  (tmp_path / 'videos').mkdir()
  (tmp_path / 'videos' / 'fine.mp4').write_bytes(dataset.encode_mp4(frames, 16))
  return tmp_path / 'videos'


def test_sound_videos_exit_with_0(folder, capsys):
  assert doctor.main(['videos', str(folder)]) == 0
  out = capsys.readouterr().out
  assert 'fine.mp4' in out and '1 videos, 16 frames' in out
  assert 'all is well' in out


def test_problem_exits_with_1_and_is_explained(folder, tmp_path, capsys):
  (folder / 'empty.mp4').touch()
  out_path = tmp_path / 'report.json'
  assert doctor.main(['videos', str(folder), '--json', str(out_path)]) == 1
  out = capsys.readouterr().out
  assert 'UNREADABLE (1). Copy or download it again' in out
  assert 'empty.mp4: the file is empty' in out
  report = json.loads(out_path.read_text())
  assert [video['path'] for video in report['videos']] == [
    'empty.mp4',
    'fine.mp4',
  ]
  [problem] = report['problems']
  assert problem['kind'] == 'unreadable' and problem['paths'] == ['empty.mp4']
  assert problem['remedy'] and not problem['is_note']


def test_notes_alone_exit_with_0(folder, capsys):
  frames = dataset.make_video(dataset.SpritesConfig(), 'train', 0).frames
  (folder / 'slower.mp4').write_bytes(dataset.encode_mp4(frames, 8))
  assert doctor.main(['videos', str(folder)]) == 0
  assert 'NEAR-DUPLICATE (1)' in capsys.readouterr().out


def test_limits_can_be_set(folder):
  assert doctor.main(['videos', str(folder), '--min_frames', '17']) == 1
  assert doctor.main(['videos', str(folder), '--min_size', '33']) == 1


def test_bad_usage_exits_with_2(folder, tmp_path, capsys):
  assert doctor.main(['videos', str(tmp_path / 'nowhere')]) == 2
  assert 'nowhere' in capsys.readouterr().err
  listing = str(tmp_path / 'labels.txt')
  assert doctor.main(['videos', str(folder), '--listing', listing]) == 2
  with pytest.raises(SystemExit) as exit_info:
    doctor.main(['video', str(folder)])
  assert exit_info.value.code == 2


def test_a_package_that_is_missing_is_told(monkeypatch, capsys):
  def missing(*unused):
    raise ImportError("pip install 'rvmae_jax[tfds]'")

  monkeypatch.setattr(doctor.leakage.inputs, 'open_source', missing)
  assert doctor.main(['leakage', '--train=tfds:', '--test=tfds:']) == 2
  assert 'doctor: pip install' in capsys.readouterr().err
