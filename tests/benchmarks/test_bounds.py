"""Bounds by formula: what compute and memory allow."""

import pytest

from rvmae_jax.benchmarks import bounds
from rvmae_jax.config_utils import load_config

RECIPE = 'configs/rvm_quickstart.py'
_WIDTH = 128  # Of its features.


def _bounds(batch_size, *device_names):
  return bounds.estimate_bounds(load_config(RECIPE), batch_size, device_names)


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
  bounds.print_table({'tiny': found})
  header, row = capsys.readouterr().out.splitlines()
  assert header.split()[-2:] == ['h200', 'v6e']
  assert row.endswith('m')


def test_larger_batches_share_what_the_state_moves():
  few, many = _bounds(4), _bounds(8)
  assert few['flops'] == many['flops']
  # 40 bytes a parameter and a step, and 12 an entry of the covariance of
  # features, of which statistics are made.
  a_step = 40 * few['parameters'] + 12 * _WIDTH**2
  assert few['bytes'] - many['bytes'] == pytest.approx(
    a_step * (1 / 4 - 1 / 8), rel=1e-4
  )
