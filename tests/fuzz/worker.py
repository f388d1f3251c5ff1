"""A process that reads damaged files, one at a time, and says what happened.

  python -m tests.fuzz.worker

Takes lines `<kind> <number>` and answers each with a line of JSON. A crash or a
hang is then one mutant's, and whoever asks goes on with another process.
"""

import dataclasses
import functools
import io
import json
import os
import pathlib
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping

import numpy as np

from rvmae_jax import weights
from tests.fuzz.kinds import KINDS, Case
from tests.fuzz.mutations import CANARY, mutate, mutate_bytes, stable_seed

# Above what a worker has taken when it is ready.
MOST_BYTES = 2**30
# Address space; a request for more fails here instead of filling the machine.
_MOST_ADDRESSES = 6 * 2**30
# What no reader does (see `sys.audit`).
_FORBIDDEN = ('os.system', 'subprocess.Popen', 'os.exec', 'os.posix_spawn')


@dataclasses.dataclass(frozen=True)
class Result:
  """What became of one mutant.

  Attributes:
    outcome: 'read', 'refused' or 'defect'.
    message: of the error; with the traceback of a defect.
    seconds: of the processor that it took.
    peak_bytes: most memory, above that of a worker that is ready.
  """

  outcome: str
  message: str
  seconds: float
  peak_bytes: int


def make_mutant(cases: list[Case], kind: str, number: int):
  """The case of a mutant, and its files with one or two of them damaged."""
  rng = np.random.default_rng([stable_seed(kind), number])
  case = cases[number % len(cases)]
  files = dict(case.files)
  names = case.damaged or tuple(files)
  name = names[rng.integers(len(names))]
  files[name] = mutate(name, files[name], rng)
  if rng.random() < 0.2:
    name = names[rng.integers(len(names))]
    files[name] = mutate_bytes(files[name], rng)
  return case, files


def write_files(folder: pathlib.Path, files: Mapping[str, bytes]) -> None:
  """Writes a folder of files."""
  for name, content in files.items():
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def check(case: Case, folder: pathlib.Path) -> tuple[str, str]:
  """Reads a folder; -> outcome and message."""
  broken_rules: list[str] = []
  _watch.broken_rules = broken_rules
  try:
    case.read(folder)
    outcome, message = 'read', ''
  except case.refusals as error:
    outcome, message = 'refused', f'{type(error).__name__}: {error}'
    names = {path.name for path in folder.rglob('*')} | {*case.files}
    # A VideoError names the video, whichever file it is in.
    names |= {str(folder), getattr(error, 'path', None) or str(folder)}
    if not any(name in message for name in names):
      outcome, message = 'defect', f'names no file: {traceback.format_exc()}'
  except BaseException:
    outcome, message = 'defect', traceback.format_exc()
  _watch.broken_rules = []
  if broken_rules or pathlib.Path(CANARY).exists():
    outcome, message = 'defect', f'a program ran: {broken_rules}'
  return outcome, message


class _Watch:
  """Notes what programs do that a file should not make them do."""

  broken_rules: list[str]

  def __init__(self):
    self.broken_rules = []

  def __call__(self, event, arguments):
    if event.startswith(_FORBIDDEN):
      self.broken_rules.append(f'{event}{arguments}'[:200])


_watch = _Watch()


def _peak_bytes(reset: bool = False) -> int:
  if reset:
    pathlib.Path('/proc/self/clear_refs').write_text('5')
  status = pathlib.Path('/proc/self/status').read_text()
  return int(status.partition('VmHWM:')[2].split()[0]) * 1024


def _serve(requests, answers) -> None:
  # Most of the time would go into tracing one network again and again.
  weights.released_shapes = functools.cache(weights.released_shapes)
  cases: dict[str, list[Case]] = {}
  sys.addaudithook(_watch)
  for line in requests:
    kind, number = line.split()
    if kind not in cases:
      cases[kind] = KINDS[kind]()
      for case in cases[
        kind
      ]:  # What loads on first use, and that seeds are sound.
        folder = pathlib.Path(tempfile.mkdtemp(dir=pathlib.Path.cwd()))
        write_files(folder, case.files)
        case.read(folder)
        shutil.rmtree(folder)
      used = int(pathlib.Path('/proc/self/statm').read_text().split()[0])
      limit = used * resource.getpagesize() + _MOST_ADDRESSES
      hard = resource.getrlimit(resource.RLIMIT_AS)[1]
      resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    case, files = make_mutant(cases[kind], kind, int(number))
    folder = pathlib.Path(tempfile.mkdtemp(dir=pathlib.Path.cwd()))
    write_files(folder, files)
    before = _peak_bytes(reset=True)
    start_s = time.process_time()  # Other programs do not count.
    outcome, message = check(case, folder)
    seconds = time.process_time() - start_s
    peak_bytes = _peak_bytes() - before
    if peak_bytes > MOST_BYTES:
      outcome = 'defect'
      message = f'{peak_bytes / 2**20:.0f} MiB of memory. {message}'
    if outcome == 'defect':
      message += f'\nfiles: {folder}'
    else:
      shutil.rmtree(folder)
    pathlib.Path(CANARY).unlink(missing_ok=True)
    result = Result(outcome, message, seconds, peak_bytes)
    answers.write(json.dumps(dataclasses.asdict(result)) + '\n')
    answers.flush()


def main() -> None:
  """Serves until its input ends; in the folder that it is started in."""
  # Libraries write to the standard streams as well.
  answers = os.fdopen(os.dup(1), 'w')
  os.dup2(2, 1)
  with io.TextIOWrapper(sys.stdin.buffer) as requests:
    _serve(requests, answers)


if __name__ == '__main__':
  main()
