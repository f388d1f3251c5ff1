"""What is measured on a GPU: commands that there are."""

import importlib
import pathlib

import pytest

from rvmae_jax.config_utils import load_config, with_values
from rvmae_jax.tools.benchmarks.suite import gpu_suite, quick_suite

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


def test_the_run_of_note_learns_at_a_rate_for_its_batch():
  note = next(m for m in _SUITE if m.name == 'note')
  options = dict(a.split('=', 1) for a in note.command if '=' in a)
  rate = float(options['--config.optimizer.lr_per_256'])
  # The recipe's own would be 4.7e-6.
  assert rate * int(options['--config.batch_size']) / 256 == 3.75e-5


def test_names_are_unique():
  for suite in (_SUITE, quick_suite(_FOLDER)):
    names = [measurement.name for measurement in suite]
    assert len(set(names)) == len(names)
