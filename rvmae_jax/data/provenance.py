"""Where videos come from and who may use them, as a list says it.

Three columns of a list go with a video wherever it is named: into shards, into
the training manifest and, counted, into the model card.
"""

import collections
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rvmae_jax.data.notices import warn_once
from rvmae_jax.data.text import plain_name
from rvmae_jax.registry import check_known

# Name -> what else it is called, as in `sources.listing`.
COLUMNS = {'licence': ('license',), 'consent': (), 'source': ()}

# Values of a column to list at most: each video may have its own `source`.
_MOST_VALUES = 20
OTHERS = '(others)'

Requirements = Mapping[str, str | Sequence[str]]


def provenance_of(columns: Mapping[str, str]) -> dict[str, str]:
  """What a record's `columns` say of those in `COLUMNS`; '' if nothing."""
  return {name: columns.get(name, '') for name in COLUMNS}


def parse_requirements(texts: Iterable[str]) -> dict[str, tuple[str, ...]]:
  """Column -> the values it may have, from texts of `--require COLUMN=VALUE`.

  Raises:
    ValueError: a text is not of that form.
  """
  required = {}
  for text in texts:
    column, equals, value = text.partition('=')
    if not (column.strip() and equals and value.strip()):
      raise ValueError(f'--require {text!r} must be COLUMN=VALUE.')
    required.setdefault(column.strip(), []).append(value.strip())
  return {column: tuple(values) for column, values in required.items()}


def check_columns(
  records: Iterable[Mapping[str, Any]], require: Requirements, name: str
) -> None:
  """Checks that what is required are columns of a list.

  Args:
    records: of all splits: in one of them all cells may be empty.
    require, name: see `keep_required`.

  Raises:
    ValueError: no video has one of the columns; the message has near ones.
  """
  known = set().union(*(record.get('columns', {}) for record in records))
  check_known(f'column of {name!r}', known, *require)


def keep_required(
  records: Sequence[Mapping[str, Any]], require: Requirements, name: str
) -> tuple[list[int], dict[str, int]]:
  """Which videos meet the requirements, and why the others do not.

  Args:
    records: see `records.Record`; only `columns` counts.
    require: column -> a value, or several of which one will do. Case and spaces
      make no difference.
    name: of the list, for messages.

  Returns:
    Indices of those that are kept; and 'column=value' -> how many were left out
    for it, each video for the first that it lacks; see `most_common`. The log
    says both.
  """
  rows = [record.get('columns', {}) for record in records]
  allowed = {
    column: {
      plain_name(v) for v in ([values] if isinstance(values, str) else values)
    }
    for column, values in require.items()
  }
  kept, left_out = [], collections.Counter()
  for index, row in enumerate(rows):
    lacking = next(
      (
        f'{column}={row.get(column, "")}'
        for column, values in allowed.items()
        if plain_name(row.get(column, '')) not in values
      ),
      None,
    )
    if lacking is None:
      kept.append(index)
    else:
      left_out[lacking] += 1
  left_out = most_common(left_out)
  if left_out:
    warn_once(
      f'{len(rows) - len(kept)} of {len(rows)} videos of {name!r} are left '
      f'out: {show_counts(left_out)}.'
    )
  return kept, left_out


def show_counts(counts: Mapping[str, int]) -> str:
  """Counts as text, the largest first: 'consent=no (7), consent= (2)'."""
  rows = collections.Counter(counts).most_common()
  return ', '.join(f'{name} ({number:,})' for name, number in rows)


def most_common(counts: Mapping[str, int]) -> dict[str, int]:
  """The commonest values; the rest together, as `OTHERS`."""
  rows = collections.Counter(counts).most_common()
  rest = sum(number for _, number in rows[_MOST_VALUES:])
  return dict(rows[:_MOST_VALUES]) | ({OTHERS: rest} if rest else {})
