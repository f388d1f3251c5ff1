"""Numbers of an evaluation as tables for people."""

from collections.abc import Mapping


def pivot(
  metrics: Mapping[str, float],
) -> list[tuple[list[str], dict[str, list[float]]]]:
  """Groups `row/column` names into tables; rows with equal columns share one.

  `{'a/x/top1': 1, 'a/x/top5': 2, 'b/x/top1': 3, 'b/x/top5': 4, 'chance': 5}`
  gives `[(['top1', 'top5'], {'a/x': [1, 2], 'b/x': [3, 4]}), (['chance'],
  {'': [5]})]`.

  Args:
    metrics: what an evaluation's `run` returned.

  Returns:
    Tables as column names and row name -> values.
  """
  rows: dict[str, dict[str, float]] = {}
  for key, value in metrics.items():
    row, _, column = key.rpartition('/')
    rows.setdefault(row, {})[column] = value
  tables: dict[tuple[str, ...], dict[str, list[float]]] = {}
  for row, cells in rows.items():
    tables.setdefault(tuple(cells), {})[row] = list(cells.values())
  return [(list(columns), rows) for columns, rows in tables.items()]


def format_tables(metrics: Mapping[str, float]) -> str:
  """The tables of `pivot` as aligned text."""
  lines = []
  for columns, rows in pivot(metrics):
    names = ['', *rows]
    cells = [
      columns,
      *([format_number(v) for v in row] for row in rows.values()),
    ]
    first = max(map(len, names))
    widths = [max(map(len, column)) for column in zip(*cells)]
    for name, row in zip(names, cells):
      aligned = (cell.rjust(width) for cell, width in zip(row, widths))
      lines.append(f'  {name.ljust(first)}  {"  ".join(aligned)}'.rstrip())
    lines.append('')
  return '\n'.join(lines)


def format_number(value: float) -> str:
  """A number in four digits, whole ones whole."""
  return f'{value:,}' if isinstance(value, int) else f'{value:.4g}'
