"""Measures everything that is worth knowing on one NVIDIA GPU.

  python -m rvmae_jax.benchmarks gpu --out runs/gpu \\
    [--minutes 25] [--videos VIDEOS] [--only a,b]
  python -m rvmae_jax.benchmarks gpu --out runs/quick --quick

The training step of several networks by batch and setting, beside a plain
transcription and beside Hugging Face's (needs `pip install torch
transformers`), its time by part, streaming, a run from shards, and the GPU's
own tests; what is measured is listed in `rvmae_jax/benchmarks/suite.py`. Each
runs in its own process with a time limit, and its result is kept in --out: run
the same command again to do what is missing or failed. `--minutes` limits the
whole; `--quick` does a tiny part of it on any machine. Tables come last.
"""

import json
import pathlib
import signal
import sys
import time
from typing import Any

from absl import app, flags

from rvmae_jax import files
from rvmae_jax.benchmarks.measurement import format_table, measure
from rvmae_jax.benchmarks.suite import gpu_suite, quick_suite
from rvmae_jax.commands import run_command
from rvmae_jax.data.writing import write_whole

# Figure -> title; all others stay in the files.
_COLUMNS = {
  'clips_per_s': 'clips/s',
  'frames_per_s': 'frames/s',
  'speed_ratio': 'ratio',
  'ratio': 'ratio',
  'step_ms': 'ms',
  'ms': 'ms',
  'p50_ms': 'p50 ms',
  'p95_ms': 'p95 ms',
  'share': 'share',
  'mfu': 'MFU',
  'gib': 'GiB',
  'compile_s': 'compile s',
  'data_wait_share': 'data wait',
  'cores': 'cores',
}


def format_result(name: str, found: dict[str, Any]) -> str:
  """A small table of one measurement.

  Args:
    name: of the measurement.
    found: what `measure` gives.
  """
  if 'failed' in found:
    return f'{name}: failed, {found["failed"]}'
  result = found['result']
  title = f'{name} ({found["seconds"]:.0f} s)'
  if 'summary' in result:
    return f'{title}: {result["summary"]}'
  result = result.get('parts', result)
  rows = {k: v for k, v in result.items() if isinstance(v, dict)}
  table = format_table(rows, _COLUMNS)
  return '\n  '.join([title, *table.splitlines()])


def main(args: flags.FlagValues) -> None:
  """Runs the command."""
  folder = pathlib.Path(args.out).absolute()
  folder.mkdir(parents=True, exist_ok=True)
  suite = quick_suite(folder) if args.quick else gpu_suite(folder, args.videos)
  names = [measurement.name for measurement in suite]
  if unknown := set(args.only) - set(names):
    raise app.UsageError(
      f'--only={",".join(sorted(unknown))} is not among {", ".join(names)}.'
    )
  # What runs is killed with this, as at the end of a job's time.
  signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
  end = time.monotonic() + 60 * (args.minutes or float('inf'))
  found = {}
  for number, measurement in enumerate(suite, 1):
    name = measurement.name
    if args.only and name not in args.only:
      continue
    left_s = end - time.monotonic()
    most = min(measurement.limit_s, max(left_s, 0)) / 60
    print(f'[{number}/{len(suite)}] {name}, at most {most:.1f} min', flush=True)
    found[name] = measure(measurement, folder, left_s)
    if 'failed' in found[name]:
      print(f'  failed: {found[name]["failed"]}', flush=True)
  print()
  print('\n\n'.join(format_result(*item) for item in found.items()))
  path = folder / 'all.json'
  kept = files.read_json(path) if path.exists() else {}
  write_whole(path, json.dumps(kept | found, indent=1))


if __name__ == '__main__':
  flags.DEFINE_string('out', None, 'Folder for the results.')
  flags.mark_flag_as_required('out')
  flags.DEFINE_float('minutes', 0, 'Minutes to stop after; 0 = no limit.')
  flags.DEFINE_bool('quick', False, 'Only a tiny part, on any machine.')
  flags.DEFINE_list('only', [], 'Measurements to run; empty = all.')
  flags.DEFINE_string('videos', '', 'Videos to train on besides sprites.')
  run_command(main)
