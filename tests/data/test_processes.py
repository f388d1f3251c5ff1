"""Processes that end with their parent."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

_LOADING = """
  from rvmae_jax.data.pipeline import make_dataset
  data = {
    'sources': {'fake': {'name': 'fake', 'num_videos': 8}},
    'clip': {'name': 'uniform', 'num_frames': 2},
    'crop': {'size': (32, 32)},
    'num_threads': 1,
    'num_workers': 2,
  }
  batches = iter(
    make_dataset(data, seed=0, batch_size=2, train=True, patch_size=8)
  )
  next(batches)
"""
_POOL = """
  import concurrent.futures
  from rvmae_jax.tools import prepare
  pool = prepare.worker_pool(2)
  list(pool.map(abs, range(4)))
"""


def _start(code, folder):
  """Starts a script; returns it and the children that it has then."""
  script = folder / 'script.py'
  script.write_text(
    f'if __name__ == "__main__":{code}\n'
    '  print("ready", flush=True)\n'
    '  sys.stdin.read()\n'
    '  next(batches)\n'
    '  print("went on", flush=True)\n'
  )
  script.write_text('import sys\n' + script.read_text())
  process = subprocess.Popen(
    [sys.executable, script],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    stderr=subprocess.DEVNULL,
    text=True,
    env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)},
    start_new_session=True,
  )
  assert process.stdout.readline() == 'ready\n'
  return process, _children(process.pid)


def _children(parent):
  children = []
  for stat in pathlib.Path('/proc').glob('[0-9]*/stat'):
    try:
      fields = stat.read_text().rpartition(')')[2].split()
    except OSError:
      continue
    if int(fields[1]) == parent:
      children.append(int(stat.parent.name))
  return children


def _is_alive(process_id):
  try:
    stat = pathlib.Path(f'/proc/{process_id}/stat').read_text()
  except OSError:
    return False
  return stat.rpartition(')')[2].split()[0] not in 'ZX'


@pytest.mark.slow
@pytest.mark.skipif(
  not pathlib.Path('/proc/self/stat').exists(), reason='asks /proc'
)
@pytest.mark.parametrize('code', [_LOADING, _POOL], ids=['loaders', 'pool'])
def test_children_end_with_a_parent_that_is_killed(tmp_path, code):
  process, children = _start(code, tmp_path)
  assert len(children) >= 2
  process.kill()
  process.communicate()
  end = time.monotonic() + 20
  while left := [child for child in children if _is_alive(child)]:
    assert time.monotonic() < end, f'{left} of {children} are left'
    time.sleep(0.1)


@pytest.mark.slow
def test_ctrl_c_and_sigterm_leave_loaders_to_their_parent(tmp_path):
  """A terminal and a cluster send them to all processes of a job."""
  process, children = _start(_LOADING, tmp_path)
  for child in children:
    os.kill(child, signal.SIGINT)
    os.kill(child, signal.SIGTERM)
  output, _ = process.communicate('')
  assert output == 'went on\n'
  assert process.returncode == 0
