"""Splits videos into train, val and test so that nothing leaks.

  python -m rvmae_jax.tools.split --input labels.csv --group signer \\
    --output splits.csv

No group (a signer, a recording, a place) is in two splits, files with the same
content stay together, and labels are spread as evenly as the groups allow. The
output is a list that the source `listing` reads: the input's columns, `split`,
and the `sha256` of each file, so that anyone can check the split. Beside it,
`splits.summary.json` says how it was made. The same input and seed give the
same output.

Groups come from columns (`--group signer,recording` keeps videos together that
share either), or from file names (`--group_pattern '_g(\\d+)_'`: what the
parentheses match). `doctor videos` also finds copies that were encoded anew.
"""

import argparse
import collections
import csv
import hashlib
import io
import json
import os
import pathlib
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rvmae_jax.commands import at_least, command_line, explains_errors
from rvmae_jax.data.classes import clean_label, known_label
from rvmae_jax.data.fingerprints import content_sha256
from rvmae_jax.data.sources.folder import find_videos, read_folders
from rvmae_jax.data.sources.grouped_splits import assign_groups, merge_groups
from rvmae_jax.data.sources.listing import find_files, read_rows
from rvmae_jax.data.sources.splits import SHARES, SPLITS
from rvmae_jax.data.writing import write_whole
from rvmae_jax.tools.threads import in_threads

Row = dict[str, Any]


def read_videos(path: str, root: str = '') -> tuple[list[Row], str]:
  """Rows of a list, or of a folder (label: its folder, as for `Folder`).

  Args:
    path: of the list or folder.
    root: what paths in the list are relative to; '' means the list's folder.

  Returns:
    The rows, and the absolute folder that their `path` is relative to.

  Raises:
    FileNotFoundError: there is none, or videos are missing; named.
    ValueError: a list or folders that cannot be understood.
  """
  if os.path.isdir(path):
    names = find_videos(path)
    classes, _ = read_folders(names, path)
    rows = [{'path': n, 'label': label} for n, label in zip(names, classes)]
    return rows, os.path.abspath(path)
  root = os.path.abspath(root or os.path.dirname(path))
  rows = read_rows(path, root)
  found = find_files(path, root, [row['path'] for row in rows])
  rows = [
    {**row, 'path': os.path.relpath(found[row['path']], root)} for row in rows
  ]
  for row in rows:
    if 'label' in row:  # Spaces make no other class, as for `Listing`.
      row['label'] = clean_label(row['label'])
  return rows, root


def group_rows(
  rows: Sequence[Row],
  columns: Sequence[str] = (),
  pattern: str = '',
  hashes: Sequence[str] | None = None,
) -> list[int]:
  """The group of each row: rows that share any of the keys are together.

  Rows of one path always are. An empty cell shares with nothing.

  Args:
    rows: of `read_videos`.
    columns: whose values are keys.
    pattern: regular expression; what its brackets match in a path is a key.
    hashes: of each row's content.

  Raises:
    ValueError: no row has such a column, a path does not match, or the pattern
      is none.
  """
  keys = [[row['path'] for row in rows]]
  for column in columns:
    # A group may be the number 0.
    values = [
      None if row.get(column, '') == '' else row[column] for row in rows
    ]
    if all(value is None for value in values):
      raise ValueError(
        f'No row has a value in column {column!r}; there are '
        f'{", ".join(rows[0])}.'
      )
    keys.append(values)
  if pattern:
    try:
      re.compile(pattern)
    except re.error as error:
      raise ValueError(
        f'--group_pattern {pattern!r} is no regular expression: {error}.'
      ) from None
    keys.append([_match(pattern, row['path']) for row in rows])
  if hashes:
    keys.append(list(hashes))
  return merge_groups(*keys)


def _match(pattern: str, path: str) -> str:
  match = re.search(pattern, path)
  if not match or not match.groups():
    raise ValueError(
      f'--group_pattern {pattern!r} must match every path and have brackets '
      f'around the group; it does not for {path!r}.'
    )
  return '/'.join(part or '' for part in match.groups())


def summarize(
  rows: Sequence[Row],
  groups: Sequence[int],
  splits: Sequence[str],
  label: str = 'label',
) -> dict[str, Any]:
  """Videos, groups and labels of each split."""
  summary = {}
  for split in SPLITS:
    here = [i for i, found in enumerate(splits) if found == split]
    labels = collections.Counter(known_label(rows[i].get(label)) for i in here)
    summary[split] = {
      'num_videos': len(here),
      'share': len(here) / len(rows),
      'num_groups': len({groups[i] for i in here}),
      'labels': dict(sorted(labels.items())),
    }
  return summary


def write_csv(path: str | os.PathLike, rows: Sequence[Row], root: str) -> str:
  """Writes rows with paths relative to the file; returns its SHA-256.

  Args:
    path: of the file.
    rows: of `read_videos`, with further columns.
    root: what their paths are relative to.

  Raises:
    ValueError: the name of a file is not UTF-8.
  """
  folder = pathlib.Path(path).absolute().parent
  folder.mkdir(parents=True, exist_ok=True)
  columns = list(dict.fromkeys(key for row in rows for key in row))
  text = io.StringIO()
  writer = csv.DictWriter(text, columns, restval='', lineterminator='\n')
  writer.writeheader()
  for row in rows:
    video = os.path.join(root, row['path'])
    writer.writerow({**row, 'path': os.path.relpath(video, folder)})
  try:
    content = text.getvalue().encode()
  except UnicodeEncodeError as error:
    before, after = error.object[: error.start], error.object[error.start :]
    line = before.rpartition('\n')[2] + after.partition('\n')[0]
    raise ValueError(
      'The name of a file is not UTF-8, so that no list can hold it: '
      f'{line!r}. Rename the file.'
    ) from None
  write_whole(pathlib.Path(path), content)
  return hashlib.sha256(content).hexdigest()


def format_summary(summary: Mapping[str, Any]) -> str:
  """A table: a row for each split, then one for each label."""
  labels = sorted({label for s in summary.values() for label in s['labels']})
  lines = [f'{"":20} {"".join(f"{split:>8}" for split in summary)}']
  for name, key in (('videos', 'num_videos'), ('groups', 'num_groups')):
    cells = ''.join(f'{found[key]:8}' for found in summary.values())
    lines.append(f'{name:20} {cells}')
  for label in labels:
    cells = ''.join(
      f'{found["labels"].get(label, 0):8}' for found in summary.values()
    )
    lines.append(f'{label[:20] or "(no label)":20} {cells}')
  return '\n'.join(lines)


def _shares(text: str) -> list[float]:
  try:
    return [float(share) for share in text.split(',')]
  except ValueError:
    raise ValueError(
      f'--shares {text!r} must be numbers for train, val and test, such as '
      '8,1,1.'
    ) from None


def split_videos(arguments: argparse.Namespace) -> dict[str, Any]:
  """Does what the command line says; returns what the summary file holds."""
  if not arguments.output.endswith('.csv'):
    raise ValueError(
      f'--output {arguments.output!r} must end in .csv, which it is written as.'
    )
  if os.path.realpath(arguments.output) == os.path.realpath(arguments.input):
    raise ValueError(
      f'--output {arguments.output!r} is the list that is read; name another '
      'file.'
    )
  shares = _shares(arguments.shares)
  rows, root = read_videos(arguments.input, arguments.root)
  paths = sorted({row['path'] for row in rows})
  hashes = in_threads(
    lambda path: content_sha256(os.path.join(root, path)),
    paths,
    arguments.workers,
    'videos hashed',
  )
  hash_of = dict(zip(paths, hashes))
  columns = list(filter(None, arguments.group.split(',')))
  groups = group_rows(
    rows,
    columns,
    arguments.group_pattern,
    [hash_of[row['path']] for row in rows],
  )
  label = arguments.label
  if label != 'label' and not any(label in row for row in rows):
    raise ValueError(
      f'No row has a column --label {label!r}; there are '
      f'{", ".join(rows[0])} (`class` and `target` are read as `label`).'
    )
  labels = [known_label(row.get(label)) for row in rows]
  splits = assign_groups(
    labels, groups, shares, arguments.seed, arguments.allow_absent
  )
  rows = [
    {**row, 'split': split, 'sha256': hash_of[row['path']]}
    for row, split in zip(rows, splits)
  ]
  summary = {
    'input': arguments.input,
    'group': columns,
    'group_pattern': arguments.group_pattern,
    'label': arguments.label,
    'shares': shares,
    'seed': arguments.seed,
    'num_files_with_copies': len(paths) - len({*hashes}),
    'splits': summarize(rows, groups, splits, arguments.label),
    'sha256_of_output': write_csv(arguments.output, rows, root),
  }
  path = pathlib.Path(arguments.output).with_suffix('.summary.json')
  write_whole(path, json.dumps(summary, indent=1))
  return summary


@explains_errors('split')
def main(argv: Sequence[str] | None = None) -> int:
  """The command line; returns the exit code, 2 where it is not possible."""
  parser = command_line('rvmae_jax.tools.split', __doc__)
  add = parser.add_argument
  add(
    '--input', required=True, help='a .csv, .json or .jsonl list, or a folder'
  )
  add('--output', required=True, help='the .csv file to write')
  add(
    '--group', default='', help='columns that name groups, separated by commas'
  )
  add(
    '--group_pattern',
    default='',
    help='regular expression with the group in parentheses',
  )
  add('--label', default='label', help='column whose classes are balanced')
  add(
    '--shares',
    default=','.join(map(str, SHARES)),
    help='shares of train, val and test',
  )
  add('--seed', type=int, default=0, help='another seed, another split')
  add(
    '--root',
    default='',
    help="what paths are relative to; default: the list's folder",
  )
  add(
    '--workers',
    type=at_least(0),
    default=0,
    help='number of threads; 0: one per core',
  )
  add(
    '--allow_absent',
    action='store_true',
    help='accept a split that lacks a label',
  )
  arguments = parser.parse_args(argv)
  summary = split_videos(arguments)
  print(format_summary(summary['splits']))
  copies = summary['num_files_with_copies']
  if copies:
    print(f'{copies} files are copies of others and stay beside them.')
  if not (arguments.group or arguments.group_pattern):
    print('No groups were named: only equal files are kept together.')
  print(f'{arguments.output} (sha256 {summary["sha256_of_output"]})')
  return 0


if __name__ == '__main__':
  sys.exit(main())
