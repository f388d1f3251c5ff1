"""Measurements in processes of their own, whose results are kept.

A benchmark prints tables (`format_table`) and its result as its last line
(`print_result`), from where `measure` takes it.
"""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

import jax

from rvmae_jax.data.writing import write_whole


def print_result(result: Mapping[str, Any]) -> None:
  """One line of JSON: the device, jax's version, and the result."""
  device = jax.devices()[0].device_kind
  print(json.dumps({'device': device, 'jax': jax.__version__, **result}))


def format_table(
  rows: Mapping[str, Mapping[str, Any]], columns: Mapping[str, str]
) -> str:
  """A line with the titles, and one for each row.

  Args:
    rows: name -> figures; of one that failed, `failed`: why.
    columns: figure -> title; those that no row has are left out.
  """
  shown = [c for c in columns if any(c in row for row in rows.values())]
  width = max(map(len, rows), default=0)
  lines = [' ' * width + ''.join(f'{columns[c]:>13}' for c in shown)]
  for name, row in rows.items():
    cells = ('-' if row.get(c) is None else f'{row[c]:.4g}' for c in shown)
    told = ''.join(f'{cell:>13}' for cell in cells)
    if 'failed' in row:
      told = f'  failed: {row["failed"]}'
    lines.append(f'{name:{width}}{told}')
  return '\n'.join(lines)


@dataclasses.dataclass(frozen=True)
class Measurement:
  """A command whose last line is its result as JSON.

  Attributes:
    name: of its files.
    command: arguments of Python.
    limit_s: it is killed after so many seconds.
    environment: variables besides those of this process.
  """

  name: str
  command: tuple[str, ...]
  limit_s: float
  environment: Mapping[str, str] = dataclasses.field(default_factory=dict)


def measure(
  measurement: Measurement, folder: pathlib.Path, left_s: float = float('inf')
) -> dict[str, Any]:
  """Runs a measurement, unless its result is there.

  Its result goes to `<name>.json`, what else it prints to `<name>.log`. One
  that failed or took too long is tried again next time; so is one whose command
  or environment has changed.

  Args:
    measurement: what to run.
    folder: of results.
    left_s: seconds after which it is killed at the latest.

  Returns:
    `result`, `command`, `environment`, and `seconds` that it took; or `failed`:
    why.
  """
  path = folder / f'{measurement.name}.json'
  asked = {
    'command': list(measurement.command),
    'environment': dict(measurement.environment),
  }
  if path.exists():
    found = json.loads(path.read_text())
    if asked.items() <= found.items():
      return found
  log_path = folder / f'{measurement.name}.log'
  start = time.monotonic()
  with log_path.open('w') as log:
    process = subprocess.Popen(
      [sys.executable, *measurement.command],
      stdout=subprocess.PIPE,
      stderr=log,
      text=True,
      env={**os.environ, **measurement.environment},
      start_new_session=True,  # Its workers are killed with it.
    )
    try:
      printed, _ = process.communicate(
        timeout=max(min(measurement.limit_s, left_s), 0)
      )
    except subprocess.TimeoutExpired:
      return {'failed': f'killed after {time.monotonic() - start:.0f} s'}
    finally:
      if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
  errors = log_path.read_text()
  log_path.write_text(errors + printed)
  lines = printed.strip().splitlines()
  if process.returncode:
    told = errors.strip().splitlines() or lines or ['nothing was printed']
    return {'failed': f'exit code {process.returncode}: {told[-1]}'}
  found = {
    **asked,
    'seconds': time.monotonic() - start,
    'result': _parsed(lines[-1] if lines else ''),
  }
  write_whole(path, json.dumps(found, indent=1))
  return found


def _parsed(line: str) -> dict[str, Any]:
  """The last line as JSON; of other programs than ours it is text."""
  try:
    return json.loads(line)
  except ValueError:
    return {'summary': line}
