"""What operations of a compiled program move, by hand."""

import pytest

from rvmae_jax.tools.planning.operations import Operations, array_bytes

PROGRAM = """\
%fused_slice (p0: bf16[12,64,128], p1: s32[]) -> bf16[64,128] {
  %p0 = bf16[12,64,128]{2,1,0:T(8,128)(2,1)} parameter(0)
  %p1 = s32[]{:T(128)S(6)} parameter(1)
  %one = bf16[1,64,128]{2,1,0:T(8,128)(2,1)} dynamic-slice(%p0, %p1, %p1)
  ROOT %flat = bf16[64,128]{1,0:T(8,128)(2,1)} bitcast(%one)
}

%fused_update (q0: f32[12,64,128], q1: f32[64,128], q2: s32[]) -> f32[] {
  %q0 = f32[12,64,128]{2,1,0:T(8,128)} parameter(0)
  %q1 = f32[64,128]{1,0:T(8,128)} parameter(1)
  %q2 = s32[]{:T(128)S(6)} parameter(2)
  %row = f32[1,64,128]{2,1,0:T(8,128)} bitcast(%q1)
  ROOT %in = f32[12,64,128]{2,1,0:T(8,128)} dynamic-update-slice(%q0, %row, %q2)
}

%max (a: f32[], b: f32[]) -> f32[] {
  ROOT %larger = f32[] maximum(%a, %b)
}

ENTRY %main (w: bf16[12,64,128], g: f32[12,64,128]) -> f32[12,64,128] {
  %w = bf16[12,64,128]{2,1,0:T(8,128)(2,1)} parameter(0)
  %g = f32[12,64,128]{2,1,0:T(8,128)} parameter(1)
  %i = s32[]{:T(128)S(6)} constant(3)
  %slice = bf16[64,128]{1,0:T(8,128)(2,1)S(1)} fusion(%w, %i), kind=kLoop, \
calls=%fused_slice, metadata={op_name="jit(f)/a"}
  %wide = f32[64,128]{1,0:T(8,128)} convert(%slice)
  %top = f32[64]{0:T(256)} reduce(%wide, %i), dimensions={1}, to_apply=%max
  %copy-start = (f32[64,128]{1,0:T(8,128)S(1)}, f32[64,128]{1,0:T(8,128)}, \
u32[]{:S(2)}) copy-start(%wide)
  %room = f32[12,64,128]{2,1,0:T(8,128)} custom-call(), \
custom_call_target="AllocateBuffer", backend_config={}
  %near = f32[64,128]{1,0:T(8,128)S(1)} copy-done(%copy-start)
  %again = bf16[64,128]{1,0:T(8,128)(2,1)S(1)} fusion(%w, %i), kind=kLoop, \
calls=%fused_slice, metadata={op_name="jit(f)/b"}
  ROOT %update = f32[12,64,128]{2,1,0:T(8,128)} fusion(%g, %near, %i), \
kind=kLoop, calls=%fused_update
}
"""


@pytest.fixture(name='operations', scope='module')
def _operations():
  return Operations(PROGRAM)


def _moved(operations):
  return {o.name: operations.moved_bytes(o) for o in operations.as_run}


@pytest.mark.parametrize(
  ('types', 'num_bytes'),
  [
    ('f32[10,20]', 800),
    # 8 x 384 rows of 4 bytes for 8 x 257.
    ('f32[8,257]{1,0:T(8,128)}', 8 * 384 * 4),
    # Heads of 32 take lanes for 128.
    ('bf16[2,3,257,32]{3,2,1,0:T(8,128)(2,1)}', 6 * 264 * 128 * 2),
    # Tokens are last in memory here.
    ('bf16[2,257,32]{1,2,0:T(8,128)(2,1)}', 2 * 32 * 384 * 2),
    ('f32[8,128]{1,0:T(8,128)S(1)}', 0),
    ('(f32[8]{0:T(1024)}, s32[]{:T(128)S(6)}, pred[4])', 4096 + 4),
  ],
)
def test_arrays_count_with_their_padding_in_slow_memory(types, num_bytes):
  assert array_bytes(types) == num_bytes


def test_only_slices_count_that_are_taken_or_written(operations):
  moved = _moved(operations)
  assert moved['slice'] == 64 * 128 * 2
  # The row comes from fast memory.
  assert moved['update'] == 64 * 128 * 4


def test_memory_that_is_only_taken_is_not_written(operations):
  assert _moved(operations)['room'] == 0


def test_what_moves_nothing_and_what_moves_meanwhile(operations):
  moved = _moved(operations)
  assert moved['w'] == moved['i'] == moved['near'] == 0
  assert moved['copy-start'] == 64 * 128 * 4
  [copy] = [o for o in operations.as_run if o.is_asynchronous]
  assert copy.name == 'copy-start'


def test_functions_within_an_operation_are_not_run_on_their_own(operations):
  assert 'larger' not in _moved(operations)
  assert 'one' not in _moved(operations)


def test_operations_alike_but_for_their_names(operations):
  by_name = {o.name: operations.fingerprint(o) for o in operations.as_run}
  assert by_name['slice'] == by_name['again']
  assert by_name['slice'] != by_name['update']


def test_scratch_of_a_librarys_function_is_not_moved():
  program = """\
ENTRY %main (a: bf16[8,8]) -> (bf16[8,8], s8[33554432]) {
  %a = bf16[8,8]{1,0} parameter(0)
  ROOT %call = (bf16[8,8]{1,0}, s8[33554432]{0}) custom-call(%a, %a), \
custom_call_target="__cublas$lt$matmul"
}
"""
  assert _moved(Operations(program))['call'] == 2 * 128
