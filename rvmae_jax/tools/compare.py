"""Compares recipes: the same budget, the same evaluation, several seeds.

  python -m rvmae_jax.tools.compare --config configs/compare_sprites.py \\
    --workdir runs/compare [--only rvm/seed_0]

Each run is a process of its own. One that fails is a row of the table that says
why, and the others go on. The same command again goes on where it stopped, and
tries again what failed. With `--only` it does that one run in this process, so
that a cluster can do many at once; the command without it then makes the table.

What it leaves in its workdir, after each run:

  table.md, table.json      a row for each method, over its seeds
  accuracy.png              accuracy against what training cost
  <method>/seed_<n>/        see `rvmae_jax.tools.compare_run`; log.txt besides
"""

import dataclasses
import json
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from absl import app, flags
from ml_collections import ConfigDict, config_flags

from rvmae_jax.registry import near_names
from rvmae_jax.tools import compare_table
from rvmae_jax.tools.compare_run import run, run_key
from rvmae_jax.training.logging import show_own_lines
from rvmae_jax.visualize.comparison import draw_comparison


@dataclasses.dataclass(frozen=True)
class Job:
  """One run of the comparison.

  Attributes:
    method: its name in `config.methods`.
    seed: of the run.
    folder: its workdir.
  """

  method: str
  seed: int
  folder: pathlib.Path

  @property
  def name(self) -> str:
    """As `--only` takes it."""
    return f'{self.method}/{self.folder.name}'


def compare(
  config: ConfigDict,
  workdir: str | pathlib.Path,
  start: Callable[[Job], int],
) -> list[dict[str, Any]]:
  """Does what is not done yet and writes the table after each run.

  Args:
    config: of the comparison, see `configs/compare_sprites.py`.
    workdir: what it leaves.
    start: does a run, waits for it and returns its exit status.

  Returns:
    The rows of the table, see `compare_table.make_rows`.
  """
  workdir = pathlib.Path(workdir)
  jobs = list_jobs(config, workdir)
  results = {job: _finished(config, job) for job in jobs}
  waiting = [job for job, result in results.items() if not result]
  print(f'{len(jobs)} runs, {len(jobs) - len(waiting)} finished before.')
  rows = write_table(config, results, workdir)
  for number, job in enumerate(waiting, start=1):
    progress = f'[{number}/{len(waiting)}] {job.name}'
    print(f'{progress}: running, see {job.folder / "log.txt"}', flush=True)
    start_s = time.monotonic()
    results[job] = do_run(config, job, start)
    seconds = time.monotonic() - start_s
    if 'failure' in results[job]:
      print(f'{progress}: failed: {results[job]["failure"]}')
    left_s = _seconds_left(waiting[number:], results)
    print(f'{progress}: {seconds:.0f} s, about {left_s / 60:.0f} min left')
    rows = write_table(config, results, workdir)
  return rows


def list_jobs(config: ConfigDict, workdir: pathlib.Path) -> list[Job]:
  """All runs, seed by seed, so that there is a whole table early."""
  return [
    Job(method, seed, workdir / method / f'seed_{seed}')
    for seed in config.seeds
    for method in config.methods
  ]


def do_run(
  config: ConfigDict, job: Job, start: Callable[[Job], int]
) -> dict[str, Any]:
  """The result of a run, or `failure`: why there is none."""
  job.folder.mkdir(parents=True, exist_ok=True)
  failure = job.folder / 'failure.txt'
  failure.unlink(missing_ok=True)
  status = start(job)
  if failure.exists():
    return {'failure': failure.read_text()}
  if status < 0:
    return {'failure': f'killed by {signal.Signals(-status).name}'}
  if status:
    return {'failure': f'exit status {status}'}
  return _finished(config, job) or {'failure': 'it left no result'}


def start_process(job: Job, command: Sequence[str]) -> int:
  """Does a run in a process of its own, which writes to its log.

  When this process is told to stop, so is that one, which then saves.
  """
  with (job.folder / 'log.txt').open('a') as log:
    process = subprocess.Popen(
      [*command, f'--only={job.name}'],
      stdout=log,
      stderr=subprocess.STDOUT,
      start_new_session=True,  # Ctrl-C reaches it through us, once.
    )
    try:
      return process.wait()
    except KeyboardInterrupt:
      process.terminate()
      process.wait()
      raise


def run_here(config: ConfigDict, job: Job) -> None:
  """Does a run in this process; leaves failure.txt if it fails."""
  try:
    run(config, job.method, job.seed, job.folder)
  except Exception as error:
    job.folder.mkdir(parents=True, exist_ok=True)
    text = f'{type(error).__name__}: {error}'
    (job.folder / 'failure.txt').write_text(text)
    raise


def write_table(
  config: ConfigDict,
  results: Mapping[Job, dict[str, Any] | None],
  workdir: pathlib.Path,
) -> list[dict[str, Any]]:
  """Writes table.md, table.json and accuracy.png; returns the rows."""
  workdir.mkdir(parents=True, exist_ok=True)
  columns = dict(config.columns)
  [(metric, heading), *_] = columns.items()
  rows = compare_table.make_rows(
    {(job.method, job.seed): result for job, result in results.items()},
    sort_by=metric,
  )
  environments = [r['environment'] for r in results.values() if _is_done(r)]
  table = {
    'budget': config.budget.to_dict(),
    'environment': environments[0] if environments else {},
    'rows': rows,
  }
  (workdir / 'table.json').write_text(json.dumps(table, indent=2))
  text = compare_table.format_markdown(rows, columns)
  (workdir / 'table.md').write_text(text)
  # Where all spent the same FLOPs, they differ in clips.
  against = 'clips' if config.budget.unit == 'flops' else 'flops'
  if any(metric in row['mean'] for row in rows):
    figure = draw_comparison(rows, metric, heading, against)
    figure.savefig(workdir / 'accuracy.png', dpi=150)
  return rows


def _finished(config: ConfigDict, job: Job) -> dict[str, Any] | None:
  """The result of a run that is done with these settings."""
  path = job.folder / 'result.json'
  if not path.exists():
    return None
  result = json.loads(path.read_text())
  try:
    key = run_key(config, job.method, job.seed)
  except Exception:  # A recipe is code; what is wrong with it the run will say.
    return None
  return result if result['key'] == key else None


def _is_done(result: dict[str, Any] | None) -> bool:
  return bool(result) and 'failure' not in result


def _seconds_left(
  waiting: Sequence[Job], results: Mapping[Job, dict[str, Any] | None]
) -> float:
  """By the last run of the same method, or the mean of all."""
  seconds = {
    job.method: result['seconds']
    for job, result in results.items()
    if _is_done(result)
  }
  mean = sum(seconds.values()) / max(len(seconds), 1)
  return sum(seconds.get(job.method, mean) for job in waiting)


def main(argv: list[str]) -> None:
  """Runs the command."""
  if argv[1:]:
    raise app.UsageError(f'Unexpected arguments: {argv[1:]}.')
  args = flags.FLAGS
  workdir = pathlib.Path(args.workdir)
  if args.only:
    show_own_lines()
    jobs = {job.name: job for job in list_jobs(args.config, workdir)}
    if args.only not in jobs:
      raise app.UsageError(
        f'No run {args.only!r}. {near_names(args.only, jobs)}'
      )
    run_here(args.config, jobs[args.only])
    return
  # Told to stop, it stops the run that it has started, as after Ctrl-C.
  signal.signal(signal.SIGTERM, signal.default_int_handler)
  module = 'rvmae_jax.tools.compare'
  command = [sys.executable, '-m', module, *sys.argv[1:]]
  try:
    compare(args.config, workdir, lambda job: start_process(job, command))
  except KeyboardInterrupt:
    sys.exit('Stopped; the same command goes on from here.')
  print(f'\n{(workdir / "table.md").read_text()}')


if __name__ == '__main__':
  config_flags.DEFINE_config_file('config', lock_config=True)
  flags.DEFINE_string('workdir', None, 'Where all runs and the table go.')
  flags.DEFINE_string('only', '', 'Do just this run, METHOD/seed_N, here.')
  flags.mark_flags_as_required(['config', 'workdir'])
  app.run(main)
