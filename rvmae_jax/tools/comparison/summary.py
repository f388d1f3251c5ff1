"""A comparison as a small table with all that is needed to check it."""

import itertools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rvmae_jax import files
from rvmae_jax.config_utils import by_path
from rvmae_jax.registry import check_known
from rvmae_jax.tools.comparison.table import (
  make_rows,
  make_table,
  shown_column,
)
from rvmae_jax.tools.result_file import machine_of, rounded
from rvmae_jax.visualize.curves import History, read_history

_NUM_POINTS = 20  # Of a curve.
# Curves that are kept: these, terms of the loss, and what the core does.
_CURVES = 'loss', 'psnr_hidden', 'grad_norm'


def summarize(
  workdir: pathlib.Path,
  drawn: Sequence[str] = (),
  kept: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
  """A table of a comparison's runs, as `tools/results` shows it.

  Args:
    workdir: of `tools/compare`.
    drawn: names of curves to draw, a panel each: metrics that are logged with
      the loss, or numbers of evaluations in `during_training`.
    kept: an earlier summary of the same comparison, such as one of another
      machine; its runs that the workdir lacks are taken from it.

  Returns:
    What `tools/results` needs, and besides: `config`, the settings that all
    runs share, by path; `runs`, of each its own settings; `figures`, name -> a
    number for each run; `curves` and `evaluated`, of each run in training.

  Raises:
    FileNotFoundError: no comparison is there, or none of its runs is finished.
    ValueError: no run has a curve that is to be drawn, or the earlier summary
      is of another comparison.
  """
  table, rows, results = _read(workdir)
  curves, evaluated = {}, {}
  for name, result in results.items():
    history = _history(workdir / name / 'metrics.jsonl')
    losses = [
      path.removeprefix('losses.')
      for path in result['config']
      if path.startswith('losses.')
    ]
    if curve := _curves(history, 'loss', (*_CURVES, *losses, *drawn)):
      curves[name] = curve
    # Accuracies along the way, and what else is asked for.
    others = [
      name
      for name in history
      if name not in curve and (name in drawn or name.endswith('/top1'))
    ]
    if others:
      evaluated[name] = _evaluated(history, others)
  if kept:
    if kept.get('budget') != table['budget']:
      raise ValueError(
        f'{workdir} has a budget of {table["budget"]}, but the file to add to '
        f'has {kept.get("budget")}: give the file another --name.'
      )
    results |= {k: r for k, r in _runs_of(kept).items() if k not in results}
    by_run = {_method_and_seed(name): r for name, r in results.items()}
    (first, _), *_ = table['columns']
    rows = make_rows(by_run, sort_by=first)
    curves = {**kept['curves'], **curves}
    evaluated = {**kept.get('evaluated', {}), **evaluated}
  summary = {
    'command': table['command'],
    **_about(rows, table['columns'], results),
    'budget': table['budget'],
    'curves': curves,
    'evaluated': evaluated,
  }
  if drawn:
    both = [*curves.items(), *evaluated.items()]
    known = {name for _, curve in both for name in curve} - {'step'}
    check_known('curve', known, *drawn)
    batch_sizes = {k: r['config']['batch_size'] for k, r in results.items()}
    panels = [_panel(both, name, batch_sizes) for name in drawn]
    summary['picture'] = {'panels': panels}
  return summary


def summarize_budgets(
  workdirs: Sequence[pathlib.Path], drawn: Sequence[str]
) -> dict[str, Any]:
  """A table of what methods gain from more training.

  Args:
    workdirs: of comparisons that differ in their budget.
    drawn: figures to show, and to draw over the clips of training, a panel
      each.

  Returns:
    As `summarize` does, without `curves`. Networks that are not trained, and
    methods of a single comparison, are left out. A run is called
    METHOD/CLIPS/seed_N.

  Raises:
    FileNotFoundError: a workdir has no comparison, or no run is finished.
    ValueError: a figure that they do not measure, no method that two of them
      have, or a run that two of them have.
  """
  found = [_read(workdir) for workdir in workdirs]
  headings = {k: v for table, _, _ in found for k, v in table['columns']}
  check_known('figure', headings, *drawn)
  by_method: dict[str, list[Mapping[str, Any]]] = {}
  results = {}
  for _, rows, of_runs in found:
    for row in rows:
      if not row['mean']['clips']:  # A network before training.
        continue
      by_method.setdefault(row['method'], []).append(row)
      for seed in row['seeds']:
        result = of_runs[f'{row["method"]}/seed_{seed}']
        name = f'{row["method"]}/{result["figures"]["clips"]}/seed_{seed}'
        if name in results:
          raise ValueError(
            f'{name} is in two of the comparisons: their budgets must differ.'
          )
        results[name] = result
  by_method = {
    method: sorted(rows, key=lambda row: row['mean']['clips'])
    for method, rows in by_method.items()
    if len(rows) > 1
  }
  results = {k: r for k, r in results.items() if k.split('/')[0] in by_method}
  if not results:
    raise ValueError('No method was trained with more than one budget.')
  columns = [(name, headings[name]) for name in drawn]
  return {
    'command': '; '.join(table['command'] for table, _, _ in found),
    **_about([*itertools.chain(*by_method.values())], columns, results),
    'picture': {
      'panels': [_panel_of_budgets(by_method, *column) for column in columns]
    },
  }


def _read(
  workdir: pathlib.Path,
) -> tuple[
  dict[str, Any], list[Mapping[str, Any]], dict[str, Mapping[str, Any]]
]:
  """A comparison's table.json; rows of what is finished; METHOD/seed_N: result.

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
  names = [f'{row["method"]}/seed_{s}' for row in rows for s in row['seeds']]
  results = {n: files.read_json(workdir / n / 'result.json') for n in names}
  for result in results.values():
    result['machine'] = machine_of(result['environment'])
    result['commit'] = result['environment'].get('commit', 'unknown')
    result['config'] = by_path(result['config'])
  return table, rows, results


def _runs_of(summary: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
  """Runs of a summary, as `_read` gives them."""
  about = {key: summary[key] for key in ('date', 'machine', 'commit')}
  return {
    name: {
      **about,
      'config': {**summary['config'], **own},
      'figures': {
        figure: values[i]
        for figure, values in summary['figures'].items()
        if values[i] is not None
      },
    }
    for i, (name, own) in enumerate(summary['runs'].items())
  }


def _method_and_seed(run: str) -> tuple[str, int]:
  method, _, seed = run.partition('/seed_')
  return method, int(seed)


def _about(
  rows: Sequence[Mapping[str, Any]],
  shown: Sequence[tuple[str, str]],
  results: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
  """The table of the rows, where it is from, and what each run was."""
  columns, cells, digits = make_table(rows, shown)
  configs = {k: result['config'] for k, result in results.items()}
  first, *others = configs.values()
  common = {
    key: value
    for key, value in first.items()
    if all(key in other and other[key] == value for other in others)
  }
  names = dict.fromkeys(n for r in results.values() for n in r['figures'])
  last = max(results.values(), key=lambda result: result['date'])
  return {
    'date': last['date'],
    'machine': last['machine'],
    'commit': last['commit'],
    'columns': columns,
    'digits': digits,
    'rows': cells,
    'notes': 'Mean over seeds, ± their deviation.',
    'config': common,
    'runs': {
      name: {k: v for k, v in config.items() if k not in common}
      for name, config in configs.items()
    },
    'figures': {
      name: [rounded(r['figures'].get(name)) for r in results.values()]
      for name in names
    },
  }


def _history(path: pathlib.Path) -> History:
  """Steps and values of all that a run logged; empty if it did not train."""
  return read_history(path) if path.exists() else {}


def _curves(
  history: History, along: str, wanted: Sequence[str]
) -> dict[str, list[float]]:
  """`step` and values of curves, a few points each.

  Args:
    history: of a run.
    along: the curve whose steps are taken; without it there is nothing.
    wanted: names; what the core does is always kept. Only those that have the
      same steps are.
  """
  if along not in history:
    return {}
  steps = history[along][0]
  picked = np.unique(np.linspace(0, len(steps) - 1, _NUM_POINTS).astype(int))
  curves = {'step': steps[picked].tolist()}
  for name, (found_at, values) in history.items():
    is_wanted = name in wanted or name.startswith('core/')
    if is_wanted and np.array_equal(found_at, steps):
      curves[name] = [rounded(v) for v in values[picked].tolist()]
  return curves


def _evaluated(history: History, wanted: Sequence[str]) -> dict[str, list[Any]]:
  """`step` and values of evaluations; None where an evaluation was not due."""
  found = {
    name: dict(zip(*map(np.ndarray.tolist, history[name]))) for name in wanted
  }
  steps = sorted(set().union(*found.values()))
  curves = {'step': steps}
  for name, values in found.items():
    curves[name] = [rounded(values[s]) if s in values else None for s in steps]
  return curves


def _panel(
  curves: Sequence[tuple[str, Mapping[str, Sequence[float]]]],
  name: str,
  batch_sizes: Mapping[str, int],
) -> dict[str, Any]:
  """A panel of `visualize.lines`: a line for each method, over its seeds."""
  by_method: dict[str, list[tuple[list[int], Sequence[float]]]] = {}
  for run, curve in curves:
    if name in curve:
      points = [p for p in zip(curve['step'], curve[name]) if p[1] is not None]
      steps, values = zip(*points)
      clips = [step * batch_sizes[run] for step in steps]
      by_method.setdefault(run.rpartition('/')[0], []).append((clips, values))
  lines = []
  for method, of_seeds in by_method.items():
    # A budget in seconds gives seeds lengths of their own: as far as all go.
    clips, _ = min(of_seeds, key=lambda curve: curve[0][-1])
    # [seeds, points]
    values = np.array([np.interp(clips, *curve) for curve in of_seeds])
    *_, y = shown_column(name, name, values.mean(0).tolist())
    line = {'name': method, 'x': clips, 'y': y}
    if len(values) > 1:
      *_, spread = shown_column(name, name, values.std(0, ddof=1).tolist())
      line['spread'] = spread
    lines.append(line)
  heading, *_ = shown_column(name, name, [])
  return {'x': 'clips', 'y': heading, 'lines': lines}


def _panel_of_budgets(
  by_method: Mapping[str, Sequence[Mapping[str, Any]]],
  name: str,
  heading: str,
) -> dict[str, Any]:
  """A panel of `visualize.lines`: a figure over the clips of training."""
  title, *_ = shown_column(heading, name, [])
  lines = []
  for method, rows in by_method.items():
    rows = [row for row in rows if name in row['mean']]
    if not rows:
      continue
    *_, y = shown_column(heading, name, [r['mean'][name] for r in rows])
    x = [int(row['mean']['clips']) for row in rows]
    line = {'name': method, 'x': x, 'y': y}
    spread = [row['std'][name] for row in rows]
    if None not in spread:
      line['spread'] = shown_column(heading, name, spread)[2]
    lines.append(line)
  return {'x': 'clips', 'y': title, 'log': 'x', 'lines': lines}
