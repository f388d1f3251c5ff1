"""Copies on the other side of a split are found, however they are stored."""

import pytest

from rvmae_jax.data.encoding import Encoding
from rvmae_jax.data.sprites import dataset
from rvmae_jax.tools import doctor, prepare

CONFIG = dataset.SpritesConfig(size=48, num_frames=8, background='busy')


@pytest.fixture
def folders(tmp_path):
  """Training videos 0 to 3; video 2 again in the test folder, other rate."""
  for side, indices, fps in (('train', (0, 1, 2, 3), 16), ('test', (2, 9), 8)):
    (tmp_path / side).mkdir()
    for i in indices:
      frames = dataset.make_video(CONFIG, 'train', i).frames
      content = dataset.encode_mp4(frames, fps)
      (tmp_path / side / f'{side[0]}{i}.mp4').write_bytes(content)
  return tmp_path


def _leakage(train, test):
  return doctor.main(['leakage', f'--train={train}', f'--test={test}'])


def test_a_copy_exits_with_1_and_is_named(folders, capsys):
  assert _leakage(folders / 'train', folders / 'test') == 1
  out = capsys.readouterr().out
  assert f'test/t2.mp4 is in training as {folders}/train/t2.mp4' in out
  assert '1 of 2 test videos are among the 4 training videos' in out


def test_shards_are_compared_with_files(folders, capsys):
  shards = str(folders / 'shards')
  prepare.prepare(str(folders / 'train'), shards, Encoding(short_side=24))
  doctor.main(
    ['leakage', f'--train={shards}', '--train_split=train']
    + [f'--test={folders / "train"}']
  )
  # One of the four is in each of the splits val and test.
  assert 'of 4 test videos are among' in capsys.readouterr().out


def test_different_videos_exit_with_0(folders):
  (folders / 'test/t2.mp4').unlink()
  assert _leakage(folders / 'train', folders / 'test') == 0


def test_a_video_that_cannot_be_compared_exits_with_1_and_is_named(
  folders, capsys
):
  (folders / 'test/t2.mp4').write_text('no video')
  assert _leakage(folders / 'train', folders / 'test') == 1
  captured = capsys.readouterr()
  assert '0 of 2 test videos are among the 4' in captured.out
  assert 't2.mp4 cannot be read: Invalid data' in captured.err


def test_parts_of_one_video_in_two_splits_are_leakage(folders, capsys):
  listing = folders / 'train/list.csv'
  listing.write_text(
    'path,split,start,end\nt0.mp4,train,0,0.2\nt0.mp4,test,0.3,0.5\n'
  )
  arguments = ['videos', str(folders / 'train'), f'--listing={listing}']
  assert doctor.main([*arguments, '--quick']) == 1
  out = capsys.readouterr().out
  assert (
    'LEAKAGE (1)' in out and 't0.mp4: parts of it are in train and test' in out
  )
