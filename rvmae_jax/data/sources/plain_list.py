"""Lists of VideoMAE's and similar code: `path label` lines without a header."""

import os
import re
from collections.abc import Sequence

from rvmae_jax.data.decoding import image_files
from rvmae_jax.data.text import Row, numbered_lines

# 'videos/a b.mp4 12'; newer lists have a comma.
_PLAIN = re.compile(r'(?P<path>.*[^\s,;])[\s,;]+(?P<label>-1|[0-9]+)')
_THREE = re.compile(
  r'(?P<path>.*[^\s,;])[\s,;]+(?P<second>[0-9]{1,18})[\s,;]+'
  r'(?P<third>-1|[0-9]{1,18})'
)


def is_plain(path: str) -> bool:
  """Whether a file begins with `path label` and not with names of columns."""
  lines = numbered_lines(path)
  return bool(lines and _PLAIN.fullmatch(lines[0][1]))


def read_plain(path: str, root: str = '') -> list[Row]:
  """Rows with `path` and `label` of a file that `is_plain`.

  Lines of three columns are told from paths with a number at their end by
  whether the first of those is there.

  Args:
    path: of the file.
    root: what paths in it are relative to; '' means the file's folder.

  Raises:
    ValueError: a line that is something else, or columns that may be either
      of two things; named.
  """
  root = root or os.path.dirname(path)
  rows = []
  lines = numbered_lines(path)
  for number, line in lines:
    match = _PLAIN.fullmatch(line)
    place = f'line {number} of {path!r}'
    if not match:
      raise ValueError(f'listing: {place} is not `path label`: {line!r}.')
    rows.append(Row(match.groupdict(), place))
  three = [_THREE.fullmatch(line) for _, line in lines]
  if all(three) and not os.path.exists(os.path.join(root, rows[0]['path'])):
    found = [(m['path'], int(m['second']), m['third']) for m in three]
    labels = _labels_of_three(root, rows, found)
    for row, (name, *_), label in zip(rows, found, labels):
      row.update(path=name, label=label)
  for row in rows:
    if re.fullmatch('".*"', row['path']):
      row['path'] = row['path'][1:-1].replace('""', '"')
  return rows


def _labels_of_three(
  root: str,
  rows: Sequence[Row],
  found: Sequence[tuple[str, int, str]],
) -> list[str]:
  """The labels of `path total_frames label`, or none of other lists.

  VideoMAE V2 has `path start_index total_frames` for pre-training, -1 meaning
  all frames; a start is 0 or 1, and a video has at least two frames.
  """
  is_start = [second < 2 for _, second, _ in found]
  if all(is_start) or all(third == '-1' for *_, third in found):
    return [''] * len(found)
  doubtful = is_start.index(True) if any(is_start) else None
  for number, (name, second, third) in enumerate(found):
    folder = os.path.join(root, name)
    if doubtful is None and third != '-1' and os.path.isdir(folder):
      length = len(image_files(folder))
      # A part of the folder's frames rather than a label.
      if second != length and int(third) > 1 and second + int(third) <= length:
        doubtful = number
      break  # One folder is enough, and each takes a while.
  if doubtful is not None:
    name, second, third = found[doubtful]
    raise ValueError(
      f'listing: {rows[doubtful].place} may be `path total_frames label` or '
      f'`path start_index total_frames`: {name} {second} {third}. Write `path '
      'label`, or a header: path,label,start,end.'
    )
  return [third for *_, third in found]
