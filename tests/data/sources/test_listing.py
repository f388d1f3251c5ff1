"""Lists of videos: columns, labels, splits, roots, and missing files."""

import json
import os

import pytest

from rvmae_jax.data.sources import SOURCES, listing
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
  with pytest.raises(ValueError, match=r'line 2 of .* is not `path label`'):
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


@pytest.fixture
def warnings(monkeypatch):
  """What is warned of, in order."""
  said = []
  monkeypatch.setattr(listing, 'warn_once', said.append)
  return said


_HEADERS = (
  'path,label',
  'path, label',
  'Path,LABEL',
  'path,class',
  ' PATH ,Target',
)


@pytest.mark.parametrize('header', _HEADERS)
def test_headers_are_understood_in_any_spelling(header, tmp_path):
  path = _write(tmp_path, 'list.csv', f'{header}\na.mp4,x\nb.mp4, y\n')
  source = Listing(path, 'all')
  assert source.class_names == ['x', 'y']
  assert source[1] == {'path': f'{tmp_path}/b.mp4', 'label': 1}


def test_keys_of_json_are_too(tmp_path):
  rows = [{' Path': 'a.mp4', 'Class': 'x', 'START_S': '1', 'end': None}]
  path = _write(tmp_path, 'list.json', json.dumps(rows))
  assert Listing(path, 'all')[0] == {
    'path': f'{tmp_path}/a.mp4',
    'label': 0,
    'start_s': 1.0,
  }


def test_beside_a_label_class_is_a_column_like_any(tmp_path):
  text = 'path,label,class,Signer\na.mp4,x,mammal,Ann\n'
  source = Listing(_write(tmp_path, 'list.csv', text), 'all')
  assert source.class_names == ['x']
  assert source[0]['columns'] == {'class': 'mammal', 'Signer': 'Ann'}


@pytest.mark.parametrize(
  ('header', 'message'),
  [
    ('path,class,target', "columns 'class' and 'target', any .* the label"),
    ('path,label,Label', "more than one column 'label'"),
    ('file,label,x', "no column `path`; .*'file', 'label', 'x'"),
    ('b.mp4,run,x', 'Add a line `path,label` before it'),
    ('path,label,subset', "'subset' holds test, train. Rename it to `split`"),
  ],
)
def test_headers_that_may_mean_two_things_are_refused(
  header, message, tmp_path
):
  rows = 'a.mp4,x,Training\nb.mp4,y,test\n'
  path = _write(tmp_path, 'list.csv', f'{header}\n{rows}')
  with pytest.raises(ValueError, match=message):
    Listing(path)


def test_splits_are_understood_in_any_spelling(tmp_path):
  text = 'path,split\na.mp4,Training\nb.mp4, validation\nc.mp4,TEST\n'
  path = _write(tmp_path, 'list.csv', text)
  assert Listing(path).splits == ['test', 'train', 'val']
  assert Listing(path, 'validation')[0]['path'] == f'{tmp_path}/b.mp4'


@pytest.mark.parametrize(
  ('time', 'wanted_s'),
  [
    ('90', 90), ('90.5', 90.5), ('0,5', 0.5), ('1:30', 90),
    ('00:01:30.250', 90.25), ('1:00:00', 3600), (2, 2), (1e-5, 1e-5),
  ],
)  # fmt: skip
def test_times_are_seconds_or_clocks(time, wanted_s):
  assert listing.seconds(time) == wanted_s


@pytest.mark.parametrize(
  'time',
  [
    'soon',
    '-1',
    'nan',
    '1,500',
    '00:90:00',
    '1:75',
    '1:2:3:4',
    '1e400',
    '9' * 400,
  ],
)
def test_other_times_are_refused_by_row(time, tmp_path):
  rows = [{'path': 'a.mp4'}, {'path': 'b.mp4', 'start': time}]
  path = _write(tmp_path, 'list.json', json.dumps(rows))
  with pytest.raises(ValueError, match=r'entry 2 of .*list\.json.*`start`'):
    Listing(path, 'all')


def test_a_part_ends_after_it_starts(tmp_path):
  path = _write(tmp_path, 'list.csv', 'path,start,end\na.mp4,3,00:00:03\n')
  with pytest.raises(ValueError, match=r"line 2 .*'00:00:03' is not after"):
    Listing(path, 'all')


@pytest.mark.parametrize(
  ('lines', 'labels'),
  [
    # VideoMAE V2, pre-training: path, start, frames (-1: all). No labels.
    ('a.mp4 0 -1\nb.mp4 0 -1\n', [-1, -1]),
    ('frames 1 40\nframes2 1 300\na.mp4 0 -1\n', [-1, -1, -1]),
    # Fine-tuning on frames: path, frames, label.
    ('frames 4 0\nframes2 4 7\n', [0, 7]),
    ('a.mp4,250,3\nb.mp4,40,-1\n', [3, -1]),
    ('a.mp4\t1\nb.mp4\t0\n', [1, 0]),
    ('"a.mp4";1\nb.mp4;0\n', [1, 0]),
    # A number may belong to the path; such a path is there.
    ('take 2 1\ntake 3 0\n', [1, 0]),
    ('a.mp4 007\nb.mp4 010\n', [0, 1]),
  ],
)
def test_lists_of_videomae_are_read(lines, labels, tmp_path):
  for folder in ('frames', 'frames2', 'take 2', 'take 3'):
    (tmp_path / folder).mkdir()
    for number in range(4):
      (tmp_path / folder / f'{number}.jpg').touch()
  source = Listing(_write(tmp_path, 'list.csv', lines), 'all')
  assert [source[i]['label'] for i in range(len(source))] == labels


@pytest.mark.parametrize('lines', ['frames 3 40\n', 'a.mp4 0 40\nb.mp4 90 3\n'])
def test_three_columns_that_may_be_two_things_are_refused(lines, tmp_path):
  (tmp_path / 'frames').mkdir()
  for number in range(50):
    (tmp_path / 'frames' / f'{number}.jpg').touch()
  path = _write(tmp_path, 'list.txt', lines)
  with pytest.raises(ValueError, match=r'line 1 .* may be `path total_frames'):
    Listing(path, 'all')


def test_all_missing_videos_are_counted_and_ten_are_named(tmp_path):
  rows = ''.join(f'gone{i:02}.mp4\n' for i in range(12))
  path = _write(tmp_path, 'list.csv', f'path\na.mp4\n{rows}')
  with pytest.raises(
    FileNotFoundError, match=r'12 of 13 videos[^$]*gone09\.mp4 and 2 more$'
  ):
    Listing(path, 'all')


@pytest.mark.parametrize('name', ['clips\\\\a b.mp4', 'clips/e\u0301.mp4'])
def test_paths_of_other_systems_are_found(name, tmp_path):
  (tmp_path / 'clips').mkdir()
  for file in ('a b.mp4', '\u00e9.mp4'):
    (tmp_path / 'clips' / file).touch()
  path = _write(tmp_path, 'list.csv', f'path\n{name}\n'.replace('\\\\', '\\'))
  found = Listing(path, 'all')[0]['path']
  assert os.path.exists(found) and found.startswith(f'{tmp_path}/clips/')


def test_repeated_videos_are_named(tmp_path, warnings):
  text = (
    'path,label,split,start\na.mp4,x,train,\nb.mp4,y,train,1\n'
    './a.mp4,x,test,\nb.mp4,x,train,2\n'
  )
  Listing(_write(tmp_path, 'list.csv', text), 'all')
  [warning] = warnings
  assert '1 of 4 rows' in warning
  assert './a.mp4 in train and test (line 4)' in warning


def test_two_labels_of_one_video_are_refused(tmp_path):
  text = 'path,label\na.mp4,x\nb.mp4,y\na.mp4,y\n'
  path = _write(tmp_path, 'list.csv', text)
  with pytest.raises(ValueError, match=r"'x' in line 2 .* 'y' in line 4"):
    Listing(path, 'all')


def test_labels_of_some_rows_only_are_told(tmp_path, warnings):
  path = _write(tmp_path, 'list.csv', 'path,label\na.mp4,x\nb.mp4,\n')
  Listing(path, 'all')
  assert '1 of 2 rows' in warnings[0] and 'b.mp4' in warnings[0]


def test_encodings_of_spreadsheets_are_read(tmp_path):
  for encoding in ('utf-8-sig', 'utf-16', 'cp1252'):
    path = _write(tmp_path, 'list.csv', '')
    with open(path, 'w', encoding=encoding, newline='\r\n') as file:
      file.write('Path;Label\na.mp4;größe\n')
    assert Listing(path, 'all').class_names == ['größe']


def test_the_real_lists_are_read(shared_dir):
  source = Listing(str(shared_dir / 'data/wlasl15/labels.csv'), 'train')
  assert source.class_names == [
    *('apple', 'drink', 'fine', 'help', 'no', 'time', 'water', 'yes')
  ]
  assert source[0]['label'] == 0
