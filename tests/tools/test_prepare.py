"""Shards of a folder of videos: contents, manifest, resumption, mistakes."""

import hashlib
import json
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import time
from fractions import Fraction

import av
import numpy as np
import pytest

from rvmae_jax.data import encoding, faces
from rvmae_jax.data.decoding import open_record
from rvmae_jax.data.encoding import Encoding
from rvmae_jax.data.fingerprints import identify
from rvmae_jax.data.locking import FolderLock, InUseError
from rvmae_jax.data.pipeline import build_sources
from rvmae_jax.data.sources import SOURCES
from rvmae_jax.data.sources.shards import Shards
from rvmae_jax.tools import prepare

ENCODING = Encoding(short_side=32, gop=4)
# Always the same bytes; libx264 has others for the same frames now and then.
JPEG = Encoding(codec='jpeg', short_side=32)
COLOURS = {
  'train/up/a': 40,
  'train/down/b': 80,
  'train/up/c': 120,
  'val/up/d': 160,
}


@pytest.fixture
def videos(tmp_path):
  """Four grey videos of 6 frames in two classes, and a broken one."""
  root = tmp_path / 'videos'
  for name, grey in COLOURS.items():
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(root / f'{name}.mp4'), 'w') as container:
      stream = container.add_stream('libx264', rate=25)
      stream.width, stream.height = 64, 48
      frame = np.full((48, 64, 3), grey, np.uint8)
      for _ in range(6):
        container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
      container.mux(stream.encode(None))
  (root / 'train/down/broken.mp4').write_bytes(b'no video' * 9)
  return root


def test_names_of_videos_need_not_be_utf_8(videos, tmp_path):
  name = os.fsdecode(b'caf\xe9.mp4')
  (videos / 'val/up/d.mp4').rename(videos / 'val/up' / name)
  _run(videos, tmp_path / 'out', encoding=JPEG)
  [record] = Shards(str(tmp_path / 'out'), 'val')
  assert record['path'] == f'val/up/{name}'


def test_shards_are_read_from_a_bucket(videos, tmp_path, bucket):
  _run(videos, tmp_path / 'out')
  config = {'name': 'shards', 'path': str(tmp_path / 'out')}
  here, there = build_sources(
    {'here': config, 'there': config | {'path': 'gs://bucket/out'}}
  )
  assert [*there.identities()] == [*here.identities()]
  there = pickle.loads(pickle.dumps(there))
  assert [there[i] for i in range(3)] == [here[i] for i in range(3)]
  gone = next((tmp_path / 'out').glob('train*.array_record'))
  gone.unlink()
  with pytest.raises(FileNotFoundError, match=f'1 of 2 .*gs://.*{gone.name}'):
    Shards('gs://bucket/out')


def _run(videos, output, **changes):
  arguments = {'encoding': ENCODING, 'records_per_shard': 2, **changes}
  return prepare.prepare(str(videos), str(output), **arguments)


def _shard_bytes(output):
  return {p.name: p.read_bytes() for p in output.glob('*.array_record')}


def test_shards_hold_the_videos(videos, tmp_path):
  _run(videos, tmp_path / 'out')
  source = SOURCES.build({'name': 'shards', 'path': str(tmp_path / 'out')})
  assert source.class_names == ['down', 'up']
  found = {}
  for i in range(len(source)):
    record = pickle.loads(pickle.dumps(source))[i]
    with open_record(record) as reader:
      frames = reader.read(range(6))
    assert frames.shape == (6, 32, 42, 3)
    grey = round(frames.mean() / 40) * 40  # YUV is coarse.
    found[record['path']] = (grey, record['label'])
  assert found == {
    'train/up/a.mp4': (40, 1),
    'train/down/b.mp4': (80, 0),
    'train/up/c.mp4': (120, 1),
  }


def test_the_manifest_counts_hashes_and_says_what_was_skipped(videos, tmp_path):
  manifest = _run(videos, tmp_path / 'out')
  path = tmp_path / 'out/manifest.json'
  assert json.loads(path.read_text()) == manifest
  assert manifest['skipped'] == [
    {
      'split': 'train',
      'path': 'train/down/broken.mp4',
      'reason': 'Invalid data found when processing input',
    }
  ]
  train = manifest['splits']['train']
  assert (train['num_videos'], train['num_frames']) == (3, 18)
  for shard in train['shards']:
    content = (tmp_path / 'out' / shard['file']).read_bytes()
    assert shard['sha256'] == hashlib.sha256(content).hexdigest()
  for video in manifest['inputs']:
    content = (videos / video['path']).read_bytes()
    assert video['sha256'] == hashlib.sha256(content).hexdigest()
    assert video['num_bytes'] == len(content)


def test_shards_say_which_files_they_were_made_from(videos, tmp_path):
  _run(videos, tmp_path / 'out')
  identities = [*Shards(str(tmp_path / 'out'), 'val').identities()]
  path = str(videos / 'val/up/d.mp4')
  assert identities == [identify(path)._replace(path='val/up/d.mp4')]


@pytest.fixture
def consented(videos):
  """A list of the videos, of which two are to be learned from."""
  path = videos / 'list.csv'
  path.write_text(
    'path,split,consent,licence\ntrain/up/a.mp4,train,yes,CC0\n'
    'train/down/b.mp4,train,no,CC0\ntrain/up/c.mp4,train,yes,\n'
    'val/up/d.mp4,val,,CC0\n'
  )
  return path


def test_what_a_list_says_goes_with_its_videos(consented, tmp_path):
  require = {'consent': ('yes',)}
  found = _run(consented, tmp_path / 'out', encoding=JPEG, require=require)
  assert found['left_out'] == {
    'train': {'consent=no': 1},
    'val': {'consent=': 1},
  }
  assert found['settings']['require'] == {'consent': ('yes',)}
  source = Shards(str(tmp_path / 'out'))
  columns = {'consent': 'yes', 'licence': 'CC0'}
  assert [record['columns'] for record in source] == [
    columns,
    {'consent': 'yes'},
  ]
  assert [video[3:] for video in source.identities()] == [
    ('CC0', 'yes', ''),
    ('', 'yes', ''),
  ]
  # And asked again of the shards.
  config = {'name': 'shards', 'path': str(tmp_path / 'out')}
  source = SOURCES.build(config | {'require': {'licence': 'cc0'}})
  assert [record['columns'] for record in source] == [columns]
  assert [video.path for video in source.identities()] == ['train/up/a.mp4']
  assert source.left_out == {'consent=no': 1, 'licence=': 1}


def test_other_videos_are_no_going_on(consented, tmp_path):
  _run(consented, tmp_path / 'out', encoding=JPEG, require={'consent': 'yes'})
  with pytest.raises(
    ValueError, match=r"require: \{'consent'.* then, None now"
  ):
    _run(consented, tmp_path / 'out', encoding=JPEG)


def test_nobody_left_is_told_before_anything_is_written(consented, tmp_path):
  expected = r'consent=yes \(2\), consent=no \(1\); consent= \(1\)'
  with pytest.raises(ValueError, match=expected):
    _run(consented, tmp_path / 'out', require={'consent': 'signed'})
  assert not (tmp_path / 'out').exists()


def test_faces_are_hidden_and_counted(videos, tmp_path, monkeypatch):
  class Detector:
    """Finds a face in the left half of bright frames."""

    def __call__(self, frame):
      return [(8.0, 8.0, 24.0, 40.0)] if frame.mean() > 100 else []

  monkeypatch.setattr(prepare, 'FaceDetector', Detector)
  monkeypatch.setattr(faces, 'FaceDetector', Detector)
  monkeypatch.setattr(faces, 'hide', lambda frame, boxes: frame * (not boxes))
  monkeypatch.setattr(encoding, 'hide', faces.hide)
  found = _run(videos, tmp_path / 'out', encoding=JPEG, anonymise='faces')
  assert found['splits']['train']['anonymised'] == {
    'num_faces': 1,
    'num_frames_with_faces': 6,
    'num_videos_with_faces': 1,
  }
  number = {video['path']: video['num_faces'] for video in found['inputs']}
  assert number == {
    'train/up/a.mp4': 0,
    'train/down/b.mp4': 0,
    'train/up/c.mp4': 1,
    'val/up/d.mp4': 1,
  }
  source = Shards(str(tmp_path / 'out'))
  assert source.anonymised == found['splits']['train']['anonymised']
  for record in source:
    with open_record(record) as reader:
      is_hidden = reader.read(range(6)).max() < 10
    assert is_hidden == (record['path'] == 'train/up/c.mp4')


def test_two_workers_write_the_same_bytes(videos, tmp_path):
  _run(videos, tmp_path / 'one', encoding=JPEG)
  _run(videos, tmp_path / 'two', workers=2, encoding=JPEG)
  assert _shard_bytes(tmp_path / 'one') == _shard_bytes(tmp_path / 'two')


def test_killed_and_started_again_gives_the_same_shards(videos, tmp_path):
  _run(videos, tmp_path / 'whole', records_per_shard=1, encoding=JPEG)
  output = tmp_path / 'killed'
  command = [
    *(sys.executable, '-m', 'rvmae_jax.tools.prepare', '--workers=1'),
    *(f'--input={videos}', f'--output={output}', '--records_per_shard=1'),
    *('--short_side=32', '--codec=jpeg'),
  ]
  process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
  while not list(output.glob('train-*.json')) and process.poll() is None:
    time.sleep(0.005)
  process.kill()
  process.wait()
  finished = {p: p.stat().st_mtime_ns for p in output.glob('train-*.json')}
  assert finished
  (output / '.part-0-train-00003.json').touch()
  _run(videos, output, records_per_shard=1, encoding=JPEG)
  assert _shard_bytes(output) == _shard_bytes(tmp_path / 'whole')
  # What was complete was left alone, and no half-written file remains.
  assert all(p.stat().st_mtime_ns == t for p, t in finished.items())
  assert not list(output.glob('.part-*'))


def test_other_settings_do_not_mix_with_finished_shards(videos, tmp_path):
  _run(videos, tmp_path / 'out')
  with pytest.raises(ValueError, match='crf: 20 then, 30 now'):
    _run(
      videos, tmp_path / 'out', encoding=Encoding(short_side=32, gop=4, crf=30)
    )


def test_a_list_with_parts_is_taken_as_well(videos, tmp_path):
  rows = 'path,label,split,end\nup/a.mp4,up,dev,0.1\nup/c.mp4,up,dev,\n'
  (videos / 'train/list.csv').write_text(rows)
  manifest = _run(videos / 'train/list.csv', tmp_path / 'out')
  assert manifest['splits']['dev']['num_frames'] == 3 + 6
  assert len(Shards(str(tmp_path / 'out'), 'dev')) == 2


def test_shards_that_are_not_there_are_named(videos, tmp_path):
  with pytest.raises(FileNotFoundError, match='start it again'):
    Shards(str(tmp_path))
  _run(videos, tmp_path / 'out')
  with pytest.raises(ValueError, match=r"no split 'test' in .*train, val"):
    Shards(str(tmp_path / 'out'), 'test')
  (tmp_path / 'out/val-00000.array_record').unlink()
  with pytest.raises(FileNotFoundError, match='val-00000'):
    Shards(str(tmp_path / 'out'), 'val')


def test_a_video_that_cannot_be_encoded_is_skipped_by_name(tmp_path):
  """Seven hours lie between two of its frames, which .mp4 does not take."""
  (tmp_path / 'in').mkdir()
  for name, gap_s in (('a', 0), ('b', 7 * 3600), ('c', 0)):
    with av.open(str(tmp_path / f'in/{name}.mkv'), 'w') as container:
      stream = container.add_stream('libx264', rate=25, options={'bf': '0'})
      stream.width, stream.height = 32, 32
      stream.codec_context.time_base = Fraction(1, 1000)
      for number in range(6):
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))
        frame.pts = 40 * number + (number >= 3) * gap_s * 1000
        frame.time_base = Fraction(1, 1000)
        container.mux(stream.encode(frame))
      container.mux(stream.encode(None))
  manifest = _run(tmp_path / 'in', tmp_path / 'out')
  [skipped] = manifest['skipped']
  assert skipped['path'] == 'b.mkv'
  assert 'cannot be encoded as h264' in skipped['reason']
  assert len(manifest['inputs']) == 2


def test_a_second_process_at_the_same_shards_is_refused(videos, tmp_path):
  with (
    FolderLock(tmp_path / 'out', 'prepare'),
    pytest.raises(InUseError, match='is in use by'),
  ):
    _run(videos, tmp_path / 'out')
  assert not list((tmp_path / 'out').iterdir())


def test_a_full_disk_leaves_no_shard_that_looks_complete(videos, tmp_path):
  _run(videos, tmp_path / 'whole', encoding=JPEG)
  _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
  try:
    with pytest.raises(RuntimeError, match='File too large'):
      _run(videos, tmp_path / 'out', encoding=JPEG)
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, hard))
  assert {p.name for p in (tmp_path / 'out').iterdir()} == {'settings.json'}
  _run(videos, tmp_path / 'out', encoding=JPEG)
  assert _shard_bytes(tmp_path / 'out') == _shard_bytes(tmp_path / 'whole')


def test_a_worker_that_is_killed_is_told(videos, tmp_path, monkeypatch):
  monkeypatch.setattr(prepare, 'write_shard', _kill_this_process)
  with pytest.raises(RuntimeError, match='the same command resumes'):
    _run(videos, tmp_path / 'out', workers=2)


def _kill_this_process(shard):
  os.kill(os.getpid(), signal.SIGKILL)


def test_nothing_but_broken_videos_is_an_error(tmp_path):
  (tmp_path / 'in').mkdir()
  (tmp_path / 'in/a.mp4').touch()
  with pytest.raises(ValueError, match=r'None of the 1 videos.*file is empty'):
    _run(tmp_path / 'in', tmp_path / 'out')


def test_a_video_that_was_mended_is_read_by_the_same_command(videos, tmp_path):
  (tmp_path / 'in').mkdir()
  (tmp_path / 'in/a.mp4').touch()
  with pytest.raises(ValueError, match='None of the 1 videos'):
    _run(tmp_path / 'in', tmp_path / 'out')
  shutil.copy(next(videos.rglob('*.mp4')), tmp_path / 'in/a.mp4')
  manifest = _run(tmp_path / 'in', tmp_path / 'out')
  assert manifest['skipped'] == []


def test_without_beam_the_runner_says_how_to_get_it(
  videos, tmp_path, monkeypatch
):
  monkeypatch.setitem(sys.modules, 'apache_beam', None)
  with pytest.raises(ImportError, match=r"pip install 'rvmae_jax\[beam\]'"):
    _run(videos, tmp_path / 'out', beam_arguments=[])


def test_the_beam_runner_writes_the_same_bytes(videos, tmp_path):
  pytest.importorskip('apache_beam', reason='Apache Beam is optional')
  _run(videos, tmp_path / 'local', encoding=JPEG)
  _run(videos, tmp_path / 'beam', beam_arguments=[], encoding=JPEG)
  assert _shard_bytes(tmp_path / 'local') == _shard_bytes(tmp_path / 'beam')


def test_the_command_line_reports_and_refuses_typos(videos, tmp_path, capsys):
  arguments = [
    f'--input={videos}',
    f'--output={tmp_path / "out"}',
    '--short_side=32',
    '--codec=jpeg',
    '--workers=1',
  ]
  prepare.main(arguments)
  printed = capsys.readouterr().out
  assert 'train: 3 videos, 18 frames, 1 shards' in printed
  assert 'skipped train/down/broken.mp4: Invalid data' in printed
  assert 'video 5/5' in printed
  with pytest.raises(SystemExit):
    prepare.main([*arguments, '--short_sid3=4'])


@pytest.mark.parametrize(
  ('argument', 'message'),
  [
    ('--records_per_shard=-1', 'argument --records_per_shard: -1 is less than'),
    ('--max_seconds=-0.5', 'argument --max_seconds: -0.5 is less than 0.0'),
    ('--gop=x', "argument --gop: invalid number value: 'x'"),
  ],
)
def test_numbers_that_make_no_sense_are_named(
  tmp_path, capsys, argument, message
):
  with pytest.raises(SystemExit):
    prepare.main([f'--input={tmp_path}', '--output=out', argument])
  assert message in capsys.readouterr().err


def test_what_is_impossible_exits_with_2(videos, tmp_path, capsys):
  arguments = [f'--input={videos}', f'--output={tmp_path / "out"}']
  arguments += ['--codec=jpeg', '--workers=1']
  assert prepare.main([*arguments, '--short_side=32']) == 0
  assert prepare.main([*arguments, '--short_side=16']) == 2
  assert 'short_side: 32 then, 16 now' in capsys.readouterr().err
  nowhere = tmp_path / 'nowhere'
  assert prepare.main([f'--input={nowhere}', *arguments[1:]]) == 2
