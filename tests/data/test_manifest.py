"""What a run has seen is written down, and found again among other videos."""

import gzip
import json
import os

import pytest

from rvmae_jax.data import manifest
from rvmae_jax.data.sources import SOURCES


@pytest.fixture
def videos(tmp_path):
  """A folder of files that nothing here decodes."""
  for name in ('train/up/a', 'train/up/b', 'train/down/c', 'test/up/d'):
    path = tmp_path / f'videos/{name}.mp4'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(name.encode())
  return tmp_path / 'videos'


def _folder(videos, split='train'):
  return {'name': 'folder', 'path': str(videos), 'split': split}


def _source(config):
  return SOURCES.build(config)


def test_all_videos_are_listed_with_size_and_fingerprint(videos, tmp_path):
  run = tmp_path / 'run'
  config = {**_folder(videos), 'weight': 2.0}
  manifest.record(run, {'own': config})
  [entry] = manifest.read(run)['sources']
  assert entry['alias'] == 'own' and entry['config'] == config
  assert (entry['num_videos'], entry['num_fingerprints']) == (3, 3)
  assert entry['num_bytes'] == len('train/up/atrain/up/btrain/down/c')
  listed = list(manifest.read_videos(run, entry))
  assert [v.path for v in listed] == [
    str(videos / f'train/{name}.mp4') for name in ('down/c', 'up/a', 'up/b')
  ]
  assert len({v.fingerprint for v in listed}) == 3
  assert manifest.find_run(run) == run
  (run / 'checkpoints/12').mkdir(parents=True)
  assert manifest.find_run(run / 'checkpoints/12') == run
  assert manifest.find_run(tmp_path) is None


def test_a_copy_under_another_name_is_found(videos, tmp_path):
  manifest.record(tmp_path / 'run', {'own': _folder(videos)})
  seen = manifest.SeenVideos(tmp_path / 'run')
  assert seen.find(_source(_folder(videos, 'test'))) == []
  copy = videos / 'test/up/z.mp4'
  copy.write_bytes((videos / 'train/up/a.mp4').read_bytes())
  # Of the same size, and yet another video.
  (videos / 'test/up/y.mp4').write_bytes(b'train/up/?')
  assert seen.find(_source(_folder(videos, 'test'))) == [str(copy)]


def test_beyond_the_limit_paths_alone_tell(videos, tmp_path, monkeypatch):
  source = _source(_folder(videos))
  listed = list(manifest.list_videos(source, max_fingerprints=1))
  assert [bool(video.fingerprint) for video in listed] == [True, False, False]
  assert len({video.path for video in listed}) == 3
  monkeypatch.setattr(manifest, 'list_videos', lambda _: listed)
  manifest.record(tmp_path / 'run', {'own': _folder(videos)})
  assert len(manifest.SeenVideos(tmp_path / 'run').find(source)) == 3


def test_sources_without_files_go_by_names(tmp_path):
  def sprites(split, size):
    arguments = {'split': split, 'size': size, 'num_videos': 2}
    cache = {'num_frames': 2, 'cache_dir': str(tmp_path / 'cache')}
    return {'name': 'moving_sprites', **arguments, **cache}

  manifest.record(tmp_path / 'run', {'sprites': sprites('train', 16)})
  seen = manifest.SeenVideos(tmp_path / 'run')
  # The same sprites drawn larger are the same videos.
  assert seen.find(_source(sprites('train', 32))) == [
    'moving_sprites/seed_0/train/00000',
    'moving_sprites/seed_0/train/00001',
  ]
  assert seen.find(_source(sprites('val', 16))) == []


def test_a_run_goes_on_with_its_list_and_adds_new_sources(videos, tmp_path):
  run, sources = tmp_path / 'run', {'own': _folder(videos)}
  manifest.record(run, sources)
  first = (run / manifest.FILE).read_text()
  (videos / 'train/up/a.mp4').unlink()
  manifest.record(run, sources)
  assert (run / manifest.FILE).read_text() == first
  fake = {'name': 'fake', 'num_videos': 5, 'size': (8, 8)}
  manifest.record(run, {**sources, 'noise': fake})
  entries = manifest.read(run)['sources']
  assert [entry['num_videos'] for entry in entries] == [3, 5]
  assert entries[0] == json.loads(first)['sources'][0]


def test_what_an_earlier_run_saw_is_taken_over(videos, tmp_path):
  for run in ('first', 'second'):
    (tmp_path / run / 'checkpoints/1').mkdir(parents=True)
  weights = tmp_path / 'weights.npz'
  manifest.record(tmp_path / 'first', {'own': _folder(videos)}, str(weights))
  checkpoint = tmp_path / 'first/checkpoints/1'
  manifest.record(
    tmp_path / 'second', {'own': _folder(videos, 'test')}, str(checkpoint)
  )
  entries = manifest.read(tmp_path / 'second')['sources']
  assert [entry.get('run') for entry in entries] == [
    str(tmp_path / 'first'),
    None,
  ]
  seen = manifest.SeenVideos(tmp_path / 'second')
  assert len(seen.find(_source(_folder(videos)))) == 3
  # Nobody knows what the file of weights was made from, and that is said.
  assert seen.unknown_origin == str(weights)


def test_errors_are_logged_and_do_not_stop_a_run(tmp_path, caplog):
  sources = {'own': {'name': 'folder', 'path': str(tmp_path / 'nowhere')}}
  manifest.record_in_background(tmp_path / 'run', sources).join()
  assert 'manifest could not be written' in caplog.text
  assert manifest.read(tmp_path / 'run') is None


def test_the_classes_that_were_learned_are_kept(videos, tmp_path):
  manifest.record(tmp_path / 'run', {'own': _folder(videos)})
  seen = manifest.SeenVideos(tmp_path / 'run')
  assert seen.class_names == {
    'data.sources.own of the training': ['down', 'up']
  }


def test_names_that_are_not_utf8_are_kept(tmp_path):
  folder = tmp_path / 'videos'
  folder.mkdir()
  name = os.fsencode(folder) + b'/gr\xf6\xdfe.mp4'
  with open(name, 'wb') as file:
    file.write(b'x')
  # By its name alone it is put in a split, too.
  sources = {'own': {'name': 'folder', 'path': str(folder), 'split': 'train'}}
  manifest.record(tmp_path / 'run', sources)
  [entry] = manifest.read(tmp_path / 'run')['sources']
  [video] = manifest.read_videos(tmp_path / 'run', entry)
  assert os.fsencode(video.path) == name and video.num_bytes == 1


@pytest.mark.parametrize(
  'content',
  ['', '[]', '{}', '{"sources": 3}', '{"sources": [{}], "unknown_origin": ""}'],
)
def test_a_damaged_manifest_is_named(content, tmp_path):
  (tmp_path / manifest.FILE).write_text(content)
  with pytest.raises(ValueError, match=manifest.FILE):
    manifest.SeenVideos(tmp_path)


@pytest.mark.parametrize(
  'content',
  [
    b'no gzip',
    gzip.compress(b'path,num_bytes,fingerprint\na,many,b\n', mtime=0),
    gzip.compress(b'path,num_bytes,fingerprint\n' + b'0' * 1_000_000, mtime=0),
    gzip.compress(b'path\na\n', mtime=0),
  ],
  ids=['no gzip', 'text for a number', 'a bomb', 'no columns'],
)
def test_a_damaged_list_of_videos_is_named(content, videos, tmp_path):
  manifest.record(tmp_path / 'run', {'own': _folder(videos)})
  [path] = (tmp_path / 'run').glob('training_videos/*.gz')
  path.write_bytes(content)
  with pytest.raises(ValueError, match=path.name):
    manifest.SeenVideos(tmp_path / 'run')
