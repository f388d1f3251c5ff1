"""An evaluation as a small table: a network or a trivial answer in each row."""

import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from rvmae_jax import files
from rvmae_jax.tools.comparison.table import shown_column
from rvmae_jax.tools.result_file import machine_of, rounded

# What rebuilds is called the model there, and a trained encoder elsewhere.
_SAME_ROW = {'model': 'trained'}


def summarize_evaluation(
  workdir: pathlib.Path, columns: Sequence[str]
) -> dict[str, Any]:
  """A table of an evaluation's figures, as `tools/results` shows it.

  Args:
    workdir: of `evaluate`.
    columns: each `HEADING=FIGURE`, with `*` for what stands in the rows, as in
      `probe=linear_probe/*/mean_std_8/top1`.

  Returns:
    What `tools/results` needs, and besides: `run_config`, of the evaluated run;
    `figures`, all that was found, by path.

  Raises:
    FileNotFoundError: no evaluation is there.
    ValueError: a column has no heading or no figures.
  """
  path = workdir / 'metrics.json'
  if not path.exists():
    raise FileNotFoundError(
      f'No metrics.json in {workdir}; with --column, --from takes the workdir '
      'of evaluate.'
    )
  written = files.read_json(path)
  results = written['evaluations']
  if not all('date' in result for result in results.values()):
    raise ValueError(
      f'An older version of evaluate wrote {path}, without dates; delete it '
      'and evaluate again.'
    )
  figures = {
    f'{alias}/{name}': value
    for alias, result in results.items()
    for name, value in result['metrics'].items()
  }
  headings, digits, found = ['network'], [None], []
  for column in columns:
    heading, _, figure = column.rpartition('=')
    cells = _column(figures, figure)
    if not heading or not cells:
      raise ValueError(
        f'--column: {column!r} should be HEADING=FIGURE, with * for the '
        f'network, as in probe=linear_probe/*/mean/top1; {path} has '
        f'{", ".join(figures)}.'
      )
    heading, places, shown = shown_column(heading, figure, [*cells.values()])
    headings.append(heading)
    digits.append(places)
    found.append(dict(zip(cells, shown)))
  names = dict.fromkeys(name for cells in found for name in cells)
  return {
    'command': written['command'],
    'date': max(r['date'] for r in results.values()),
    'machine': machine_of(written['environment']),
    'commit': written['environment'].get('commit', 'unknown'),
    'columns': headings,
    'digits': digits,
    'rows': [[name, *(cells.get(name) for cells in found)] for name in names],
    'notes': '± one standard error over videos, where it is known.',
    'run_config': written['run_config'],
    'figures': {name: rounded(value) for name, value in figures.items()},
  }


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
