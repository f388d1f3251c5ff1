"""Text files that people wrote: lists, tables, JSON; in any usual encoding."""

import codecs
import csv
import io
import json
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from rvmae_jax.data.notices import warn_once

# The BOM of UTF-32 begins with that of UTF-16, so it has to come first.
_MARKS = (
  (codecs.BOM_UTF8, 'utf-8-sig'),
  (codecs.BOM_UTF32_LE, 'utf-32'),
  (codecs.BOM_UTF32_BE, 'utf-32'),
  (codecs.BOM_UTF16_LE, 'utf-16'),
  (codecs.BOM_UTF16_BE, 'utf-16'),
)


class Row(dict):
  """One entry of a list.

  Attributes:
    place: where it stands, for messages: "line 3 of 'list.csv'".
  """

  def __init__(self, cells: Any, place: str):
    super().__init__(cells)
    self.place = place


def read_text(path: str) -> str:
  """The text of a file, its lines ended by a newline.

  UTF-8 and whatever a byte order mark announces; other files are taken for
  Windows-1252 (what Excel calls CSV in the West), which the log says.

  Raises:
    ValueError: it is in no encoding that can be told; names the file.
  """
  with open(path, 'rb') as file:
    data = file.read()
  encoding = next((e for mark, e in _MARKS if data.startswith(mark)), '')
  if not encoding and b'\0' in data:
    raise ValueError(
      f'{path!r} is not text, or is UTF-16 without a byte order mark: it '
      'contains zero bytes. Save it as UTF-8.'
    )
  try:
    text = data.decode(encoding or 'utf-8')
  except UnicodeDecodeError as error:
    if encoding:
      raise ValueError(
        f'{path!r} begins as {encoding} but is not valid {encoding}: {error}. '
        'Save it as UTF-8.'
      ) from error
    text = _decode_windows(path, data, error)
  return text.replace('\r\n', '\n').replace('\r', '\n')


def _decode_windows(path: str, data: bytes, error: UnicodeDecodeError) -> str:
  line = data[: error.start].count(b'\n') + 1
  try:
    text = data.decode('cp1252')
  except UnicodeDecodeError:
    raise ValueError(
      f'{path!r} is neither UTF-8 (see line {line}) nor Windows-1252. Save it '
      'as UTF-8.'
    ) from error
  shown = text.replace('\r\n', '\n').split('\n')[line - 1].strip()
  warn_once(
    f'{path!r} is not UTF-8 and is read as Windows-1252; line {line} is '
    f'{shown!r}. If that is wrong, save the file as UTF-8.'
  )
  return text


def read_lines(path: str) -> list[str]:
  """The lines of a text file that are not empty, stripped."""
  return [line for _, line in numbered_lines(path)]


def numbered_lines(path: str) -> list[tuple[int, str]]:
  """The same with their numbers, which count from 1 and empty lines too."""
  lines = enumerate(map(str.strip, read_text(path).split('\n')), start=1)
  return [(number, line) for number, line in lines if line]


def read_json(path: str) -> Any:
  """What a JSON file holds.

  Raises:
    ValueError: it is not valid JSON; names the file and the line.
  """
  return _parse_json(read_text(path), repr(path))


def read_json_lines(path: str) -> list[tuple[str, Any]]:
  """(place, value) of each line of a file with one JSON value a line.

  Raises:
    ValueError: a line is not valid JSON; named.
  """
  places = [(f'line {n} of {path!r}', line) for n, line in numbered_lines(path)]
  return [(place, _parse_json(line, place)) for place, line in places]


def _parse_json(text: str, place: str) -> Any:
  try:
    return json.loads(text)
  except json.JSONDecodeError as error:
    # Several objects one after the other are the other layout.
    hint = ' Name it .jsonl if it has one object a line.'
    raise ValueError(
      f'{place} is not valid JSON: line {error.lineno}: {error.msg}.'
      + (hint if error.msg == 'Extra data' else '')
    ) from error
  # Of numbers of too many digits, and of brackets that are too deep.
  except (ValueError, RecursionError) as error:
    raise ValueError(f'{place} cannot be read as JSON: {error}.') from error


def read_cells(
  path: str, known: Collection[str] = (), delimiters: str = ',;\t'
) -> list[tuple[int, list[str]]]:
  """The rows of a table whose cells have a delimiter between them.

  The delimiter is the one that fits the first row best; a table of one column
  has none. Cells are stripped; empty rows and Excel's `sep=;` are left out.

  Args:
    path: of the file.
    known: names of columns, in small letters, some of which the first row of
      the file should have.
    delimiters: the delimiters to choose from.

  Returns:
    (number of the line on which it ends, cells) of each row.

  Raises:
    ValueError: quotes that do not fit; names the file and the line.
  """
  lines = read_text(path).split('\n')
  delimiter = ''
  if match := re.fullmatch('"?sep=(.)"?', lines[0]):
    delimiter, lines[0] = match[1], ''
  header = next((line for line in lines if line.strip()), '')

  def fit(candidate):
    # Split plainly: quotes that do not fit are told of below.
    cells = header.replace('"', '').split(candidate)
    names = {*map(plain_name, cells)}
    return len(names & {*known}), len(names)

  rows = _parse(path, lines, delimiter or max(delimiters, key=fit))
  return [(number, cells) for number, cells in rows if any(cells)]


def _parse(
  path: str, lines: Sequence[str], delimiter: str
) -> Iterator[tuple[int, list[str]]]:
  # Strictly: else one quote too many makes one cell of the rest of the file.
  reader = csv.reader(
    io.StringIO('\n'.join(lines)),
    delimiter=delimiter,
    skipinitialspace=True,
    strict=True,
  )
  try:
    for row in reader:
      yield reader.line_num, [cell.strip() for cell in row]
  except csv.Error as error:
    raise ValueError(
      f'{path!r} is not a table: line {reader.line_num}: {error}. Is there a '
      'quote too many?'
    ) from error


def read_table(path: str, known: Collection[str] = ()) -> list[Row]:
  """Rows of a table by the names of its columns, as they are in its first row.

  A name in `known` may be written in any case. Columns without a name, as the
  index that pandas writes, are left out.

  Args:
    path: of the file.
    known: see `read_cells`.

  Returns:
    The rows after the first; of an empty file none.

  Raises:
    ValueError: a row with more cells than there are columns, or two columns of
      one name; names the file and the line.
  """
  rows = read_cells(path, known)
  if not rows:
    return []
  columns = [
    plain_name(cell) if plain_name(cell) in known else cell
    for cell in rows[0][1]
  ]
  named = [column for column in columns if column]
  if twice := sorted({c for c in named if named.count(c) > 1}):
    raise ValueError(
      f'{path!r} has more than one column {", ".join(map(repr, twice))}.'
    )
  table = []
  for number, cells in rows[1:]:
    if any(cells[len(columns) :]):
      raise ValueError(
        f'Line {number} of {path!r} has {len(cells)} cells, and the first line '
        f'names {len(columns)} columns: {cells}. Put quotes around a cell with '
        'a separator in it.'
      )
    pairs = zip(columns, cells + [''] * (len(columns) - len(cells)))
    table.append(Row([p for p in pairs if p[0]], f'line {number} of {path!r}'))
  return table


def plain_name(name: str) -> str:
  """A name of a column in small letters, without needless spaces."""
  return ' '.join(str(name).split()).casefold()
