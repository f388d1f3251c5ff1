"""One writer at a time in a folder, on any number of machines.

A writer holds the file `<name>.lock` in its folder: JSON that says who it is,
where and since when, and a count that goes up every few seconds.

  take   Read the file. A holder that is running is left alone (an error says
         who it is); otherwise write one's own, under a random id.
  keep   Every `_BEAT_S` read it, and write the next count. If it is not one's
         own any more, somebody has taken the folder (after this process was
         suspended, say) or deleted it: `check` then raises.
  leave  Delete it.

Whether a holder is running: on the same machine (same boot, same namespace of
process ids) its process tells, by id and time of start, so that a killed run
can be started again at once. From elsewhere only the count tells: if it stands
still for `_PATIENCE_S`, the holder is gone. No clock is compared with that of
another machine, and none that can be set is used at all.

This asks no more of storage than that a file reads as it was last written, so
it works on local disks, network drives and in buckets. Two writers that start
within the same instant may both get past `take`; the one that wrote first is
told by its first beat, after a second.
"""

import datetime
import json
import os
import pathlib
import platform
import shlex
import sys
import threading
import time
import uuid
from typing import Any

from absl import logging
from etils import epath

from rvmae_jax.data.writing import write_whole

_FIRST_BEAT_S = 1.0
_BEAT_S = 10.0
# Network drives may show a change late.
_PATIENCE_S = 45.0
_LOOK_EVERY_S = 2.0


class InUseError(RuntimeError):
  """Another writer is at a folder."""


class FolderLock:
  """Keeps other writers out of a folder; a context manager.

  Args:
    folder: made if it is not there; may be in a bucket (gs://).
    name: of the kind of writer; those of different kinds may share a folder.

  Raises:
    InUseError: on entering: another writer is at it; says who, and what to do.
    OSError: on entering: the folder cannot be written to.
  """

  def __init__(self, folder: epath.PathLike, name: str):
    self._folder = epath.Path(folder)
    self._path = self._folder / f'{name}.lock'
    self._own = {
      'id': uuid.uuid4().hex,
      'command': shlex.join(sys.argv),
      'host': platform.node(),
      'machine': _machine(),
      'process': os.getpid(),
      'process_start': _process_start(os.getpid()),
      'since': datetime.datetime.now().astimezone().isoformat(' ', 'seconds'),
    }
    self._count = 0
    self._problem = ''
    self._left = threading.Event()
    self._thread = threading.Thread(
      target=self._keep, name=f'{name}.lock', daemon=True
    )

  def __enter__(self) -> 'FolderLock':
    self._folder.mkdir(parents=True, exist_ok=True)
    self._take()
    self._thread.start()
    return self

  def __exit__(self, *unused):
    self._left.set()
    self._thread.join()
    try:
      if self._is_own(self._read()):
        self._path.unlink()
    except Exception as error:  # A bucket's errors are of many classes.
      logging.warning('%s is left behind: %s', self._path, error)

  def check(self) -> None:
    """Checks whether the folder was still ours at the last beat.

    Raises:
      InUseError: another writer has taken it, or the lock is gone.
    """
    if self._problem:
      raise InUseError(self._problem)

  def _take(self) -> None:
    former = self._read()
    holder = former and _running_holder(former, self._read)
    if holder:
      raise InUseError(
        f'{self._folder} is in use by {_describe(holder)}. Two writers would '
        "damage each other's files: stop that one, or use another folder. "
        f'If it is certainly gone, delete {self._path}.'
      )
    if former:
      logging.info('Taking over from %s, which is gone.', _describe(former))
    self._write()

  def _keep(self) -> None:
    wait_s = _FIRST_BEAT_S
    while not self._left.wait(wait_s) and not self._problem:
      wait_s = _BEAT_S
      try:
        self._beat()
      except Exception as error:
        # No reason to stop: if storage fails, the run's own writes will too.
        logging.warning('%s cannot be kept up to date: %s', self._path, error)

  def _beat(self) -> None:
    holder = self._read()
    if self._is_own(holder):
      self._count += 1
      self._write()
    elif holder is None:
      self._problem = (
        f'{self._path} is gone: deleted, or the whole folder has vanished. '
        'This process writes no more to it.'
      )
    else:
      self._problem = (
        f'{self._folder} has been taken over by {_describe(holder)}. This '
        'process writes no more to it.'
      )

  def _is_own(self, holder: dict[str, Any] | None) -> bool:
    return bool(holder) and holder.get('id') == self._own['id']

  def _read(self) -> dict[str, Any] | None:
    """What the file says; None if there is none."""
    if not self._path.exists():
      return None
    try:
      return json.loads(self._path.read_text())
    except FileNotFoundError:  # Deleted meanwhile.
      return None
    except ValueError:
      return {}  # Not written by this class.

  def _write(self) -> None:
    write_whole(self._path, json.dumps({**self._own, 'count': self._count}))


def _running_holder(holder, read) -> dict[str, Any] | None:
  """Who holds the lock now; None if it is nobody that is running."""
  if holder.get('machine') and holder['machine'] == _machine():
    is_running = _is_running(holder['process'], holder['process_start'])
    if is_running is not None:
      return holder if is_running else None
  logging.warning(
    'Apparently in use by %s. Waiting up to %.0f s for a sign of life.',
    *(_describe(holder), _PATIENCE_S),
  )
  end = time.monotonic() + _PATIENCE_S
  while time.monotonic() < end:
    time.sleep(_LOOK_EVERY_S)
    now = read()
    if now != holder:
      return now
  return None


def _is_running(process: int, start: str) -> bool | None:
  """Whether a process of this machine still runs; None if nobody can tell."""
  found = _process_start(process)
  if found:
    return found == start
  try:
    os.kill(process, 0)
  except ProcessLookupError:
    return False
  except OSError:
    return None  # Another user's, and hidden.
  return False if found == '' else None


def _process_start(process: int) -> str | None:
  """When it started, in ticks after boot.

  Returns:
    '' for a process that has ended but is still listed; None where the system
    does not tell.
  """
  try:
    stat = pathlib.Path(f'/proc/{process}/stat').read_text()
  except OSError:
    return None
  # After the name, which may hold anything: state is the 1st, start the 20th.
  fields = stat.rpartition(')')[2].split()
  return '' if fields[0] in 'ZX' else fields[19]


def _machine() -> str:
  """Names where an id means the same process: a boot and a PID namespace.

  Returns:
    '' where the system does not tell.
  """
  try:
    boot = pathlib.Path('/proc/sys/kernel/random/boot_id').read_text().strip()
    return f'{boot} {os.readlink("/proc/self/ns/pid")}'
  except OSError:
    return ''


def _describe(holder: dict[str, Any]) -> str:
  if not holder:
    return 'an unknown writer'
  return (
    f'`{holder["command"]}` (process {holder["process"]} on {holder["host"]}, '
    f'since {holder["since"]})'
  )
