"""What is measured on a GPU: commands that there are."""

import importlib
import pathlib

import pytest

from rvmae_jax.benchmarks.__main__ import BENCHMARKS
from rvmae_jax.benchmarks.suite import gpu_suite, quick_suite
from rvmae_jax.config_utils import load_config, with_values

_FOLDER = pathlib.Path('out')
_SUITE = gpu_suite(_FOLDER, 'videos')


@pytest.mark.parametrize('measurement', _SUITE, ids=lambda m: m.name)
def test_modules_and_configs_of_commands_are_there(measurement):
  flag, module, name, *arguments = measurement.command
  assert flag == '-m'
  if module == 'pytest':
    return
  assert module == 'rvmae_jax.benchmarks'
  importlib.import_module(BENCHMARKS[name])
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
