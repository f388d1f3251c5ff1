"""The lock of a folder: who is kept out, who takes over, who has to leave."""

import json
import os
import subprocess
import sys
import threading
import time

import pytest

from rvmae_jax.data import locking
from rvmae_jax.data.locking import FolderLock, InUseError


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
  monkeypatch.setattr(locking, '_FIRST_BEAT_S', 0.02)
  monkeypatch.setattr(locking, '_BEAT_S', 0.02)
  monkeypatch.setattr(locking, '_LOOK_EVERY_S', 0.02)
  monkeypatch.setattr(locking, '_PATIENCE_S', 0.3)


def _wait_until(happened):
  end = time.monotonic() + 10
  while not happened():
    assert time.monotonic() < end
    time.sleep(0.01)


def _has_problem(lock):
  try:
    lock.check()
  except InUseError:
    return True
  return False


def _change(path, **changes):
  path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.fixture
def sleeper():
  """A process that holds the lock of the folder that it is given."""
  processes = []

  def start(folder, name='train'):
    code = (
      'import sys, time; from rvmae_jax.data.locking import FolderLock\n'
      f'with FolderLock({str(folder)!r}, {name!r}):\n'
      '  print("held", flush=True); time.sleep(60)'
    )
    process = subprocess.Popen(
      [sys.executable, '-c', code],
      stdout=subprocess.PIPE,
      text=True,
      env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)},
    )
    processes.append(process)
    assert process.stdout.readline() == 'held\n'
    return process

  yield start
  for process in processes:
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_writer_is_refused_and_told_who_is_there(tmp_path, sleeper):
  process = sleeper(tmp_path / 'run')
  with (
    pytest.raises(InUseError) as refused,
    FolderLock(tmp_path / 'run', 'train'),
  ):
    pass
  for part in (
    f'{tmp_path / "run"} is in use by',
    f'process {process.pid} on ',
    'since 20',
    f'delete {tmp_path / "run" / "train.lock"}',
  ):
    assert part in str(refused.value)
  # Another kind of writer does not mind.
  with FolderLock(tmp_path / 'run', 'evaluate'):
    pass


def test_threads_of_one_process_are_kept_apart(tmp_path):
  with (
    FolderLock(tmp_path, 'train'),
    pytest.raises(InUseError, match='in use by'),
  ):
    FolderLock(tmp_path, 'train').__enter__()
  with FolderLock(tmp_path, 'train') as lock:
    lock.check()
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('reaped', [True, False], ids=['gone', 'zombie'])
def test_a_killed_writer_blocks_nobody_on_its_machine(
  tmp_path, sleeper, monkeypatch, reaped
):
  monkeypatch.setattr(locking, '_PATIENCE_S', 1e6)
  process = sleeper(tmp_path)
  process.kill()
  if reaped:
    process.wait()
  else:  # As in a container where nobody asks for its exit status.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
  with FolderLock(tmp_path, 'train') as lock:
    lock.check()


def test_an_id_that_another_process_has_by_now_is_not_the_writer(
  tmp_path, sleeper, monkeypatch
):
  monkeypatch.setattr(locking, '_PATIENCE_S', 1e6)
  process = sleeper(tmp_path)
  _change(tmp_path / 'train.lock', process_start='1')
  with FolderLock(tmp_path, 'train'):
    pass
  assert process.poll() is None


def test_a_writer_elsewhere_is_alive_while_its_count_goes_up(tmp_path):
  path = tmp_path / 'train.lock'
  with FolderLock(tmp_path, 'train') as elsewhere:
    elsewhere._own['machine'] = 'another'
    _wait_until(lambda: 'another' in path.read_text())
    with pytest.raises(InUseError, match='in use by'):
      FolderLock(tmp_path, 'train').__enter__()


@pytest.mark.parametrize(
  'since', ['1970-01-01 00:00:00+00:00', '2999-01-01 00:00:00+00:00']
)
def test_a_writer_elsewhere_whose_count_stands_still_is_gone(tmp_path, since):
  """Whatever its clock, or ours, says."""
  path = tmp_path / 'train.lock'
  with FolderLock(tmp_path, 'train'):
    left = path.read_text()
  path.write_text(left)
  _change(path, machine='another', since=since)
  began = time.monotonic()
  with FolderLock(tmp_path, 'train') as lock:
    lock.check()
  assert time.monotonic() - began >= 0.3


def test_a_file_of_somebody_else_is_watched_and_replaced(tmp_path):
  (tmp_path / 'train.lock').write_text('cut o')
  with FolderLock(tmp_path, 'train') as lock:
    lock.check()


def test_a_suspended_writer_that_was_taken_over_leaves(tmp_path):
  path = tmp_path / 'train.lock'
  with FolderLock(tmp_path, 'train') as suspended:
    taken = json.dumps(json.loads(path.read_text()) | {'id': 'of another'})
    path.write_text(taken)
    _wait_until(lambda: _has_problem(suspended))
    with pytest.raises(InUseError, match='has been taken over by'):
      suspended.check()
  # It leaves the lock to the other.
  assert path.read_text() == taken


def test_a_deleted_lock_or_folder_is_noticed(tmp_path):
  with FolderLock(tmp_path / 'run', 'train') as lock:
    (tmp_path / 'run/train.lock').unlink()
    _wait_until(lambda: _has_problem(lock))
  with pytest.raises(InUseError, match=r'train\.lock is gone'):
    lock.check()


def test_of_many_that_start_at_once_one_stays(tmp_path):
  locks = [FolderLock(tmp_path, 'train') for _ in range(8)]
  barrier, refused = threading.Barrier(len(locks)), []

  def start(lock):
    barrier.wait()
    try:
      lock.__enter__()
    except InUseError:
      refused.append(lock)

  threads = [threading.Thread(target=start, args=(lock,)) for lock in locks]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  entered = [lock for lock in locks if lock not in refused]
  _wait_until(lambda: sum(not _has_problem(lock) for lock in entered) == 1)
  time.sleep(0.1)
  assert sum(not _has_problem(lock) for lock in entered) == 1
  for lock in entered:
    lock.__exit__()
  assert not list(tmp_path.iterdir())


def test_it_works_in_a_bucket(bucket):
  with FolderLock('gs://bucket/run', 'train'):
    assert (bucket / 'run/train.lock').exists()
    with pytest.raises(InUseError, match='gs://bucket/run is in use'):
      FolderLock('gs://bucket/run', 'train').__enter__()
  assert not (bucket / 'run/train.lock').exists()
