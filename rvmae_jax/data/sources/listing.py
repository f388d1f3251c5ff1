"""Videos of a CSV, JSON or JSONL list."""

import collections
import csv
import json
import os
import re
from collections.abc import Sequence
from typing import Any

from rvmae_jax.data.records import NO_LABEL, Record
from rvmae_jax.data.sources.splits import SHARES, SPLITS, assign_splits

_OWN_COLUMNS = ('path', 'label', 'split', 'start', 'end')

# 'videos/a b.mp4 12'; newer lists have a comma.
_PLAIN = re.compile(r'(?P<path>.+)[ ,](?P<label>-1|\d+)')


class Listing:
  """The videos named in a file, one a row.

  Columns (or keys): `path`, and if wanted `label`, `split`, and `start` and
  `end` in seconds, to use a part of the video. Others become `columns` of the
  record: who made a video, where, of what size.

  Labels that are whole numbers are taken as they are; other labels are numbered
  in sorted order. An empty label, or -1, is none. Without a `split` column the
  videos are divided by `shares`.

  The lists of VideoMAE's and similar code will do too: a .csv or .txt file
  without a header, `path label` on each line, the label a number. They have one
  file a split: read each with `split='all'`.

  Args:
    path: a .csv file with a header, a .json file with a list of objects, a
      .jsonl file with one object a line, or `path label` lines.
    split: one of the file's, or 'all'.
    root: what paths in the file are relative to; '' means the file's folder.
    shares: of train, val and test, used without a `split` column.

  Attributes:
    class_names: of all splits, by label.
    splits: those that have rows.

  Raises:
    FileNotFoundError: no such file, or videos that do not exist; named.
    ValueError: a column, row or split that is missing or wrong; named.
  """

  def __init__(
    self,
    path: str,
    split: str = 'train',
    root: str = '',
    shares: Sequence[float] = SHARES,
  ):
    rows = read_rows(path)
    labels, self.class_names = _number([row.get('label') for row in rows])
    splits = _splits(path, rows, labels, shares)
    if split not in (*splits, 'all'):
      raise ValueError(
        f'listing: no row of split {split!r} in {path!r}, which has '
        f'{dict(collections.Counter(splits))}. Name another split or "all".'
      )
    self.splits = sorted({*splits})
    root = os.path.abspath(root or os.path.dirname(path))
    self._records: list[Record] = [
      {
        'path': os.path.join(root, row['path']),
        'label': label,
        **{f'{k}_s': float(row[k]) for k in ('start', 'end') if _given(row, k)},
        **_columns(row),
      }
      for row, label, row_split in zip(rows, labels, splits)
      if split in (row_split, 'all')
    ]
    paths = sorted({record['path'] for record in self._records})
    missing = [p for p in paths if not os.path.exists(p)]
    if missing:
      shown = '\n  '.join(missing[:10])
      raise FileNotFoundError(
        f'listing: {len(missing)} of {len(paths)} videos of {path!r} do not '
        f'exist below root={root!r}:\n  {shown}'
        + ('\n  ...' if len(missing) > 10 else '')
      )

  def __len__(self) -> int:
    return len(self._records)

  def __getitem__(self, index: int) -> Record:
    return dict(self._records[index])


def read_rows(path: str) -> list[dict[str, Any]]:
  """The rows of a list of videos, see `Listing`; each has a `path`."""
  kind = os.path.splitext(path)[1].lower()
  if kind in ('.csv', '.txt') and is_plain(path):
    return read_plain(path)
  with open(path, newline='', encoding='utf-8-sig') as file:
    if kind == '.csv':
      rows = list(csv.DictReader(file))
    elif kind == '.jsonl':
      rows = [json.loads(line) for line in file if line.strip()]
    elif kind == '.json':
      rows = json.load(file)
    else:
      raise ValueError(
        f'listing: {path!r} must end in .csv, .json or .jsonl, or have lines '
        'of `path label`.'
      )
  if not isinstance(rows, list) or not rows:
    raise ValueError(f'listing: {path!r} is no list of rows, or an empty one.')
  for number, row in enumerate(rows):
    if not isinstance(row, dict) or not _given(row, 'path'):
      raise ValueError(
        f'listing: row {number} of {path!r} has no `path`: {row!r}.'
      )
  return rows


def is_plain(path: str) -> bool:
  """Whether a file begins with `path label` and not with names of columns."""
  with open(path, encoding='utf-8-sig') as file:
    return bool(_PLAIN.fullmatch(file.readline().strip()))


def read_plain(path: str) -> list[dict[str, str]]:
  """Rows with `path` and `label` of a file that `is_plain`."""
  rows = []
  with open(path, encoding='utf-8-sig') as file:
    for number, line in enumerate(filter(None, map(str.strip, file))):
      match = _PLAIN.fullmatch(line)
      if not match:
        raise ValueError(
          f'listing: row {number} of {path!r} is no `path label`: {line!r}.'
        )
      rows.append(match.groupdict())
  return rows


def _given(row: dict[str, Any], key: str) -> bool:
  return row.get(key) not in (None, '')


def _columns(row: dict[str, Any]) -> dict[str, dict[str, str]]:
  """`columns` of a record, or nothing where a row has no others."""
  others = {
    key: str(row[key])
    for key in row
    # A CSV row that is too long has its surplus under None.
    if key is not None and key not in _OWN_COLUMNS and _given(row, key)
  }
  return {'columns': others} if others else {}


def _number(labels: list[Any]) -> tuple[list[int], list[str]]:
  """Labels as numbers, and the name of each number."""
  unknown = (None, NO_LABEL, str(NO_LABEL))
  texts = ['' if label in unknown else str(label) for label in labels]
  known = {*texts} - {''}
  if all(text.isdecimal() for text in known):
    names = [str(i) for i in range(max(map(int, known), default=-1) + 1)]
  else:
    names = sorted(known)
  numbers = {name: i for i, name in enumerate(names)} | {'': NO_LABEL}
  return [numbers[text] for text in texts], names


def _splits(path, rows, labels, shares) -> list[str]:
  """The split of each row, from the file or else by shares."""
  if not any(_given(row, 'split') for row in rows):
    # Parts of one video stay together.
    label_of = {row['path']: label for row, label in zip(rows, labels)}
    splits = assign_splits(list(label_of), list(label_of.values()), shares)
    split_of = dict(zip(label_of, splits))
    return [split_of[row['path']] for row in rows]
  for number, row in enumerate(rows):
    if not _given(row, 'split'):
      raise ValueError(
        f'listing: row {number} of {path!r} has no `split`, others have: '
        f'{row!r}. Give all of them one (such as {", ".join(SPLITS)}) or none.'
      )
  return [row['split'] for row in rows]
