"""Videos of a CSV, JSON or JSONL list."""

import collections
import math
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from rvmae_jax.data.classes import number_labels
from rvmae_jax.data.notices import warn_once
from rvmae_jax.data.provenance import (
  COLUMNS,
  Requirements,
  check_columns,
  keep_required,
)
from rvmae_jax.data.records import NO_LABEL, Record
from rvmae_jax.data.sources.folder import VIDEO_SUFFIXES
from rvmae_jax.data.sources.plain_list import is_plain, read_plain
from rvmae_jax.data.sources.splits import (
  SHARES,
  SPLITS,
  assign_splits,
  canonical_split,
)
from rvmae_jax.data.text import (
  Row,
  plain_name,
  read_json,
  read_json_lines,
  read_table,
)
from rvmae_jax.registry import some_names

# Our columns, and what else they are called.
_COLUMNS = {
  'path': (),
  'label': ('class', 'target'),
  'split': (),
  'start': ('start_s',),
  'end': ('end_s',),
}
_KNOWN = (*_COLUMNS, *(name for names in _COLUMNS.values() for name in names))

_CLOCK = re.compile(r'(?:(?:([0-9]+):)?([0-9]+):)?([0-9]+(?:[.,][0-9]*)?)')


class Listing:
  """The videos named in a file, one a row.

  Columns (or keys): `path`, and if wanted `label` (or `class`, `target`),
  `split`, and `start` and `end`, in seconds or as hh:mm:ss, to use a part of
  the video. Others become `columns` of the record: who made a video, where, of
  what size; `licence`, `consent` and `source` are kept with whatever is made of
  the video. Names of columns may be in any case; cells may be set apart by
  commas, `;` or tabs; encodings are those of `data.text.read_text`.

  What labels become is said by `data.classes.number_labels`: whole numbers are
  taken as they are, unless they are identifiers; other labels are numbered in
  sorted order. An empty label, or -1, is none. Splits may be written `Training`
  or `validation`. Without a `split` column the videos are divided by `shares`.

  The lists of VideoMAE's and similar code will do too: a .csv or .txt file
  without a header, `path label` on each line, the label a number. They have one
  file a split: read each with `split='all'`. Three columns are `path
  total_frames label`, or in lists for pre-training `path start_index
  total_frames` (`path 0 -1` for files), which have no labels.

  Args:
    path: a .csv file with a header, a .json file with a list of objects, a
      .jsonl file with one object a line, or `path label` lines.
    split: one of the file's, or 'all'.
    root: what paths in the file are relative to; '' means the file's folder.
    shares: of train, val and test, used without a `split` column.
    require: column -> value, or several of which one will do: videos without
      it are left out, see `provenance.keep_required`.

  Attributes:
    class_names: of all splits, by label.
    splits: those that have rows.
    left_out: how many videos of the split were, by what they lack.

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
    require: Requirements | None = None,
  ):
    root = os.path.abspath(root or os.path.dirname(path))
    rows = read_rows(path, root)
    labels, self.class_names = number_labels(
      [row.get('label') for row in rows], [row.place for row in rows]
    )
    times = [_times_s(row) for row in rows]
    splits = _splits(path, rows, labels, shares, split)
    split = canonical_split(split)
    if split not in (*splits, 'all'):
      raise ValueError(
        f'listing: no row of split {split!r} in {path!r}, which has '
        f'{dict(collections.Counter(splits))}. Name another split or "all".'
      )
    self.splits = sorted({*splits})
    _check_repeats(path, rows, labels, times, splits)
    chosen = [
      (row, {'label': label, **row_times, **_columns(row)})
      for row, label, row_times, row_split in zip(rows, labels, times, splits)
      if split in (row_split, 'all')
    ]
    require = require or {}
    check_columns(map(_columns, rows), require, path)
    kept, self.left_out = keep_required(
      [others for _, others in chosen], require, path
    )
    chosen = [chosen[index] for index in kept]
    found = find_files(path, root, [row['path'] for row, _ in chosen])
    self._records: list[Record] = [
      {'path': found[row['path']], **others} for row, others in chosen
    ]
    bare = [r['path'] for r in self._records if r['label'] == NO_LABEL]
    if 0 < len(bare) < len(self._records):
      warn_once(
        f'listing: {len(bare)} of {len(self._records)} rows of {path!r} have '
        f'no label, such as {bare[0]!r}; they are not used where labels are '
        'needed.'
      )

  def __len__(self) -> int:
    return len(self._records)

  def __getitem__(self, index: int) -> Record:
    return dict(self._records[index])


def read_rows(path: str, root: str = '') -> list[Row]:
  """The rows of a list of videos, see `Listing`.

  Each has a `path`; columns have the names that `Listing` gives them, and
  splits are spelled as in `SPLITS`.

  Args:
    path: of the list.
    root: what paths in it are relative to; '' means the file's folder.

  Raises:
    ValueError: a row or a column that cannot be understood; named.
  """
  kind = os.path.splitext(path)[1].lower()
  if kind in ('.csv', '.txt', '.tsv') and is_plain(path):
    return read_plain(path, root)
  if kind in ('.csv', '.txt', '.tsv'):
    rows = _read_csv(path)
  elif kind in ('.jsonl', '.ndjson'):
    rows = [_json_row(value, place) for place, value in read_json_lines(path)]
  elif kind == '.json':
    values = read_json(path)
    if not isinstance(values, list):
      values = []
    rows = [
      _json_row(value, f'entry {number} of {path!r}')
      for number, value in enumerate(values, start=1)
    ]
  else:
    raise _unknown_kind(path)
  if not rows:
    raise ValueError(f'listing: {path!r} is not a list of rows, or is empty.')
  columns = dict.fromkeys(column for row in rows for column in row)
  names = _own_names(path, columns)
  rows = [
    Row({names[k]: _clean(v) for k, v in row.items()}, row.place)
    for row in rows
  ]
  for row in rows:
    if not isinstance(row.get('path', ''), str) or not row.get('path'):
      raise ValueError(f'listing: {row.place} has no `path`: {dict(row)!r}.')
    if _given(row, 'split'):
      row['split'] = canonical_split(row['split'])
  return rows


def _read_csv(path: str) -> list[Row]:
  rows = read_table(path, _KNOWN)
  columns = list(rows[0]) if rows else []
  if rows and 'path' not in columns:
    first, *_ = columns
    if os.path.splitext(path)[1].lower() == '.txt':
      raise _unknown_kind(path)
    raise ValueError(
      f'listing: {path!r} has no column `path`; its first line has '
      f'{", ".join(map(repr, columns))}. '
      + (
        'Add a line `path,label` before it.'
        if os.path.splitext(first)[1].lower() in VIDEO_SUFFIXES
        else 'Rename the column of the videos to `path`.'
      )
    )
  if not rows and os.path.splitext(path)[1].lower() == '.txt':
    raise _unknown_kind(path)
  return rows


def _unknown_kind(path: str) -> ValueError:
  return ValueError(
    f'listing: {path!r} must end in .csv, .json or .jsonl, or have lines of '
    '`path label`.'
  )


def _json_row(value: Any, place: str) -> Row:
  if not isinstance(value, dict):
    raise ValueError(f'listing: {place} has no `path`: {value!r}.')
  return Row(value, place)


def _own_names(path: str, columns: Iterable[str]) -> dict[str, str]:
  """Columns as a file has them -> as they are called here.

  Raises:
    ValueError: two columns could be the same one of ours.
  """
  columns = list(columns)
  names = {column: str(column).strip() for column in columns}
  for name, others in (_COLUMNS | COLUMNS).items():
    found = [column for column in columns if plain_name(column) == name]
    # The proper name goes first; beside it, the others are columns like any.
    found = found or [c for c in columns if plain_name(c) in others]
    if len(found) > 1:
      raise ValueError(
        f'listing: {path!r} has columns {" and ".join(map(repr, found))}, any '
        f'of which may be the {name}. Call one of them `{name}`, and leave out '
        'or rename the rest.'
      )
    names |= dict.fromkeys(found, name)
  return names


def seconds(value: Any) -> float:
  """A time as seconds: 90, '90.5', '90,5', '1:30.5' and '00:01:30' are.

  Raises:
    ValueError: it is something else, or negative.
  """
  if isinstance(value, int | float) and 0 <= value < math.inf:
    return float(value)
  text = str(value).strip()
  match = _CLOCK.fullmatch(text)
  # 1,500 is one and a half in one country and 1500 in another.
  if not match or re.search(r',[0-9]{3}$', text):
    raise ValueError(
      f'{value!r} is not a time. Give seconds (90.5) or hh:mm:ss (00:01:30.5)'
    )
  hours, minutes = (int(part or 0) for part in match.groups()[:2])
  rest = float(match[3].replace(',', '.'))
  if (match[2] and rest >= 60) or (match[1] and minutes >= 60):
    raise ValueError(f'{value!r} has 60 minutes or seconds, or more')
  total = 3600 * hours + 60 * minutes + rest
  if total == math.inf:
    raise ValueError(f'{text[:20]!r}... is not a time')
  return total


def _times_s(row: Row) -> dict[str, float]:
  """`start_s` and `end_s`, where they are given."""
  times = {}
  for key in ('start', 'end'):
    if _given(row, key):
      try:
        times[f'{key}_s'] = seconds(row[key])
      except ValueError as error:
        raise ValueError(f'listing: {row.place}: `{key}` {error}.') from error
  if times.get('end_s', math.inf) <= times.get('start_s', 0.0):
    raise ValueError(
      f'listing: {row.place}: the end {row["end"]!r} is not after the start '
      f'{row.get("start") or 0!r}.'
    )
  return times


def _given(row: Row, key: str) -> bool:
  return row.get(key, '') != ''


def _clean(value: Any) -> Any:
  """A value without spaces around it; '' for what JSON calls null or NaN."""
  if value is None or (isinstance(value, float) and math.isnan(value)):
    return ''
  return value.strip() if isinstance(value, str) else value


def _columns(row: Row) -> dict[str, dict[str, str]]:
  """`columns` of a record, or nothing where a row has no others."""
  others = {
    key: str(row[key])
    for key in row
    if key not in _COLUMNS and _given(row, key)
  }
  return {'columns': others} if others else {}


def _splits(path, rows, labels, shares, asked) -> list[str]:
  """The split of each row, from the file or else by shares."""
  if not any(_given(row, 'split') for row in rows):
    _check_no_other_splits(path, rows, asked)
    # Parts of one video stay together.
    label_of = {row['path']: label for row, label in zip(rows, labels)}
    splits = assign_splits(list(label_of), list(label_of.values()), shares)
    split_of = dict(zip(label_of, splits))
    return [split_of[row['path']] for row in rows]
  for row in rows:
    if not _given(row, 'split'):
      raise ValueError(
        f'listing: {row.place} has no `split`, others have: {dict(row)!r}. '
        f'Give all of them one (such as {", ".join(SPLITS)}) or none.'
      )
  return [row['split'] for row in rows]


def _check_no_other_splits(path, rows, asked) -> None:
  """ValueError if a column of another name tells the splits."""
  if asked == 'all':
    return
  for column in set(rows[0]) - set(_COLUMNS):
    found = {canonical_split(row.get(column, '')) for row in rows}
    if len(found) > 1 and found <= {*SPLITS}:
      raise ValueError(
        f'listing: {path!r} has no column `split`, but the column {column!r} '
        f'holds {", ".join(sorted(found))}. Rename it to `split`; otherwise '
        'the videos would be split again.'
      )


def _check_repeats(path, rows, labels, times, splits) -> None:
  """Names videos, or parts of one, that are there twice.

  Raises:
    ValueError: they have two labels.
  """
  first_of, repeated = {}, []
  for row, label, row_times, split in zip(rows, labels, times, splits):
    key = os.path.normpath(row['path']), *sorted(row_times.items())
    first, first_label, first_split = first_of.setdefault(
      key, (row, label, split)
    )
    if first is row:
      continue
    if NO_LABEL != first_label != label != NO_LABEL:
      raise ValueError(
        f'listing: {row["path"]!r} has the label {first["label"]!r} in '
        f'{first.place} and {row["label"]!r} in {row.place}. A video, or a '
        'part of it, can have only one label: remove one of the rows or, if no '
        'labels are needed, the column.'
      )
    where = f' in {first_split} and {split}' if split != first_split else ''
    repeated.append(f'{row["path"]}{where} ({row.place.split(" of ")[0]})')
  if repeated:
    warn_once(
      f'listing: {len(repeated)} of {len(rows)} rows of {path!r} repeat a '
      f'video that is in it already: {some_names(repeated, 5)}.'
    )


def find_files(path: str, root: str, names: Iterable[str]) -> dict[str, str]:
  """The videos of a list: its name for each -> path.

  Args:
    path: of the list, for messages.
    root: what the names are relative to.
    names: as they are in the list.

  Raises:
    FileNotFoundError: some do not exist; counted, and the first ones named.
  """
  names = sorted({*names})
  found = {name: existing_path(os.path.join(root, name)) for name in names}
  missing = [os.path.join(root, name) for name in names if not found[name]]
  if missing:
    raise FileNotFoundError(
      f'listing: {len(missing)} of {len(names)} videos of {path!r} do not '
      f'exist below root={root!r}:\n  ' + some_names(missing, 10, '\n  ')
    )
  return found


def existing_path(path: str) -> str:
  """A path, or as Windows or macOS may have written it; '' if none is there."""
  spellings = [path, path.replace('\\', '/')]
  spellings += [unicodedata.normalize(form, path) for form in ('NFC', 'NFD')]
  return next(filter(os.path.exists, spellings), '')
