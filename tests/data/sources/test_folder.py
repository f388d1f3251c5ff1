"""Classes and splits of a folder tree, and what it says when there are none."""

import collections
import itertools
import pickle

import pytest

from rvmae_jax.data.sources import SOURCES, folder
from rvmae_jax.data.sources.folder import Folder, find_videos


def _touch(root, *names):
  for name in names:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).touch()
  return str(root)


def _found(source, root):
  records = [source[i] for i in range(len(source))]
  return {r['path'].removeprefix(f'{root}/'): r['label'] for r in records}


def test_the_class_is_the_first_folder(tmp_path):
  _touch(tmp_path, 'wave/b.MP4', 'jump/deep/a.avi', 'jump/.hidden.mp4')
  source = SOURCES.build(
    {'name': 'folder', 'path': str(tmp_path), 'split': 'all'}
  )
  assert source.class_names == ['jump', 'wave']
  assert _found(source, tmp_path) == {'jump/deep/a.avi': 0, 'wave/b.MP4': 1}


def test_split_folders_are_the_splits(tmp_path):
  _touch(tmp_path, 'train/wave/a.mp4', 'train/jump/b.mp4', 'val/wave/c.mp4')
  source = Folder(str(tmp_path), 'val')
  # Labels are those of the whole tree: `jump` is 0, though not in val.
  assert _found(source, tmp_path) == {'val/wave/c.mp4': 1}
  assert source.splits == ['train', 'val']


def test_videos_beside_split_folders_are_refused(tmp_path):
  _touch(tmp_path, 'train/a.mp4', 'old/b.mp4')
  with pytest.raises(ValueError, match=r"1 videos lie outside.*'old/b\.mp4'"):
    Folder(str(tmp_path))


def test_splits_by_shares_are_disjoint_and_complete(tmp_path):
  names = [f'{kind}/{i}.mp4' for kind in ('up', 'down') for i in range(10)]
  _touch(tmp_path, *names)
  found = [
    _found(Folder(str(tmp_path), s), tmp_path) for s in ('train', 'val', 'test')
  ]
  assert [len(f) for f in found] == [16, 2, 2]
  assert sorted(name for f in found for name in f) == sorted(names)


@pytest.mark.parametrize(
  ('train', 'test'), [('Train', 'Test'), ('training', 'Validation')]
)
@pytest.mark.parametrize('layout', ['{split}/{kind}', '{kind}/{split}'])
def test_splits_are_told_in_any_spelling_above_or_below_classes(
  train, test, layout, tmp_path
):
  for number, (split, kind) in enumerate(
    itertools.product((train, test), ('run', 'walk'))
  ):
    place = layout.format(split=split, kind=kind)
    _touch(tmp_path, f'{place}/deep/{number}.mp4')
  for split, numbers in ((train, (0, 1)), (test, (2, 3))):
    source = Folder(str(tmp_path), split)
    assert source.class_names == ['run', 'walk']
    found = {path[-5]: n for path, n in _found(source, tmp_path).items()}
    assert found == {str(numbers[0]): 0, str(numbers[1]): 1}


def test_a_split_folder_in_some_classes_only_is_refused(tmp_path):
  _touch(tmp_path, 'run/Test/a.mp4', 'walk/b.mp4')
  with pytest.raises(ValueError, match=r"'Test'. inside of .*another name"):
    Folder(str(tmp_path))


def test_spaces_around_a_folder_make_no_other_class(tmp_path):
  _touch(tmp_path, ' run/a.mp4', 'run/b.mp4')
  assert Folder(str(tmp_path), 'all').class_names == ['run']


def test_videos_behind_links_are_counted_once(tmp_path, monkeypatch):
  said = []
  monkeypatch.setattr(folder, 'warn_once', said.append)
  _touch(tmp_path, 'videos/wave/a.mp4', 'elsewhere/jump/b.mp4')
  videos = tmp_path / 'videos'
  # To elsewhere; to what is there already; to its own parent; in a circle.
  (videos / 'jump').symlink_to(tmp_path / 'elsewhere/jump')
  (videos / 'a_copy').symlink_to(videos / 'wave')
  (videos / 'wave/loop').symlink_to(videos)
  (tmp_path / 'elsewhere/jump/back').symlink_to(tmp_path / 'elsewhere')
  assert find_videos(str(videos)) == ['jump/b.mp4', 'wave/a.mp4']
  [warning] = said
  assert "a_copy' is " in warning and "loop' is " in warning


def test_a_flat_folder_has_no_labels(tmp_path):
  _touch(tmp_path, 'a.mp4', 'b.mkv')
  source = Folder(str(tmp_path), 'all')
  assert source.class_names == []
  assert _found(source, tmp_path) == {'a.mp4': -1, 'b.mkv': -1}


def test_a_folder_of_images_is_a_video(tmp_path):
  _touch(tmp_path, 'dog/rex/0.jpg', 'dog/rex/1.jpg', 'cat/tom.mp4', 'cat/x.jpg')
  source = Folder(str(tmp_path), 'all')
  assert _found(source, tmp_path) == {'cat/tom.mp4': 0, 'dog/rex': 1}


def test_what_is_missing_is_said_with_what_was_found(tmp_path):
  with pytest.raises(FileNotFoundError, match=r'No folder .*nowhere'):
    Folder(str(tmp_path / 'nowhere'))
  _touch(tmp_path / 'texts', 'a.txt', 'b.txt')
  with pytest.raises(
    FileNotFoundError, match=r"Looked for .*\.mp4.*'\.txt': 2"
  ):
    Folder(str(tmp_path / 'texts'))
  _touch(tmp_path / 'one', 'a.mp4')
  with pytest.raises(FileNotFoundError, match=r"split 'val' .*'train': 1"):
    Folder(str(tmp_path / 'one'), 'val')
  with pytest.raises(ValueError, match="split='dev' is not one of"):
    Folder(str(tmp_path / 'one'), 'dev')


def test_real_videos_keep_their_classes_in_every_split(shared_dir):
  for split, number in (('train', 33), ('val', 6), ('test', 6)):
    source = Folder(str(shared_dir / 'data/yoga6'), split)
    counts = collections.Counter(
      r['label'] for r in map(source.__getitem__, range(len(source)))
    )
    assert (len(source), len(counts)) == (number, 6)
    assert pickle.loads(pickle.dumps(source))[0] == source[0]
