"""The command divides lists and folders, hashes files and says what it did."""

import csv
import hashlib
import json
import os

import pytest

from rvmae_jax.data.sources.listing import Listing
from rvmae_jax.tools import split


@pytest.fixture
def labels(tmp_path):
  """36 files, two labels, nine signers; the last is a copy of the first."""
  lines = ['path,label,signer,start']
  (tmp_path / 'videos').mkdir()
  for i in range(36):
    name = f'videos/p{i % 9}_{i:02d}.mp4'
    (tmp_path / name).write_bytes(str(i % 35).encode())
    lines.append(f'{name},{"ab"[i // 18]},s{i % 9},')
  (tmp_path / 'labels.csv').write_text('\n'.join(lines))
  return tmp_path / 'labels.csv'


def _run(labels, *arguments, output='splits.csv'):
  out = labels.parent / output
  code = split.main([f'--input={labels}', f'--output={out}', *arguments])
  assert code == 0
  with open(out, newline='') as file:
    return list(csv.DictReader(file))


def test_signers_and_copies_stay_together(labels, capsys):
  rows = _run(labels, '--group=signer', '--shares=5,2,2')
  assert len({(row['signer'], row['split']) for row in rows}) == 9
  # Signers s0 and s8 share a file, so they are one group of 8 videos.
  assert rows[0]['split'] == rows[35]['split']
  found = [[r['split'] for r in rows if r['label'] == label] for label in 'ab']
  assert [
    [splits.count(s) for s in ('train', 'val', 'test')] for splits in found
  ] == [[10, 4, 4], [10, 4, 4]]
  out = capsys.readouterr().out
  assert '1 files are copies of others' in out
  assert 'groups                      4       2       2' in out


def test_the_output_is_a_list_with_hashes_beside_a_summary(labels):
  rows = _run(labels, '--group=signer', output='lists/mine.csv')
  assert list(rows[0]) == [
    'path',
    'label',
    'signer',
    'start',
    'split',
    'sha256',
  ]
  assert rows[3]['sha256'] == hashlib.sha256(b'3').hexdigest()
  written = labels.parent / 'lists/mine.csv'
  source = Listing(str(written), 'test')
  assert source.class_names == ['a', 'b'] and len(source)
  summary = json.loads((labels.parent / 'lists/mine.summary.json').read_text())
  content = written.read_bytes()
  assert summary['sha256_of_output'] == hashlib.sha256(content).hexdigest()
  assert summary['splits']['test']['num_videos'] == len(source)
  assert summary['group'] == ['signer'] and summary['seed'] == 0


def test_groups_come_from_file_names_too(labels):
  rows = _run(labels, r'--group_pattern=/(p\d)_')
  assert rows == _run(labels, '--group=signer')


def test_a_group_may_be_the_number_0(tmp_path):
  lines = []
  for i in range(36):
    (tmp_path / f'{i}.mp4').write_bytes(bytes([i]))
    lines.append(json.dumps({'path': f'{i}.mp4', 'signer': i % 6}))
  (tmp_path / 'list.jsonl').write_text('\n'.join(lines))
  rows = _run(tmp_path / 'list.jsonl', '--group=signer')
  assert len({(row['signer'], row['split']) for row in rows}) == 6


def test_no_label_is_no_class(tmp_path):
  lines = []
  for i, label in enumerate([-1, *'aaabbb']):
    (tmp_path / f'{i}.mp4').write_bytes(bytes([i]))
    lines.append(json.dumps({'path': f'{i}.mp4', 'label': label}))
  (tmp_path / 'list.jsonl').write_text('\n'.join(lines))
  # One video cannot be in three splits: as a class it would be refused.
  assert len(_run(tmp_path / 'list.jsonl')) == 7


def test_the_list_that_is_read_stays(labels, capsys):
  before = labels.read_bytes()
  assert split.main([f'--input={labels}', f'--output={labels}']) == 2
  assert 'is the list that is read' in capsys.readouterr().err
  assert labels.read_bytes() == before


def test_a_seed_repeats_itself(labels):
  first = _run(labels, '--group=signer')
  assert first == _run(labels, '--group=signer')
  assert first != _run(labels, '--group=signer', '--seed=1')


def test_a_folder_is_divided_by_its_classes(tmp_path, capsys):
  for name in ('a/1', 'a/2', 'a/3', 'b/1', 'b/2', 'b/3'):
    path = tmp_path / f'in/{name}.mp4'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(name)
  rows = _run(tmp_path / 'in', '--shares=1,1,1', output='out.csv')
  assert sorted((row['label'], row['split']) for row in rows) == [
    (label, s) for label in 'ab' for s in ('test', 'train', 'val')
  ]
  assert 'only equal files are kept together' in capsys.readouterr().out


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (['--group=singer'], "No row has a value in column 'singer'; there are"),
    (['--group_pattern=x(.)'], 'must match every path'),
    (['--group=label'], '1 groups cannot be in 3 splits'),
    (['--root=nowhere'], '36 of 36 videos of'),
    (['--group_pattern=p(\\d'], "'p(\\\\d' is no regular expression"),
    (['--shares=8,1,x'], "--shares '8,1,x' must be numbers for train"),
    (['--output=splits.json'], "--output 'splits.json' must end in .csv"),
  ],
)
def test_what_is_impossible_exits_with_2(labels, arguments, message, capsys):
  out = labels.parent / 'splits.csv'
  assert split.main([f'--input={labels}', f'--output={out}', *arguments]) == 2
  assert message in capsys.readouterr().err
  assert not out.exists()


def test_folders_of_splits_are_no_labels(tmp_path):
  for name in ('Train/run/a.mp4', 'Test/run/b.mp4', 'Test/walk/c.mp4'):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(name.encode())
  rows, _ = split.read_videos(str(tmp_path))
  assert [row['label'] for row in rows] == ['run', 'walk', 'run']


def test_lists_are_read_as_for_training(tmp_path):
  (tmp_path / 'a b.mp4').touch()
  path = tmp_path / 'list.csv'
  path.write_bytes('Path;Class ;Signer\na b.mp4; größe ;Ann\n'.encode('utf-16'))
  rows, root = split.read_videos(str(path))
  assert rows == [{'path': 'a b.mp4', 'label': 'größe', 'Signer': 'Ann'}]
  assert root == str(tmp_path)


def test_an_unknown_column_of_labels_is_refused(labels, capsys):
  arguments = [f'--input={labels}', '--output=x.csv', '--label=class']
  assert split.main(arguments) == 2
  assert "--label 'class'; there are path, label" in capsys.readouterr().err


def test_a_name_that_no_list_can_hold_is_shown(tmp_path, capsys):
  for name in (b'a.mp4', b'caf\xe9.mp4', b'c.mp4'):
    (tmp_path / os.fsdecode(name)).write_bytes(name)
  out = tmp_path / 'splits.csv'
  assert split.main([f'--input={tmp_path}', f'--output={out}']) == 2
  assert r"not UTF-8, so that no list can hold it: 'caf\udce9.mp4" in (
    capsys.readouterr().err
  )
  assert not out.exists()


def test_fewer_threads_than_none_are_refused(labels, capsys):
  with pytest.raises(SystemExit):
    split.main([f'--input={labels}', '--output=x.csv', '--workers=-1'])
  assert 'argument --workers: -1 is less than 0' in capsys.readouterr().err
