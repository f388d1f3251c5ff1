"""Runs as processes: logs, statuses, cores, and being stopped."""

import os
import sys
import threading
import time

import pytest

from rvmae_jax.tools.comparison.processes import Job, Processes, share_cores


def test_a_process_writes_its_log_and_gives_its_status(tmp_path):
  code = 'import sys; print(sys.argv[1]); sys.exit(3)'
  job = Job('rvm', 0, tmp_path)
  assert Processes([sys.executable, '-c', code])(job) == 3
  assert (tmp_path / 'log.txt').read_text() == f'--only={job.name}\n'


def test_a_process_may_save_when_the_comparison_is_stopped(tmp_path):
  code = (
    'import signal, time\n'
    'def save(*unused): print("saved", flush=True); raise SystemExit\n'
    'signal.signal(signal.SIGTERM, save)\n'
    'print("ready", flush=True)\n'
    'time.sleep(60)'
  )
  processes = Processes([sys.executable, '-c', code])
  log = tmp_path / 'log.txt'
  log.touch()
  waiting = threading.Thread(target=processes, args=[Job('rvm', 0, tmp_path)])
  waiting.start()
  while not log.read_text():
    time.sleep(0.02)
  processes.stop()
  waiting.join()
  assert log.read_text() == 'ready\nsaved\n'


@pytest.mark.skipif(
  not hasattr(os, 'sched_getaffinity'), reason='cores are not told'
)
def test_a_process_gets_a_share_of_the_cores(tmp_path):
  code = (
    'import os, time\n'
    'while len(os.sched_getaffinity(0)) > 1: time.sleep(0.01)\n'
    'print(os.sched_getaffinity(0))'
  )
  cores = sorted(os.sched_getaffinity(0))
  Processes([sys.executable, '-c', code], len(cores))(Job('a', 0, tmp_path))
  assert (tmp_path / 'log.txt').read_text() == f'{{{cores[0]}}}\n'


@pytest.mark.parametrize(
  ('cores', 'num_shares', 'shares'),
  [
    ([0, 1, 2, 3], 2, [{0, 1}, {2, 3}]),
    ([4, 6, 9], 2, [{4}, {6, 9}]),
    ([0, 1], 3, [{0}, {0}, {1}]),
    ([], 2, [set(), set()]),
  ],
)
def test_cores_are_shared(cores, num_shares, shares):
  assert share_cores(cores, num_shares) == shares


def test_no_job_at_all_is_refused():
  with pytest.raises(ValueError, match='--jobs=0 must be at least 1'):
    share_cores([0], 0)
