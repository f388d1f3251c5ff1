"""What is measured on a GPU: commands that there are, targets as they read."""

import importlib
import pathlib

import pytest

from rvmae_jax.config_utils import load_config
from rvmae_jax.tools.benchmark_step import PLAIN, with_values
from rvmae_jax.tools.benchmarks.suite import TARGETS, gpu_suite, quick_suite

_FOLDER = pathlib.Path('out')
_SUITE = gpu_suite(_FOLDER, 'videos', 'davis', note=True)


@pytest.mark.parametrize('measurement', _SUITE, ids=lambda m: m.name)
def test_modules_and_configs_of_commands_are_there(measurement):
  flag, module, *arguments = measurement.command
  assert flag == '-m'
  importlib.import_module(module)
  if '--config' in arguments:
    config = load_config(arguments[arguments.index('--config') + 1])
    for argument in arguments:
      name, _, changes = argument.partition('=')
      if name == '--against':
        with_values(config, changes)


def test_names_are_unique():
  for suite in (_SUITE, quick_suite(_FOLDER)):
    names = [measurement.name for measurement in suite]
    assert len(set(names)) == len(names)


def test_targets_worked_by_hand():
  ours = {'clips_per_s': 600, 'gib': 30, 'mfu': 0.5}
  plain = {'clips_per_s': 200, 'gib': 40, 'mfu': 0.9}
  results = {
    'rvm_b_plain': {'device': 'a GPU', 'as given': ours, PLAIN: plain},
    'run': {'run': {'data_wait_share': 0.02}},
  }
  lines = [target.line(results) for target in TARGETS]
  found = {' '.join(line.split()) for line in lines}
  assert 'RVM-B: MFU >= 0.45 0.5 met' in found
  assert 'RVM-B: clips/s against the plain transcription >= 2 3 met' in found
  assert (
    'RVM-B: memory against the plain transcription <= 0.5 0.75 missed' in found
  )
  assert 'RVM-S: share of the time waiting for data <= 0.02 0.02 met' in found
  assert 'RVM-L: MFU >= 0.45 not measured' in found
