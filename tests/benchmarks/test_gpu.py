"""The whole of the GPU's measurements, tiny, on a CPU."""

import subprocess
import sys

import pytest

from rvmae_jax.benchmarks.gpu import format_result
from tests.simulated import with_devices


def test_a_table_of_one_measurement():
  rows = {
    'as given': {'clips_per_s': 12.0, 'mfu': 0.5, 'unknown': 1},
    'batch_size=128': {'failed': 'out of memory'},
  }
  result = {'device': 'a GPU', **rows}
  lines = format_result('step', {'seconds': 3.2, 'result': result}).splitlines()
  assert [line.split() for line in lines] == [
    ['step', '(3', 's)'],
    ['clips/s', 'MFU'],
    ['as', 'given', '12', '0.5'],
    ['batch_size=128', 'failed:', 'out', 'of', 'memory'],
  ]


def test_what_failed_or_has_no_figures_is_one_line():
  assert format_result('a', {'failed': 'killed'}) == 'a: failed, killed'
  found = {'seconds': 5.0, 'result': {'summary': '2 passed'}}
  assert format_result('tests', found) == 'tests (5 s): 2 passed'


@pytest.mark.slow
def test_all_of_it_runs_on_a_cpu(tmp_path):
  command = [sys.executable, '-m', 'rvmae_jax.benchmarks', 'gpu', '--quick']
  printed = subprocess.run(
    [*command, f'--out={tmp_path}'],
    env=with_devices(1),
    stdout=subprocess.PIPE,
    text=True,
    check=True,
  ).stdout
  failed = [line for line in printed.splitlines() if ': failed' in line]
  # Needs PyTorch, which may not be there.
  assert all('pip install torch' in line for line in failed), printed
  measured = {'step', 'parts', 'run', 'stream'}
  assert measured <= {path.stem for path in tmp_path.glob('*.json')}
  assert 'data wait' in printed
