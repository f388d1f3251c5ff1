"""Schedules become seconds of parts of a step."""

import dataclasses

import pytest

from rvmae_jax.tools.planning.schedule import Loop
from rvmae_jax.tools.planning.step_time import PartTime, StepTime, step_time
from rvmae_jax.training.devices import Device

STEP = 'jit(train_step)'
# A cycle is a second; so is 1 byte, and a product of 16 rows on 2 x 2.
CHIP = Device(
  *('x', 'TPU', 128.0, 1e9, 1.0, 1.0, 1), clock_hz=1.0, matrix_side=2
)


def _operation(name, cycles, result='f32[8]{0:S(1)}', label='f'):
  config = f'{{"window_config":{{"estimated_cycles":"{cycles}"}}}}'
  return (
    f'  %{label} = {result} fusion(%p), metadata={{op_name="{STEP}/{name}"}}, '
    f'backend_config={config}'
  )


def _program(*operations):
  return '\n'.join(['ENTRY %main (p: f32[8]) -> f32[8] {', *operations, '}'])


@pytest.mark.parametrize(
  ('name', 'part', 'phase'),
  [
    (
      'jvp(RVM)/RVM._decode/decoder/blocks/block_00/dot_general',
      *('decoder', 'forward'),
    ),
    (
      'transpose(jvp(RVM))/RVM.encode_frames/RVM.encode_patches/encoder/add',
      *('encoder', 'backward'),
    ),
    (
      'jvp(RVM)/core.run/while/body/closed_call/core.<lambda>/core/div',
      *('core', 'forward'),
    ),
    (
      'while/body/transpose(jvp(RVM))/checkpoint/rematted_computation/'
      'decoder/add',
      *('decoder', 'recomputed'),
    ),
    ('jvp(RVM)/RVM._decode/reshape', 'rest', 'forward'),
    ('jvp()/reduce_sum', 'rest', 'forward'),
    ('reduce_sum', 'optimizer', ''),
  ],
)
def test_an_operation_belongs_to_a_module_and_a_phase(name, part, phase):
  time = step_time(_program(_operation(name, 300)), {'f': Loop(100)}, CHIP)
  assert time.parts == (PartTime(part, phase, 100, 300),)


def test_what_has_no_name_is_part_of_the_rest():
  program = _program('  %b = f32[8] broadcast(%z), x="estimated_cycles":"70"')
  [part] = step_time(program, {}, CHIP).parts
  assert (part.part, part.scheduled_s) == ('rest', 70)


@pytest.mark.parametrize(
  ('schedule', 'result', 'seconds'),
  [
    (Loop(100, 20), 'f32[8]{0:S(1)}', 100),
    (Loop(100, 120), 'f32[8]{0:S(1)}', 120),
    (Loop(100, 120), 'f32[50]{0}', 200),
  ],
)
def test_the_slowest_of_cycles_products_and_bytes_counts(
  schedule, result, seconds
):
  program = _program(_operation('jvp(RVM)/core/add', 1, result))
  assert step_time(program, {'f': schedule}, CHIP).scheduled_s == seconds


def test_operations_alike_have_one_schedule_and_the_rest_an_estimate():
  program = _program(
    _operation('jvp(RVM)/core/add', 60, label='f'),
    _operation('jvp(RVM)/decoder/add', 60, label='g'),
    _operation('jvp(RVM)/core/mul', 40, 'f32[9]{0:S(1)}', label='h'),
  )
  time = step_time(program, {'g': Loop(20)}, CHIP)
  assert time.parts == (
    PartTime('core', 'forward', 60, 100),
    PartTime('decoder', 'forward', 20, 60),
  )
  assert time.unscheduled == pytest.approx(40 / 160)


def test_loops_count_and_small_parts_are_told_together():
  program = '\n'.join(
    [
      '%more (s: (s32[])) -> pred[] {',
      '  %limit = s32[] constant(5)',
      '  ROOT %less = pred[] compare(%i, %limit), direction=LT',
      '}',
      '%body (s: (s32[])) -> (s32[]) {',
      _operation('jvp(RVM)/core/add', 1000),
      '}',
      _program(
        '  %w = (s32[]) while(%p), condition=%more, body=%body',
        _operation('jvp(RVM)/decoder/add', 2000, label='g'),
        _operation('jvp(RVM)/output/dot_general', 50, label='h'),
        '  %done = f32[8] copy-done(%c)',
      ),
    ]
  )
  time = step_time(program, {}, CHIP)
  assert [(p.part, p.scheduled_s) for p in time.parts] == [
    ('core', 5000),
    ('decoder', 2000),
    ('rest', 50),
  ]
  assert time.unscheduled == 1


def test_copies_meanwhile_count_where_the_memory_is_busy_all_the_time():
  copy = '  %c = (f32[1000]{0:S(1)}, f32[1000]{0}, u32[]{:S(2)}) copy-start(%p)'
  add = _operation('jvp(RVM)/core/add', 300)
  time = step_time(_program(copy, add), {'f': Loop(100)}, CHIP)
  assert sum(part.scheduled_s for part in time.parts) == 100
  assert time.scheduled_s == time.memory_s == time.moved_bytes == 4000


def test_of_other_devices_only_bytes_are_known():
  gpu = dataclasses.replace(CHIP, kind='H100', clock_hz=0.0)
  program = _program(
    '  %p = f32[8]{0} parameter(0)', '  %a = f32[8]{0} add(%p, %p)'
  )
  time = step_time(program, {}, gpu)
  assert dataclasses.replace(time, longest=()) == StepTime(
    moved_bytes=64, memory_s=64
  )
  assert time.scheduled_s == 0
  longest = time.longest[0]
  assert (longest.name, longest.limit, longest.scheduled_s) == (
    'a',
    'bytes',
    64,
  )


def test_operations_that_take_longest():
  copy = '  %c = (f32[999]{0:S(1)}, f32[999]{0}, u32[]{:S(2)}) copy-start(%p)'
  names = ('decoder/add', 'core/dot_general')
  program = _program(
    _operation(f'jvp(RVM)/{names[0]}', 60, label='f'),
    _operation(f'jvp(RVM)/{names[1]}', 50, 'f32[9]{0}', label='g'),
    copy,
  )
  time = step_time(program, {'g': Loop(70, 90)}, CHIP)
  assert [(o.name, o.limit, o.scheduled_s) for o in time.longest] == [
    ('g', 'products', 90),
    ('f', 'cycles', 60),
    # It goes on beside the others.
    ('c', 'cycles', 0),
  ]
  assert [o.scope for o in time.longest[:2]] == [
    f'{STEP}/jvp(RVM)/{names[1]}',
    f'{STEP}/jvp(RVM)/{names[0]}',
  ]
  assert time.longest[0].place == ('core', 'forward')
  assert [o.has_schedule for o in time.longest] == [True, False, False]
  assert sum(o.moved_bytes for o in time.longest) == time.moved_bytes
