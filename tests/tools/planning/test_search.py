"""What a plan tries, in which order, and what it proposes.

A stand-in for the TPU compiler plans memory by a rule; the compiler itself is
in test_ahead_of_time.py.
"""

import dataclasses
import json
import pathlib

import jax
import pytest

from rvmae_jax import config_utils
from rvmae_jax.tools.plan import to_json
from rvmae_jax.tools.planning import search
from rvmae_jax.tools.planning.ahead_of_time import (
  CompiledStep,
  DoesNotFit,
  Slice,
)
from rvmae_jax.tools.planning.collectives import Collective
from rvmae_jax.tools.planning.step_time import OperationTime, PartTime, StepTime
from rvmae_jax.tools.planning.table import (
  format_longest,
  format_summary,
  format_variants,
)
from rvmae_jax.training import devices

_MIB = 2**20
RECIPE = pathlib.Path(__file__).parents[3] / 'configs/rvm_quickstart.py'


@pytest.fixture(name='config', scope='module')
def _config():
  config = config_utils.load_config(str(RECIPE))
  with config.unlocked():
    config.batch_size = 64  # 8 on each of 8 devices
  return config


def _slice(hbm_bytes):
  chip = dataclasses.replace(devices.by_name('v6e'), hbm_bytes=hbm_bytes)
  return Slice('v6e:2x4', 8, jax.devices(), chip)


def _compiler(chips, bytes_a_clip, log):
  """Plans so many bytes for each clip at once, a third of it with remat."""

  def compile_step(config, _):
    rows = config.batch_size // 8 // config.accumulation_steps
    factor = 1 if config.model.remat == 'none' else 1 / 3
    temporary = factor * rows * bytes_a_clip
    log.append((config.accumulation_steps, config.model.remat))
    # State of the quick start is about 15 MiB.
    if 15.5 * _MIB / config.mesh.fsdp + temporary > chips.chip.hbm_bytes:
      raise DoesNotFit('too much', 15 * _MIB + temporary)
    gradients = Collective('all-reduce', 8, 1, 5 * _MIB)
    state = 15 * _MIB / config.mesh.fsdp
    return CompiledStep(state, temporary, [gradients], 1.0)

  return compile_step


def _plan(config, hbm_mib, mib_a_clip):
  chips, log = _slice(hbm_mib * _MIB), []
  compile_step = _compiler(chips, mib_a_clip * _MIB, log)
  plan = search.make_plan(config, chips, compile_step, tell=lambda _: None)
  return plan, log


def test_what_fits_is_left_as_it_is(config):
  plan, log = _plan(config, hbm_mib=100, mib_a_clip=5)
  assert log == [(1, 'none')]
  assert plan.chosen.changes == {}
  assert plan.chosen.rows == 8
  # (97 - 15) / 5 MiB
  assert plan.most_rows == 16
  text = format_summary(plan, num_steps=1000, mfu=0.4)
  assert 'nothing: it fits as it is' in text
  assert 'all-reduce         1 x among 8, 0.005 GiB a step' in text


def test_variants_are_compared_by_their_schedules(config):
  chips = _slice(100 * _MIB)
  ms = {'none': 8, 'full': 16}

  def compile_step(config, _):
    if config.batch_size > 64:
      raise DoesNotFit('too much', 300 * _MIB)
    seconds = 1e-3 * ms[config.model.remat]
    part = PartTime('decoder', 'forward', seconds, 2 * seconds)
    time = StepTime((part,), unscheduled=0.0)
    return CompiledStep(15 * _MIB, 30 * _MIB, [], 1.0, time)

  changes = ['model.remat=full', 'model.remat=full,batch_size=128']
  variants = search.compare_variants(
    config, changes, chips, compile_step, tell=lambda _: None
  )
  assert list(variants) == ['as given', *changes]
  assert [attempt.rows for attempt in variants.values()] == [8, 8, 16]
  lines = format_variants(variants, chips.hbm_bytes).splitlines()
  assert '8.0    1.00' in lines[1]
  assert '16.0    0.50' in lines[2]
  assert 'does not fit' in lines[3]


def test_variants_on_gpus_are_compared_by_what_they_move(config):
  gigabytes = {'none': 20.0, 'attention': 10.0}

  def compile_step(config, _):
    moved = gigabytes[config.model.remat]
    time = StepTime(moved_bytes=1e9 * moved, memory_s=1e-3 * moved)
    return CompiledStep(15 * _MIB, 30 * _MIB, [], 1.0, time)

  chips = _slice(100 * _MIB)
  variants = search.compare_variants(
    config,
    ['model.remat=attention'],
    chips,
    compile_step,
    tell=lambda _: None,
  )
  lines = format_variants(variants, chips.hbm_bytes).splitlines()
  assert lines[0].endswith('GB moved  at least ms   ratio')
  assert lines[1].endswith('    20.0         20.0    1.00')
  assert lines[2].endswith('    10.0         10.0    2.00')


def test_the_schedule_is_told_beside_the_bounds_by_part(config):
  chips = _slice(100 * _MIB)
  parts = (
    PartTime('decoder', 'backward', 0.5, 1.0),
    PartTime('decoder', 'forward', 0.25, 1.0),
    PartTime('optimizer', '', 0.25, 0.1),
  )
  time = StepTime(parts, unscheduled=0.3)
  plan = search.make_plan(
    config,
    chips,
    lambda *_: CompiledStep(15 * _MIB, 30 * _MIB, [], 1.0, time),
    tell=lambda _: None,
  )
  text = format_summary(plan, num_steps=86_400, mfu=0.4)
  assert 'by schedule        1000.0 ms (0% MFU' in text
  assert "the compiler's estimate: 2100.0 ms" in text
  assert 'used for 30% of it, which' in text
  assert 'decoder          forward 250.0, backward 500.0 (2000.0)' in text
  assert 'optimizer        250.0 (100.0)' in text
  assert ', 1.0 by schedule' in text


@pytest.mark.parametrize('is_tpu', [True, False])
def test_the_longest_operations_are_listed(config, is_tpu):
  scope = 'jit(step)/transpose(jvp(RVM))/decoder/dot_general'
  operations = [
    OperationTime(name, scope, 8, 0.0, 0.0, 10, 1e-3 * ms, 1.0, False, True)
    for name, ms in (('fusion.1', 60), ('fusion.2', 40))
  ]
  part = PartTime('decoder', 'backward', 0.2, 1.0)
  time = StepTime((part,) if is_tpu else (), 1.0, 20, 0.1, 0.0, operations)
  plan = search.make_plan(
    config,
    _slice(100 * _MIB),
    lambda *_: CompiledStep(15 * _MIB, 30 * _MIB, [], 1.0, time),
    tell=lambda _: None,
  )
  share = '30.0%' if is_tpu else '60.0%'
  head, line = format_longest(plan, 1).splitlines()
  assert line == (
    f' 60.000  {share}     8  bytes     decoder backward, fusion.1, {scope}'
  )
  assert head.index('bound by') == line.index('bytes')
  assert len(format_longest(plan, 5).splitlines()) == 3


def test_microbatches_come_first_and_hopeless_ones_are_not_compiled(config):
  plan, log = _plan(config, hbm_mib=100, mib_a_clip=30)
  assert plan.chosen.changes == {'accumulation_steps': 4}
  assert plan.chosen.rows == 2
  # 4 clips at once would take 135 MiB, which the first attempt tells.
  assert log == [(1, 'none'), (4, 'none')]


def test_then_remat(config):
  plan, _ = _plan(config, hbm_mib=100, mib_a_clip=120)
  assert plan.chosen.changes == {
    'model.remat': 'attention',
    'accumulation_steps': 4,
  }


def test_a_batch_that_must_stay_whole_is_not_cut():
  """Else the second attempt, a contradiction, ended the search."""
  recipe = RECIPE.with_name('rvmae.py')
  config = config_utils.load_config(f'{recipe}:variant=tiny,runlocal,views')
  with config.unlocked():
    config.batch_size = 64
  plan, log = _plan(config, hbm_mib=100, mib_a_clip=20)
  assert log == [(1, 'none'), (1, 'attention')]
  assert plan.chosen.changes == {'model.remat': 'attention'}


@pytest.mark.parametrize(
  ('given', 'tried'),
  [
    (('none', 'full'), [('attention', None), ('full', None)]),
    (('dots', 'none'), [('attention', None), ('full', 'full')]),
    (('attention', 'attention'), [('full', 'full')]),
    (('full', 'full'), []),
  ],
)
def test_what_is_recomputed_grows_from_what_is_given(config, given, tried):
  config = config.copy_and_resolve_references()
  config.model.remat, config.model.core_remat = given
  ways = list(search._ways(config, 1))
  assert ways[0] == {}
  assert [
    (way['model.remat'], way.get('model.core_remat')) for way in ways[1:]
  ] == tried


def test_state_is_spread_evenly(config):
  fsdp = [way.get('mesh.fsdp', 1) for way in search._ways(config, 24)]
  assert fsdp == [1, 1, 1, 4, 24]  # Not 16.


def test_two_attempts_tell_that_fewer_clips_will_not_help(config):
  """Seen with RVM-H: 18.7 GiB with 8 clips at once, and 18.2 with 4."""
  chips, log = _slice(16 * _MIB), []

  def compile_step(config, _):
    log.append((config.mesh.fsdp, config.accumulation_steps))
    rows = config.batch_size // 8 // config.accumulation_steps
    raise DoesNotFit('too much', (17.7 + 0.125 * rows) * _MIB)

  remat = config_utils.from_json(config_utils.to_json(config))
  with remat.unlocked():
    remat.model.remat = 'full'
  search.make_plan(remat, chips, compile_step, tell=lambda _: None)
  assert log[:3] == [(1, 1), (1, 2), (4, 1)]


def test_an_attempt_of_unknown_size_tells_nothing(config):
  """The compiler does not always say how much it was."""
  chips, log = _slice(16 * _MIB), []

  def compile_step(config, _):
    log.append(config.accumulation_steps)
    rows = config.batch_size // 8 // config.accumulation_steps
    known = {8: 0, 4: 17}
    if rows in known:
      raise DoesNotFit('too much', known[rows] * _MIB)
    return CompiledStep(_MIB, _MIB, [], 1.0)

  plan = search.make_plan(config, chips, compile_step, tell=lambda _: None)
  assert log == [1, 2, 4]
  assert plan.chosen.changes == {'accumulation_steps': 4}


def test_state_that_does_not_fit_is_sharded(config):
  plan, log = _plan(config, hbm_mib=14, mib_a_clip=0.1)
  assert plan.attempts[0].reason.startswith('parameters and optimizer')
  assert plan.chosen.changes == {'model.remat': 'full', 'mesh.fsdp': 4}
  assert log == [(1, 'full')]


def test_the_compiler_looks_at_temporaries_alone(config):
  """Seen with RVM-S: 15.74 GiB of them passed on a chip of 16, 0.77 in use."""
  chips = _slice(100 * _MIB)

  def compile_step(config, _):
    temporary = 95 * _MIB / config.accumulation_steps
    return CompiledStep(15 * _MIB, temporary, [], 1.0)

  plan = search.make_plan(config, chips, compile_step, tell=lambda _: None)
  first, second = plan.attempts
  assert not first.fits and first.reason == 'a program may take 0.1 GiB'
  assert second.fits and second.changes == {'accumulation_steps': 2}


def test_nothing_fits_is_said_with_the_reason(config):
  plan, _ = _plan(config, hbm_mib=100, mib_a_clip=3000)
  assert plan.chosen is None
  text = format_summary(plan, num_steps=1000, mfu=0.4)
  # 3,000 MiB a clip, a third of it with remat, one clip at once.
  assert 'nothing fits. The smallest was --config.model.remat=' in text
  assert '1 clips at once, 0.99 of 0 GiB, does not fit. Take a larger' in text
  json.dumps(to_json(plan, 1000, 0.4))


def test_state_is_counted_as_it_is_sharded(config):
  from rvmae_jax import parts

  shapes = parts.build_parts(config).shapes
  whole = search.state_bytes(config, shapes, _slice(1))
  num_params = sum(leaf.size for leaf in jax.tree.leaves(shapes.params))
  # Parameters and two moments, and a few counts.
  assert whole == pytest.approx(12 * num_params, rel=1e-4)
  sharded = config_utils.from_json(config_utils.to_json(config))
  with sharded.unlocked():
    sharded.mesh = {'data': 1, 'fsdp': 8}
  eighth = search.state_bytes(sharded, shapes, _slice(1))
  assert whole / 8 < eighth < whole / 6


def test_a_batch_that_cannot_be_spread_is_refused(config):
  uneven = config_utils.from_json(config_utils.to_json(config))
  with uneven.unlocked():
    uneven.batch_size = 12
  with pytest.raises(ValueError, match='12'):
    _plan(uneven, hbm_mib=100, mib_a_clip=1)
