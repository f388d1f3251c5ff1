"""Evaluations as a small table: a network or a trivial answer in each row."""

import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from rvmae_jax import files
from rvmae_jax.tools.comparison.table import shown_column
from rvmae_jax.tools.result_file import machine_of, rounded

# Evaluations of rebuilt frames call the trained network 'model'.
_SAME_ROW = {'model': 'trained'}


def summarize_evaluations(
  workdirs: Mapping[str, pathlib.Path], columns: Sequence[str]
) -> dict[str, Any]:
  """A table of figures of one evaluation or more, as `tools/results` shows it.

  Args:
    workdirs: of `evaluate`, by the name of what was evaluated, '' if there is
      but one. Of several, a row says whose it is, unless all have the same.
    columns: each `HEADING=FIGURE`, with `*` for what stands in the rows, as in
      `probe=linear_probe/*/mean_std_8/top1`.

  Returns:
    What `tools/results` needs, and besides, by name where there are several:
    `run_config`, of the evaluated run; `figures`, all that was found, by path.

  Raises:
    FileNotFoundError: no evaluation is there.
    ValueError: a column has no heading or no figures.
  """
  written = {name: _read(path) for name, path in workdirs.items()}
  figures = {name: _figures(w['evaluations']) for name, w in written.items()}
  headings, digits, found = ['network'], [None], []
  for column in columns:
    heading, _, figure = column.rpartition('=')
    cells = {
      (network, name): cell
      for name in figures
      for network, cell in _column(figures[name], figure).items()
    }
    if not heading or not cells:
      known = dict.fromkeys(
        path for paths in figures.values() for path in paths
      )
      raise ValueError(
        f'--column: {column!r} should be HEADING=FIGURE, with * for the '
        'network, as in probe=linear_probe/*/mean/top1; there are '
        f'{", ".join(known)}.'
      )
    heading, places, shown = shown_column(heading, figure, [*cells.values()])
    headings.append(heading)
    digits.append(places)
    found.append(dict(zip(cells, shown)))
  last = list(written.values())[-1]
  return {
    'command': '; '.join(w.get('command', 'unknown') for w in written.values()),
    'date': max(
      r['date'] for w in written.values() for r in w['evaluations'].values()
    ),
    'machine': machine_of(last['environment']),
    'commit': last['environment'].get('commit', 'unknown'),
    'columns': headings,
    'digits': digits,
    'rows': _rows(found, list(workdirs)),
    'notes': '± one standard error over videos, where it is known.',
    'run_config': _alone({n: w['run_config'] for n, w in written.items()}),
    'figures': _alone(
      {
        name: {path: rounded(value) for path, value in paths.items()}
        for name, paths in figures.items()
      }
    ),
  }


def _read(workdir: pathlib.Path) -> dict[str, Any]:
  path = workdir / 'metrics.json'
  if not path.exists():
    raise FileNotFoundError(
      f'No metrics.json in {workdir}; with --column, --from takes the workdir '
      'of evaluate.'
    )
  written = files.read_json(path)
  with files.naming(path, 'was not written by evaluate', remedy=''):
    has_dates = all('date' in r for r in written['evaluations'].values())
  if not has_dates:
    raise ValueError(
      f'An older version of evaluate wrote {path}, without dates; delete it '
      'and evaluate again.'
    )
  return written


def _figures(evaluations: Mapping[str, Any]) -> dict[str, float]:
  return {
    f'{alias}/{name}': value
    for alias, result in evaluations.items()
    for name, value in result['metrics'].items()
  }


def _rows(
  found: Sequence[Mapping[tuple[str, str], Any]], names: Sequence[str]
) -> list[list[Any]]:
  """A row for each network of each evaluation; one if all have the same cells.

  Args:
    found: of each column, (network, evaluation) -> cell.
    names: of the evaluations.
  """
  rows = []
  for network in dict.fromkeys(
    network for cells in found for network, _ in cells
  ):
    of_name = {
      name: [cells.get((network, name)) for cells in found] for name in names
    }
    first = of_name[names[0]]
    if all(cells == first for cells in of_name.values()):
      rows.append([network, *first])
      continue
    for name, cells in of_name.items():
      if any(cell is not None for cell in cells):
        own = name if network == 'trained' else f'{name}, {network}'
        rows.append([own, *cells])
  return rows


def _alone(of_name: Mapping[str, Any]) -> Any:
  """What there is, by name only if there are several."""
  return of_name if len(of_name) > 1 else next(iter(of_name.values()))


def _column(figures: Mapping[str, float], pattern: str) -> dict[str, Any]:
  """Row -> its cell, of the figures whose path fits."""
  before, star, after = pattern.partition('*')
  if not star:
    return {}
  fits = re.compile(f'{re.escape(before)}([^/]+){re.escape(after)}')
  cells = {}
  for path, value in figures.items():
    if match := fits.fullmatch(path):
      error = figures.get(f'{path}_se')
      cell = value if error is None else [value, error]
      cells[_SAME_ROW.get(match[1], match[1])] = cell
  return cells
