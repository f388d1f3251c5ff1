"""Cycles that the compiler writes down become seconds of parts."""

import pytest

from rvmae_jax.tools.planning.expectation import expected_seconds

STEP = 'jit(train_step)'


def _operation(cycles, name):
  config = f'{{"window_config":{{"estimated_cycles":"{cycles}"}}}}'
  return (
    f'  %f = f32[8] fusion(%p), metadata={{op_name="{STEP}/{name}"}}, '
    f'backend_config={config}'
  )


def _program(*operations):
  return '\n'.join(['ENTRY %main (p: f32[8]) -> f32[8] {', *operations, '}'])


@pytest.mark.parametrize(
  ('name', 'part'),
  [
    ('jvp(RVM)/RVM._decode/decoder/blocks/block_00/dot_general', 'decoder'),
    (
      'transpose(jvp(RVM))/RVM.encode_frames/RVM.encode_patches/encoder/add',
      'encoder',
    ),
    ('jvp(RVM)/core.run/while/body/closed_call/core.<lambda>/core/div', 'core'),
    (
      'while/body/transpose(jvp(RVM))/checkpoint/rematted_computation/'
      'decoder/add',
      'decoder',
    ),
    ('jvp(RVM)/RVM._decode/reshape', 'rest'),
    ('jvp()/reduce_sum', 'rest'),
    ('reduce_sum', 'optimizer'),
  ],
)
def test_an_operation_belongs_to_a_module(name, part):
  assert expected_seconds(_program(_operation(300, name)), 1e3) == {part: 0.3}


def test_what_has_no_name_is_part_of_the_rest():
  program = _program('  %b = f32[8] broadcast(%z), x="estimated_cycles":"7"')
  assert expected_seconds(program, 1) == {'rest': 7.0}


def test_loops_count_and_small_parts_are_told_together():
  program = '\n'.join(
    [
      '%more (s: (s32[])) -> pred[] {',
      '  %limit = s32[] constant(5)',
      '  ROOT %less = pred[] compare(%i, %limit), direction=LT',
      '}',
      '%body (s: (s32[])) -> (s32[]) {',
      _operation(1000, 'jvp(RVM)/core/add'),
      '}',
      _program(
        '  %w = (s32[]) while(%p), condition=%more, body=%body',
        _operation(2000, 'jvp(RVM)/decoder/add'),
        _operation(50, 'jvp(RVM)/output/dot_general'),
        '  %done = f32[8] copy-done(%c)',
      ),
    ]
  )
  assert expected_seconds(program, 1e3) == {
    'core': 5.0,
    'decoder': 2.0,
    'rest': 0.05,
  }


def test_programs_for_other_devices_say_nothing():
  assert expected_seconds(_program('  %a = f32[8] add(%p, %p)'), 1e9) == {}
