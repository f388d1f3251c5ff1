"""Lists of videos: columns, labels, splits, roots, and missing files."""

import json

import pytest

from rvmae_jax.data.sources import SOURCES
from rvmae_jax.data.sources.listing import Listing


def _write(tmp_path, name, text, videos=('a.mp4', 'b.mp4', 'c.mp4')):
  for video in videos:
    (tmp_path / video).touch()
  (tmp_path / name).write_text(text)
  return str(tmp_path / name)


def test_a_csv_gives_paths_labels_splits_and_parts(tmp_path):
  path = _write(
    tmp_path,
    'list.csv',
    'path,label,split,start,end,note\n'
    'a.mp4,wave,train,,,x\nb.mp4,jump,train,1.5,3,\nc.mp4,jump,test,,2,\n',
  )
  source = SOURCES.build({'name': 'listing', 'path': path})
  assert source.class_names == ['jump', 'wave']
  assert source.splits == ['test', 'train']
  assert [source[i] for i in range(len(source))] == [
    {'path': f'{tmp_path}/a.mp4', 'label': 1, 'columns': {'note': 'x'}},
    {'path': f'{tmp_path}/b.mp4', 'label': 0, 'start_s': 1.5, 'end_s': 3.0},
  ]
  assert Listing(path, 'test')[0] == {
    'path': f'{tmp_path}/c.mp4',
    'label': 0,
    'end_s': 2.0,
  }


@pytest.mark.parametrize('suffix', ['json', 'jsonl'])
def test_json_says_the_same(suffix, tmp_path):
  rows = [{'path': 'a.mp4', 'label': 2}, {'path': 'b.mp4', 'start': 0}]
  lines = '\n'.join(map(json.dumps, rows))
  text = lines if suffix == 'jsonl' else json.dumps(rows)
  source = Listing(_write(tmp_path, f'list.{suffix}', text), 'all')
  # Numbers stay what they are, and a missing label is -1.
  assert source.class_names == ['0', '1', '2']
  assert [source[i]['label'] for i in range(2)] == [2, -1]
  assert source[1]['start_s'] == 0


def test_minus_one_is_no_label(tmp_path):
  rows = [{'path': 'a.mp4', 'label': 10}, {'path': 'b.mp4', 'label': -1}]
  source = Listing(_write(tmp_path, 'list.json', json.dumps(rows)), 'all')
  assert source.class_names == [str(i) for i in range(11)]
  assert [source[i]['label'] for i in range(2)] == [10, -1]
  text = 'path,label\na.mp4,wave\nb.mp4,-1\n'
  source = Listing(_write(tmp_path, 'list.csv', text), 'all')
  assert source.class_names == ['wave']
  assert [source[i]['label'] for i in range(2)] == [0, -1]
  source = Listing(_write(tmp_path, 'list.txt', 'a.mp4 2\nb.mp4 -1\n'), 'all')
  assert [source[i]['label'] for i in range(2)] == [2, -1]


def test_parts_of_one_video_stay_in_one_split(tmp_path):
  rows = [
    {'path': name, 'start': s}
    for name in ('a.mp4', 'b.mp4', 'c.mp4')
    for s in range(4)
  ]
  path = _write(tmp_path, 'list.json', json.dumps(rows))
  for split in ('train', 'val', 'test'):
    source = Listing(path, split)
    paths = {source[i]['path'] for i in range(len(source))}
    assert (len(source), len(paths)) == (4, 1)


def test_paths_are_relative_to_a_given_root(tmp_path):
  (tmp_path / 'videos').mkdir()
  (tmp_path / 'videos/z.mp4').touch()
  path = _write(tmp_path, 'list.csv', 'path\nz.mp4\n')
  source = Listing(path, root=str(tmp_path / 'videos'))
  assert source[0]['path'] == f'{tmp_path}/videos/z.mp4'


@pytest.mark.parametrize('separator', [' ', ','])
def test_lists_of_path_and_label_need_no_header(separator, tmp_path):
  lines = [f'a.mp4{separator}3', f'b c.mp4{separator}0']
  path = _write(tmp_path, 'train.csv', '\n'.join(lines), ('a.mp4', 'b c.mp4'))
  source = Listing(path, 'all')
  assert [source[i] for i in range(2)] == [
    {'path': f'{tmp_path}/a.mp4', 'label': 3},
    {'path': f'{tmp_path}/b c.mp4', 'label': 0},
  ]
  path = _write(tmp_path, 'val.txt', 'a.mp4 3\nb.mp4\n')
  with pytest.raises(ValueError, match=r'line 2 of .* is no `path label`'):
    Listing(path, 'all')


def test_missing_videos_are_named(tmp_path):
  path = _write(tmp_path, 'list.csv', 'path\na.mp4\ngone.mp4\n')
  with pytest.raises(FileNotFoundError, match=r'1 of 2 videos[^$]*/gone\.mp4'):
    Listing(path, 'all')


def test_bad_rows_and_splits_are_named(tmp_path):
  for name, text, error in (
    ('a.csv', 'file,label\na.mp4,0\n', 'has no column `path`.*file'),
    ('b.csv', 'path,split\na.mp4,train\nb.mp4,\n', 'line 3 of .* no `split`'),
    ('c.csv', 'path,split\na.mp4,dev\n', "no row of split 'train'.*'dev': 1"),
    ('d.csv', 'path\n', 'empty'),
    ('e.txt', 'a.mp4', r'must end in \.csv'),
  ):
    with pytest.raises(ValueError, match=error):
      Listing(_write(tmp_path, name, text))


def test_the_real_lists_are_read(shared_dir):
  source = Listing(str(shared_dir / 'data/wlasl15/labels.csv'), 'train')
  assert source.class_names == [
    *('apple', 'drink', 'fine', 'help', 'no', 'time', 'water', 'yes')
  ]
  assert source[0]['label'] == 0
