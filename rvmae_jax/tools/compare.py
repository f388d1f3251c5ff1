"""Compares recipes: the same budget, the same evaluation, several seeds.

  python -m rvmae_jax.tools.compare --config configs/compare_sprites.py \\
    --workdir runs/compare [--jobs 2] [--only rvm/seed_0]

Each run has a process of its own. If one fails, its row in the table says why,
and the others continue. Run the same command again to resume and to retry what
failed. `--jobs` sets how many run at once, each on its share of the CPU cores.
`--only` does one run, in this process: start one such command per run on a
cluster, then the command without it to make the table.

Written to the workdir after each run:

  table.md, table.json      a row for each method, over its seeds
  accuracy.png              accuracies and what training cost, with matplotlib
  <method>/seed_<n>/        log.txt, and what `comparison.run` leaves
"""

import json
import os
import pathlib
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent import futures
from typing import Any

from absl import app, flags
from ml_collections import ConfigDict

from rvmae_jax import files
from rvmae_jax.commands import run_command
from rvmae_jax.config_utils import define_config_flag
from rvmae_jax.data.locking import FolderLock
from rvmae_jax.data.processes import end_with_parent
from rvmae_jax.data.writing import whole_file, write_whole
from rvmae_jax.registry import near_names
from rvmae_jax.tools.comparison import table as compare_table
from rvmae_jax.tools.comparison.processes import Job, Processes
from rvmae_jax.tools.comparison.recipes import run_key
from rvmae_jax.tools.comparison.run import run
from rvmae_jax.training.environment import typed_command
from rvmae_jax.training.logging import show_own_lines
from rvmae_jax.visualize import can_draw, save_figure
from rvmae_jax.visualize.comparison import draw_comparison

_FAILURE = 'failure.txt'
_NUM_DRAWN = 3  # Accuracies of the table in the picture, from the first.


def compare(
  config: ConfigDict,
  workdir: str | pathlib.Path,
  start: Callable[[Job], int],
  num_jobs: int = 1,
  command: str = '',
) -> list[dict[str, Any]]:
  """Does what is not done yet and writes the table after each run.

  Args:
    config: of the comparison, see `configs/compare_sprites.py`.
    workdir: what it leaves.
    start: does a run, waits for it and returns its exit status; it is called
      from several threads if there are several jobs.
    num_jobs: how many runs at once.
    command: kept in table.json, for whoever finds it later.

  Returns:
    The rows of the table, see `compare_table.make_rows`.
  """
  workdir = pathlib.Path(workdir)
  jobs = list_jobs(config, workdir)
  results = {job: _finished(config, job) for job in jobs}
  waiting = [job for job, result in results.items() if not result]
  print(f'{len(jobs)} runs, {len(jobs) - len(waiting)} already finished.')
  rows = write_table(config, results, workdir, command)
  pool = futures.ThreadPoolExecutor(num_jobs)
  runs = {pool.submit(do_run, config, job, start): job for job in waiting}
  try:
    for number, done in enumerate(futures.as_completed(list(runs)), start=1):
      job = runs.pop(done)
      results[job] = done.result()
      progress = f'[{number}/{len(waiting)}] {job.name}'
      failure = results[job].get('failure')
      outcome = f'failed: {failure}' if failure else 'done'
      left_s = _seconds_left(runs.values(), results) / num_jobs
      left = f'about {left_s / 60:.0f} min left'
      print(f'{progress}: {outcome}; {left}', flush=True)
      rows = write_table(config, results, workdir, command)
  finally:
    pool.shutdown(wait=False, cancel_futures=True)
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
  print(f'{job.name}: running, see {job.folder / "log.txt"}', flush=True)
  job.folder.mkdir(parents=True, exist_ok=True)
  failure = job.folder / _FAILURE
  failure.unlink(missing_ok=True)
  status = start(job)
  if not status:
    return _finished(config, job) or {'failure': 'it left no result'}
  if failure.exists():
    return {'failure': failure.read_text()}
  if status < 0:
    return {'failure': f'killed by {signal.Signals(-status).name}'}
  return {'failure': f'exit status {status}'}


def run_here(config: ConfigDict, job: Job) -> None:
  """Does a run in this process; leaves failure.txt if it fails."""
  failure = job.folder / _FAILURE
  failure.unlink(missing_ok=True)
  try:
    run(config, job.method, job.seed, job.folder)
  except Exception as error:
    job.folder.mkdir(parents=True, exist_ok=True)
    failure.write_text(f'{type(error).__name__}: {error}')
    raise


def write_table(
  config: ConfigDict,
  results: Mapping[Job, dict[str, Any] | None],
  workdir: pathlib.Path,
  command: str = '',
) -> list[dict[str, Any]]:
  """Writes table.md, table.json and accuracy.png; returns the rows."""
  workdir.mkdir(parents=True, exist_ok=True)
  (first, _), *_ = config.columns
  rows = compare_table.make_rows(
    {(job.method, job.seed): result for job, result in results.items()},
    sort_by=first,
  )
  environments = [r['environment'] for r in results.values() if _is_done(r)]
  table = {
    'command': command,
    'columns': list(config.columns),
    'budget': config.budget.to_dict(),
    'environment': environments[0] if environments else {},
    'rows': rows,
  }
  write_whole(workdir / 'table.json', json.dumps(table, indent=2))
  text = compare_table.format_markdown(rows, config.columns)
  write_whole(workdir / 'table.md', text)
  # Where all spent the same FLOPs, they differ in clips.
  cost = 'clips' if config.budget.unit == 'flops' else 'flops'
  accuracies = [c for c in config.columns if compare_table.is_share(c[0])]
  drawn = dict(accuracies[:_NUM_DRAWN])
  first_drawn = next(iter(drawn), None)
  if any(first_drawn in row['mean'] for row in rows) and can_draw():
    figure = draw_comparison(rows, drawn, cost)
    with whole_file(workdir / 'accuracy.png') as partial:
      save_figure(figure, partial)
  return rows


def _finished(config: ConfigDict, job: Job) -> dict[str, Any] | None:
  """The result of a run that is done with these settings."""
  path = job.folder / 'result.json'
  if not path.exists():
    return None
  result = files.read_json(path)
  try:
    key = run_key(config, job.method, job.seed)
  except Exception:  # A recipe is code; what is wrong with it the run will say.
    return None
  return result if result.get('key') == key else None


def _is_done(result: dict[str, Any] | None) -> bool:
  return bool(result) and 'failure' not in result


def _seconds_left(
  waiting: Iterable[Job], results: Mapping[Job, dict[str, Any] | None]
) -> float:
  """Estimate by the last run of each method, or else by the mean of all."""
  seconds = {
    job.method: result['seconds']
    for job, result in results.items()
    if _is_done(result)
  }
  mean = sum(seconds.values()) / max(len(seconds), 1)
  return sum(seconds.get(job.method, mean) for job in waiting)


def main(args: flags.FlagValues) -> None:
  """Runs the command."""
  workdir = pathlib.Path(args.workdir)
  if args.only:
    show_own_lines()
    if args.parent:
      # With SIGTERM the run saves before it stops, so that it can be resumed.
      end_with_parent(args.parent, signal.SIGTERM)
    jobs = {job.name: job for job in list_jobs(args.config, workdir)}
    if args.only not in jobs:
      raise app.UsageError(
        f'No run {args.only!r}. {near_names(args.only, jobs)}'
      )
    run_here(args.config, jobs[args.only])
    return
  # On SIGTERM, as on Ctrl-C, it stops the runs that it has started.
  signal.signal(signal.SIGTERM, signal.default_int_handler)
  module = 'rvmae_jax.tools.compare'
  parent = f'--parent={os.getpid()}'
  command = [sys.executable, '-m', module, *sys.argv[1:], parent]
  processes = Processes(command, args.jobs)
  try:
    with FolderLock(workdir, 'comparison'):
      compare(args.config, workdir, processes, args.jobs, typed_command(module))
  except KeyboardInterrupt:
    sys.exit('Stopped; run the same command to resume.')
  finally:  # Runs are stopped after errors, too, such as a full disk.
    processes.stop()
  print(f'\n{(workdir / "table.md").read_text()}')


if __name__ == '__main__':
  define_config_flag()
  flags.DEFINE_string('workdir', None, 'Folder for all runs and the table.')
  flags.DEFINE_integer(
    'jobs', 1, 'How many runs at once; they share the CPU cores.'
  )
  flags.DEFINE_string('only', '', 'Do only this run: METHOD/seed_N.')
  flags.DEFINE_integer(
    'parent', 0, 'Stop when the process with this id ends; 0: never.'
  )
  flags.mark_flag_as_required('workdir')
  run_command(main)
