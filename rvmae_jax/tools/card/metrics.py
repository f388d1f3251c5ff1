"""What a model card says about evaluations: numbers and their uncertainty.

`results` is `evaluations` of the metrics.json that `rvmae_jax.evaluate` writes.
"""

import re
from collections.abc import Mapping
from typing import Any

from rvmae_jax.evals import leakage
from rvmae_jax.evals.tables import format_number, pivot
from rvmae_jax.metrics.intervals import wilson_interval
from rvmae_jax.tools.card.markdown import (
  Markdown,
  bold,
  code,
  heading,
  table,
)

# Shares of videos get an interval from how many were counted; what chance
# gives is no measurement.
_SHARE = re.compile(r'(?!chance/)(.*/)?(top\d+|recall_at_\d+)')
_COUNTS = ('num_test', 'num_queries', 'num_videos')
# As of `evals.strata`, such as 'strata/trained/mean/signer/ann/top1'.
_STRATUM = re.compile(r'strata/(?P<group>.+)/(?P<number>\w+)')
_GROUP_NUMBERS = ('top1', 'low', 'high', 'count')
_NOT_MEASURED = '*Not measured.*'


def section(results: Mapping[str, Any]) -> str:
  """All evaluations but those with sections of their own."""
  parts = []
  for alias, result in results.items():
    if result['name'] == 'robustness':
      continue
    metrics = {
      k: v for k, v in result['metrics'].items() if not _STRATUM.fullmatch(k)
    }
    parts += [heading(3, alias), *_leakage(result), _tables(metrics)]
  if not parts:
    return _NOT_MEASURED
  note = (
    'In brackets: the 95 % interval (Wilson) that follows from the number of '
    'test videos. Differences between seeds or training runs are not included.'
  )
  return '\n\n'.join([note, *parts])


def robustness_section(results: Mapping[str, Any]) -> str:
  """Accuracy and similarity of features of corrupted videos."""
  parts = []
  for alias, result in results.items():
    if result['name'] != 'robustness':
      continue
    parts += [heading(3, alias), *_leakage(result), _tables(result['metrics'])]
    counted = result['metrics'].get('clean/num_videos')
    if counted:
      low, high = wilson_interval(counted / 2, counted)
      parts.append(
        f'Of {counted} videos; the 95 % interval of a top-1 accuracy is at '
        f'most {high - low:.3f} wide.'
      )
  return '\n\n'.join(parts) or _NOT_MEASURED


def groups_section(results: Mapping[str, Any]) -> str:
  """Accuracy of each group of videos, with interval and number."""
  parts = []
  for alias, result in results.items():
    rows = [
      (code(group), *(_plain(numbers.get(n)) for n in _GROUP_NUMBERS))
      for group, numbers in groups(result['metrics']).items()
    ]
    if rows:
      columns = ('group', 'top-1', 'from', 'to', 'videos')
      parts += [heading(3, alias), table(columns, rows)]
  return '\n\n'.join(parts) or _NOT_MEASURED


def groups(metrics: Mapping[str, float]) -> dict[str, dict[str, float]]:
  """Group, such as 'trained/mean/signer/ann' -> its numbers."""
  found = {}
  for name, value in metrics.items():
    match = _STRATUM.fullmatch(name)
    if match:
      found.setdefault(match['group'], {})[match['number']] = value
  return found


def _tables(metrics: Mapping[str, float]) -> str:
  """The tables of an evaluation's numbers."""
  if not metrics:
    return 'It had nothing to measure.'
  counted = next((metrics[key] for key in _COUNTS if key in metrics), None)
  parts = []
  for columns, rows in pivot(metrics):
    cells = [
      [
        code(row) if row else '',
        *(
          _number(f'{row}/{column}', value, counted)
          for column, value in zip(columns, values)
        ),
      ]
      for row, values in rows.items()
    ]
    parts.append(table(('', *columns), cells))
  return '\n\n'.join(parts)


def _number(name: str, value: float, counted: float | None) -> str:
  """A number, with an interval where it is a share of so many videos."""
  if counted and _SHARE.fullmatch(name) and 0 <= value <= 1:
    low, high = wilson_interval(value * counted, int(counted))
    return Markdown(f'{value:.3f} [{low:.3f}, {high:.3f}]')
  return _plain(value)


def _plain(value: float | None) -> str:
  return '' if value is None else format_number(value)


def _leakage(result: Mapping[str, Any]) -> list[str]:
  text = leakage.of_result(result)
  return [bold(text)] if text else []
