"""Bounds by formula: what compute and memory allow."""

import pytest

from rvmae_jax.config_utils import load_config
from rvmae_jax.tools import benchmark_bounds

RECIPE = 'configs/rvm_quickstart.py'


def _bounds(batch_size, *device_names):
  return benchmark_bounds.reckon_bounds(
    load_config(RECIPE), batch_size, device_names
  )


def test_the_lesser_of_compute_and_memory_counts(capsys):
  found = _bounds(4, 'h200', 'v6e')
  for name, flops_per_s, bytes_per_s in (
    ('h200', 989e12, 4800e9),
    ('v6e', 918e12, 1640e9),
  ):
    of_compute, of_memory = (
      flops_per_s / found['flops'],
      bytes_per_s / found['bytes'],
    )
    # So small a network waits for memory.
    assert of_memory < of_compute
    assert found['devices'][name] == {
      'clips_per_s': pytest.approx(of_memory),
      'limit': 'memory',
    }
  benchmark_bounds.print_table({'tiny': found})
  header, row = capsys.readouterr().out.splitlines()
  assert header.split()[-2:] == ['h200', 'v6e']
  assert row.endswith('m')


def test_larger_batches_share_what_the_state_moves():
  few, many = _bounds(4), _bounds(8)
  assert few['flops'] == many['flops']
  # 40 bytes a parameter and a step; statistics of features do not grow with the
  # clips alone, hence the tolerance.
  assert few['bytes'] - many['bytes'] == pytest.approx(
    40 * few['parameters'] * (1 / 4 - 1 / 8), rel=5e-3
  )
