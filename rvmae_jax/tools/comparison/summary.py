"""A comparison as a small table with all that is needed to check it."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rvmae_jax import files
from rvmae_jax.config_utils import by_path
from rvmae_jax.tools.comparison.table import make_table
from rvmae_jax.tools.result_file import machine_of, rounded
from rvmae_jax.visualize.curves import read_history

_NUM_POINTS = 20  # Of a curve.
# Curves that are kept: these, terms of the loss, and what the core does.
_CURVES = 'loss', 'psnr_hidden', 'grad_norm'


def summarize(
  workdir: pathlib.Path, drawn: Sequence[str] = ()
) -> dict[str, Any]:
  """A table of a comparison's runs, as `tools/results` shows it.

  Args:
    workdir: of `tools/compare`.
    drawn: names of curves that make a picture, a panel each.

  Returns:
    What `tools/results` needs, and besides: `config`, the settings that all
    runs share, by path; `runs`, of each its own settings; `figures`, name -> a
    number for each run; `curves`, of each run.

  Raises:
    FileNotFoundError: no comparison is there, or none of its runs is finished.
  """
  path = workdir / 'table.json'
  if not path.exists():
    raise FileNotFoundError(
      f'No table.json in {workdir}; --from takes the workdir of tools/compare.'
    )
  table = files.read_json(path)
  rows = [row for row in table['rows'] if row['seeds']]
  if not rows:
    raise FileNotFoundError(f'No run in {workdir} is finished yet.')
  results = {
    f'{row["method"]}/seed_{seed}': files.read_json(
      workdir / row['method'] / f'seed_{seed}' / 'result.json'
    )
    for row in rows
    for seed in row['seeds']
  }
  configs = {k: by_path(result['config']) for k, result in results.items()}
  first, *others = configs.values()
  common = {
    key: value
    for key, value in first.items()
    if all(key in other and other[key] == value for other in others)
  }
  names = dict.fromkeys(n for r in results.values() for n in r['figures'])
  last = max(results.values(), key=lambda result: result['date'])
  columns, cells, digits = make_table(rows, table['columns'])
  curves = {
    name: curve
    for name, result in results.items()
    if (
      curve := _curves(
        workdir / name / 'metrics.jsonl',
        (*_CURVES, *drawn, *result['config'].get('losses', ())),
      )
    )
  }
  picture = {}
  if drawn:
    batch_size = first['batch_size']
    picture['picture'] = {
      'panels': [_panel(curves, name, batch_size) for name in drawn]
    }
  return {
    'command': table['command'],
    'date': last['date'],
    'machine': machine_of(last['environment']),
    'commit': last['environment'].get('commit', 'unknown'),
    'columns': columns,
    'digits': digits,
    'rows': cells,
    'notes': 'Mean over seeds, ± their deviation.',
    'budget': table['budget'],
    'config': common,
    'runs': {
      name: {k: v for k, v in config.items() if k not in common}
      for name, config in configs.items()
    },
    'figures': {
      name: [rounded(r['figures'].get(name)) for r in results.values()]
      for name in names
    },
    'curves': curves,
    **picture,
  }


def _curves(
  path: pathlib.Path, wanted: Sequence[str]
) -> dict[str, list[float]]:
  """`step` and values of curves, a few points each; empty without a log."""
  if not path.exists():
    return {}
  history = read_history(path)
  if 'loss' not in history:
    return {}
  steps = history['loss'][0]
  picked = np.unique(np.linspace(0, len(steps) - 1, _NUM_POINTS).astype(int))
  curves = {'step': steps[picked].tolist()}
  for name, (found_at, values) in history.items():
    is_wanted = name in wanted or name.startswith('core/')
    if is_wanted and np.array_equal(found_at, steps):
      curves[name] = [rounded(v) for v in values[picked].tolist()]
  return curves


def _panel(
  curves: Mapping[str, Mapping[str, Sequence[float]]],
  name: str,
  batch_size: int,
) -> dict[str, Any]:
  """A panel of `visualize.lines`: a line for each method, over its seeds."""
  by_method: dict[str, list[Mapping[str, Sequence[float]]]] = {}
  for run, curve in curves.items():
    if name in curve:
      by_method.setdefault(run.rpartition('/')[0], []).append(curve)
  lines = []
  for method, of_seeds in by_method.items():
    values = np.array([curve[name] for curve in of_seeds])  # [seeds, points]
    line = {
      'name': method,
      'x': [step * batch_size for step in of_seeds[0]['step']],
      'y': [rounded(v) for v in values.mean(0).tolist()],
    }
    if len(values) > 1:
      line['spread'] = [rounded(v) for v in values.std(0, ddof=1).tolist()]
    lines.append(line)
  return {'x': 'clips', 'y': name, 'lines': lines}
