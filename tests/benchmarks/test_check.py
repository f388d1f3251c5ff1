"""Every recipe's step against its record: FLOPs, memory, size of program."""

import json
import pathlib
import types

import pytest

from rvmae_jax.benchmarks import check
from rvmae_jax.benchmarks.check import (
  compiled_figures,
  differences,
  step_figures,
)
from rvmae_jax.tools.planning.ahead_of_time import compiler_version
from rvmae_jax.tools.planning.step_time import StepTime

ROOT = pathlib.Path(__file__).resolve().parents[2]
RECORD = json.loads((ROOT / check.FIGURES).read_text())


def test_every_recipe_is_recorded():
  recipes = {
    path.name
    for path in (ROOT / check.CONFIGS).glob('*.py')
    if not path.name.startswith(('eval_', 'compare_'))
  }
  assert {spec.partition(':')[0] for spec in RECORD['recipes']} == recipes


@pytest.mark.slow
@pytest.mark.parametrize('spec', RECORD['recipes'])
def test_a_step_is_as_recorded(spec):
  """If a change is meant: `rvmae benchmark check --update`, and say why."""
  recorded = RECORD['recipes'][spec]
  same_version = RECORD['versions'] == check.versions()
  # Memory that another version plans is not compared.
  found = step_figures(spec, ROOT / check.CONFIGS, compiled=same_version)
  assert not differences(recorded, found, same_version)
  # The formulas by which utilisation is reckoned are those of the program.
  assert found['model_flops'] == pytest.approx(found['flops_once'], rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize(
  'case', RECORD['compiled'], ids=lambda c: c['topology']
)
def test_a_step_for_other_chips_is_as_recorded(case):
  version = compiler_version(case['topology'])
  if version != case['compiler']:
    pytest.skip(
      f'recorded with {case["compiler"]}, here is {version or "none"}'
    )
  found = compiled_figures(case, ROOT / check.CONFIGS)
  recorded = {name: case[name] for name in found}
  assert not differences(recorded, found, same_version=True)


def test_cycles_that_nobody_scheduled_are_not_compared(monkeypatch):
  """The estimate that stands in for them is two to three times as high."""
  case = {**RECORD['compiled'][0], 'recipe': 'rvm_quickstart.py', 'changes': ''}
  chips = types.SimpleNamespace(chip=types.SimpleNamespace(is_tpu=True))
  step = types.SimpleNamespace(time=StepTime(cycles=1e9))
  monkeypatch.setattr(check, 'describe_slice', lambda _: chips)
  monkeypatch.setattr(check, 'compile_step', lambda *_: step)
  with pytest.raises(RuntimeError, match='wrote no schedule'):
    compiled_figures(case, ROOT / check.CONFIGS)


def test_differences_name_the_figure_and_how_far_it_is():
  recorded = {'flops': 1000, 'temporary_bytes': 1000, 'loops': 0}
  found = {'flops': 1001, 'temporary_bytes': 1040, 'loops': 1}
  lines = differences(recorded, found, same_version=True)
  assert lines == [
    'flops: 1,001, recorded 1,000 (+0.1%)',
    'loops: 1, recorded 0 (+100.0%)',
  ]
  found['temporary_bytes'] = 2000
  more = differences(recorded, found, same_version=True)
  assert more[1] == 'temporary_bytes: 2,000, recorded 1,000 (+100.0%)'
  assert differences(recorded, found, same_version=False) == lines
