"""Results that are kept in docs/results/ and shown as tables."""

import datetime
import json
import math
import os
import pathlib
import platform
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rvmae_jax.data.writing import write_whole
from rvmae_jax.training.environment import environment, typed_command

_DEFAULT_DIGITS = 1
_NUM_DIGITS = 5  # Of kept numbers.


def write_result(
  path: str | pathlib.Path,
  columns: Sequence[str],
  rows: Sequence[Sequence[Any]],
  notes: str = '',
  **others: Any,
) -> None:
  """Writes a table with the command, day, machine and versions behind it.

  Args:
    path: of the JSON file; its folder is made.
    columns: headings.
    rows: of numbers, texts and None.
    notes: what a reader has to know beside the table.
    **others: further entries of the file.
  """
  path = pathlib.Path(path)
  versions = environment()
  machine = versions['device']
  if machine.endswith(' cpu'):  # JAX takes all cores for one.
    machine = f'{os.cpu_count()} x {platform.machine()} CPU cores'
  result = {
    'command': typed_command(_module_name()),
    'date': datetime.date.today().isoformat(),
    'machine': machine,
    'commit': versions.pop('commit', 'unknown'),
    'versions': versions,
    'columns': list(columns),
    'rows': [list(row) for row in rows],
    'notes': notes,
    **others,
  }
  path.parent.mkdir(parents=True, exist_ok=True)
  write_whole(path, format_json(result))


def format_json(result: Mapping[str, Any]) -> str:
  """JSON with a line for each entry of its lists and tables."""
  lines = []
  for key, value in result.items():
    name = json.dumps(key)
    if isinstance(value, list) and value:
      items = [json.dumps(item) for item in value]
      lines.append(_block(f'{name}: [', items, ' ]'))
    elif isinstance(value, dict) and value:
      items = [f'{json.dumps(k)}: {json.dumps(v)}' for k, v in value.items()]
      lines.append(_block(f'{name}: {{', items, ' }'))
    else:
      lines.append(f' {name}: {json.dumps(value)}')
  return '{\n' + ',\n'.join(lines) + '\n}\n'


def format_cell(cell: Any, digits: int | None = None) -> str:
  """A cell as text.

  Args:
    cell: a number, text, None, or a pair of numbers: a value and its ±.
    digits: after the point; None takes 1. Whole numbers have none. What is too
      small for its digits has an exponent, and a ± more digits.
  """
  if cell is None:
    return ''
  if isinstance(cell, str):
    return cell
  if isinstance(cell, list):
    value, spread = cell
    text = format_cell(value, digits)
    if spread is None:
      return text
    digits = _DEFAULT_DIGITS if digits is None else digits
    if spread and not round(spread, digits) and math.isfinite(spread):
      digits = -math.floor(math.log10(spread))
    return f'{text} ± {format_cell(spread, digits)}'
  if isinstance(cell, int):
    return f'{cell:,}'
  digits = _DEFAULT_DIGITS if digits is None else digits
  if cell and not round(cell, digits):
    return f'{cell:.1e}'
  return f'{cell:,.{digits}f}'


def needed_digits(cells: Sequence[Any]) -> int:
  """After the point, so that the largest number has three or four in all."""
  values = [c[0] if isinstance(c, list) else c for c in cells if c is not None]
  # A network that has learned nothing may have NaN for a figure.
  largest = max(map(abs, filter(math.isfinite, values)), default=0)
  return max(0, 2 - math.floor(math.log10(largest))) if largest else 1


def rounded(value: float | None) -> float | None:
  """As many digits as are worth keeping."""
  if value is None or isinstance(value, int):
    return value
  return float(f'{value:.{_NUM_DIGITS}g}')


def machine_of(environment: Mapping[str, str]) -> str:
  """What a run's `environment.json` tells of its machine."""
  return f'{environment["device"]}, jax {environment["jax"]}'


def _block(start: str, items: list[str], end: str) -> str:
  return f' {start}\n  ' + ',\n  '.join(items) + f'\n{end}'


def _module_name() -> str:
  """The module that was started with `python -m`."""
  spec = getattr(sys.modules['__main__'], '__spec__', None)
  return spec.name if spec else pathlib.Path(sys.argv[0]).name
