"""Runs of a comparison as processes, each on its share of the cores."""

import dataclasses
import itertools
import os
import pathlib
import queue
import subprocess
from collections.abc import Sequence


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


class Processes:
  """Starts runs; at most as many at once as there are shares.

  Args:
    command: does a run when `--only=<name>` is added.
    num_shares: into how many parts to divide the cores of this process.
  """

  def __init__(self, command: Sequence[str], num_shares: int = 1):
    self._command = command
    self._shares: queue.Queue[set[int]] = queue.Queue()
    for cores in share_cores(_own_cores(), num_shares):
      self._shares.put(cores)
    self._running: set[subprocess.Popen] = set()

  def __call__(self, job: Job) -> int:
    """Does a run, which writes to its log, and returns its exit status."""
    cores = self._shares.get()
    with (job.folder / 'log.txt').open('a') as log:
      process = subprocess.Popen(
        [*self._command, f'--only={job.name}'],
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C reaches it through us, once.
      )
    if cores:
      # Before it starts threads, which then share these cores.
      os.sched_setaffinity(process.pid, cores)
    self._running.add(process)
    status = process.wait()
    self._running.remove(process)
    self._shares.put(cores)
    return status

  def stop(self) -> None:
    """Tells what runs to save and leave, and waits until it has."""
    running = list(self._running)
    for process in running:
      process.terminate()
    for process in running:
      process.wait()


def share_cores(cores: Sequence[int], num_shares: int) -> list[set[int]]:
  """Divides cores as evenly as can be; with too few, some are in two shares.

  >>> share_cores([0, 1, 2, 3], 2)
  [{0, 1}, {2, 3}]
  """
  if num_shares < 1:
    raise ValueError(f'--jobs={num_shares} must be at least 1.')
  if not cores:
    return [set()] * num_shares
  edges = [i * len(cores) // num_shares for i in range(num_shares + 1)]
  return [
    set(cores[start:end]) or {cores[start]}
    for start, end in itertools.pairwise(edges)
  ]


def _own_cores() -> list[int]:
  """Those that this process may use; nothing where the system does not say."""
  if hasattr(os, 'sched_getaffinity'):
    return sorted(os.sched_getaffinity(0))
  return []
