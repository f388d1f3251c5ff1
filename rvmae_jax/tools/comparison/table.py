"""The table of a comparison: a row for each method, over its seeds."""

import math
import statistics
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from rvmae_jax.tools.card import markdown
from rvmae_jax.tools.result_file import format_cell, needed_digits, rounded

# What training cost: figure -> heading, divisor, digits.
_COSTS = {
  'parameters': ('parameters, M', 1e6, 2),
  'flops_per_clip': ('GFLOPs / clip', 1e9, 2),
  'gib': ('memory, GiB', 1, 2),
  'clips_per_s': ('clips / s', 1, 0),
  'clips': ('clips', 1, 0),
  'flops': ('TFLOPs', 1e12, 1),
}


def make_rows(
  results: Mapping[tuple[str, int], Mapping[str, Any] | None], sort_by: str
) -> list[dict[str, Any]]:
  """Means and deviations over seeds.

  Args:
    results: (method, seed) -> `figures`, or `failure`, or None for a run that
      was not done yet.
    sort_by: the figure whose mean falls from row to row; rows without it, or
      where it is no number, come last.

  Returns:
    For each method `method`; `seeds` that are done; `mean`, `std` (of the
    sample; None for one seed) and `values`, each by figure; `failures` and, of
    training, `problems`, by seed. A figure that some seeds lack is left out.
  """
  rows = []
  for method in dict.fromkeys(method for method, _ in results):
    of_method = {s: r for (m, s), r in results.items() if m == method and r}
    done = {s: r['figures'] for s, r in of_method.items() if 'figures' in r}
    values = {}
    for name in next(iter(done.values()), {}):
      numbers = [figures.get(name) for figures in done.values()]
      if None not in numbers:
        values[name] = numbers
    rows.append(
      {
        'method': method,
        'seeds': list(done),
        'mean': {k: statistics.fmean(v) for k, v in values.items()},
        'std': {k: _deviation(v) for k, v in values.items()},
        'values': values,
        'failures': {
          s: r['failure'] for s, r in of_method.items() if 'failure' in r
        },
        'problems': {
          s: r['problems'] for s, r in of_method.items() if r.get('problems')
        },
      }
    )

  def from_the_top(row):
    mean = row['mean'].get(sort_by, -math.inf)
    return math.inf if math.isnan(mean) else -mean

  return sorted(rows, key=from_the_top)


def _deviation(values: Sequence[float]) -> float | None:
  """Of the sample; None for one value, NaN where one is not finite."""
  if len(values) < 2:
    return None
  is_finite = all(map(math.isfinite, values))
  return statistics.stdev(values) if is_finite else math.nan


def format_markdown(
  rows: Sequence[Mapping[str, Any]], columns: Sequence[tuple[str, str]]
) -> str:
  """The rows as a Markdown table, with a note on what failed.

  Args:
    rows, columns: see `make_table`.
  """
  headings, table, digits = make_table(rows, columns)
  table = [
    [format_cell(cell, n) for cell, n in zip(cells, digits)] for cells in table
  ]
  notes = [_notes(row) for row in rows]
  if any(notes):
    headings.append('note')
    table = [[*cells, note] for cells, note in zip(table, notes)]
  return markdown.table(headings, table, align='---:') + '\n'


def make_table(
  rows: Sequence[Mapping[str, Any]], columns: Sequence[tuple[str, str]]
) -> tuple[list[str], list[list[Any]], list[int | None]]:
  """The rows as a result, see `tools.results`.

  Args:
    rows: from `make_rows`.
    columns: evaluation figure and heading; shares are shown in per cent, see
      `is_share`.

  Returns:
    Headings, cells and digits.
  """
  headings, digits = ['method', 'seeds'], [None, None]
  table = [[row['method'], len(row['seeds'])] for row in rows]
  for name, title in columns:
    heading, places, found = shown_column(
      title, name, [_cell(row, name) for row in rows]
    )
    headings.append(heading)
    digits.append(places)
    for cells, cell in zip(table, found):
      cells.append(cell)
  for name, (heading, unit, places) in _COSTS.items():
    headings.append(heading)
    digits.append(places)
    for cells, row in zip(table, rows):
      mean = row['mean'].get(name)
      cells.append(None if mean is None else rounded(mean / unit))
  return headings, table, digits


def _cell(row: Mapping[str, Any], name: str) -> Any:
  """Mean and deviation over seeds; of one seed its number alone."""
  mean, std = row['mean'].get(name), row['std'].get(name)
  return mean if std is None else [mean, std]


def is_share(name: str) -> bool:
  """Whether an evaluation's figure is a share, which is shown in per cent."""
  last = name.rpartition('/')[2]
  is_mean = 'top1/' in name and last == 'mean'  # Over severities.
  return is_mean or bool({'top1', 'top5', 'recall', 'map'} & {*last.split('_')})


def shown_column(
  title: str, name: str, cells: Sequence[Any]
) -> tuple[str, int, list[Any]]:
  """An evaluation's figure as a column of a result: shares in per cent.

  Args:
    title: of the column.
    name: of the figure.
    cells: of each row, a number, a number with its ±, or None.

  Returns:
    The heading, the digits, and the cells as they are shown.
  """
  if not is_share(name):
    shown = [_rounded_cell(cell, 1) for cell in cells]
    return title, needed_digits(shown), shown
  return f'{title}, %', 1, [_rounded_cell(cell, 100) for cell in cells]


def _rounded_cell(cell: Any, unit: float) -> Any:
  if cell is None:
    return None
  if isinstance(cell, list):
    return [rounded(unit * number) for number in cell]
  return rounded(unit * cell)


def _notes(row: Mapping[str, Any]) -> str:
  notes = [
    f'seed {seed} failed: {textwrap.shorten(why, 200)}'
    for seed, why in row['failures'].items()
  ]
  notes += [
    f'seed {seed}: {problem}'
    for seed, problems in row['problems'].items()
    for problem in problems
  ]
  return '; '.join(notes)
