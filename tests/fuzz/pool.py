"""Workers that are watched: what hangs is killed, what crashes is named."""

import collections
import dataclasses
import json
import os
import pathlib
import select
import subprocess
import sys
import time

_ROOT = pathlib.Path(__file__).resolve().parents[2]


class Worker:
  """A process that reads mutants, and the next one after it dies.

  Args:
    folder: where it works; mutants that are defects stay there.
    hang_s: a mutant that takes more processor time is a defect, or one that
      waits for ten times as long.
    start_s: what making the seeds of a kind may take besides.
  """

  def __init__(
    self, folder: pathlib.Path, hang_s: float = 30, start_s: float = 120
  ):
    self._folder = folder
    self._hang_s = hang_s
    self._start_s = start_s
    self._process = None
    self._kinds: set[str] = set()

  def __enter__(self):
    return self

  def __exit__(self, *unused):
    self.stop()

  def check(self, kind: str, number: int) -> dict:
    """What became of a mutant: a `worker.Result` as a dict."""
    if self._process is None:
      self._start()
    self._process.stdin.write(f'{kind} {number}\n'.encode())
    self._process.stdin.flush()
    limit_s = self._hang_s + (kind not in self._kinds) * self._start_s
    self._kinds.add(kind)
    begin_s, begin_cpu_s = time.monotonic(), self._cpu_s()
    answer = self._process.stdout
    while not select.select([answer], [], [], 1)[0]:
      cpu_s = self._cpu_s() - begin_cpu_s
      if cpu_s > limit_s or time.monotonic() - begin_s > 10 * limit_s:
        self.stop()
        return _defect(f'hangs: no answer after {cpu_s:.0f} s', cpu_s)
    line = answer.readline()
    if not line:
      code = self._process.wait()
      log = self._folder / 'log.txt'
      self.stop()
      return _defect(f'crash, code {code}: {log.read_text()[-3000:]}', 0.0)
    return json.loads(line)

  def command(self) -> list[str]:
    """What starts the process."""
    options = ['-X', 'faulthandler', '-m', 'tests.fuzz.worker']
    return [sys.executable, *options]

  def _cpu_s(self) -> float:
    stat = pathlib.Path(f'/proc/{self._process.pid}/stat').read_text()
    ticks = stat.rpartition(')')[2].split()[11:13]  # User and system.
    return sum(map(int, ticks)) / os.sysconf('SC_CLK_TCK')

  def _start(self) -> None:
    self._folder.mkdir(parents=True, exist_ok=True)
    environment = {
      **os.environ,
      'PYTHONPATH': str(_ROOT),
      'JAX_PLATFORMS': 'cpu',
      'OMP_NUM_THREADS': '1',
      'MALLOC_ARENA_MAX': '2',
    }
    with open(self._folder / 'log.txt', 'wb') as log:
      self._process = subprocess.Popen(
        self.command(),
        cwd=self._folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
      )
    self._kinds = set()

  def stop(self) -> None:
    """Kills the process, if there is one; the next mutant starts another."""
    if self._process is not None:
      self._process.kill()
      self._process.wait()
      self._process.stdin.close()
      self._process.stdout.close()
      self._process = None


def _defect(message: str, seconds: float) -> dict:
  return {
    'outcome': 'defect',
    'message': message,
    'seconds': seconds,
    'peak_bytes': 0,
  }


HEADER = (
  f'{"kind":12} {"mutants":>8} {"read":>8} {"refused":>8} {"defects":>8} '
  f'{"seconds":>8} {"slowest":>8} {"peak MiB":>9}'
)


@dataclasses.dataclass
class Tally:
  """Figures of one kind; see `HEADER`. Seconds are the processor's."""

  outcomes: collections.Counter = dataclasses.field(
    default_factory=collections.Counter
  )
  seconds: float = 0.0
  slowest_s: float = 0.0
  peak_bytes: int = 0

  def add(self, result: dict) -> None:
    """Counts one mutant."""
    self.outcomes[result['outcome']] += 1
    self.seconds += result['seconds']
    self.slowest_s = max(self.slowest_s, result['seconds'])
    self.peak_bytes = max(self.peak_bytes, result['peak_bytes'])

  def row(self, kind: str) -> str:
    """The figures as a line of a table."""
    read, refused, defects = (
      self.outcomes[outcome] for outcome in ('read', 'refused', 'defect')
    )
    return (
      f'{kind:12} {self.outcomes.total():8} {read:8} {refused:8} {defects:8} '
      f'{self.seconds:8.0f} {self.slowest_s:8.2f} '
      f'{self.peak_bytes / 2**20:9.0f}'
    )
