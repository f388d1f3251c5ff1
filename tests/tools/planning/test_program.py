"""Lines of a program are counted as often as they are run."""

import jax
import jax.numpy as jnp
import pytest

from rvmae_jax.tools.planning.program import lines_as_run

# For TPUs the length of a loop stands in its condition alone.
FOR_TPU = """\
HloModule jit_step

%condition (state: (s32[], f32[8])) -> pred[] {
  %limit = s32[]{:T(128)} constant(4)
  ROOT %more = pred[]{:T(512)} compare(%i, %limit), direction=LT
}

%inner (state: (s32[], f32[8])) -> (s32[], f32[8]) {
  %deep = f32[8] add(%a, %b)
}

%outer (state: (s32[], f32[8])) -> (s32[], f32[8]) {
  %again = (s32[], f32[8]) while(%b), condition=%condition, body=%inner
}

%unused (p: f32[]) -> f32[] {
  %never = f32[] add(%p, %p)
}

ENTRY %main (p: f32[8]) -> f32[8] {
  %loop = (s32[], f32[8]) while(%a), condition=%condition, body=%outer
  %whole = (s32[], f32[8]) while(%a), condition=%strange, body=%outer
}
"""


def _times(program, word):
  return sum(line.times for line in lines_as_run(program) if word in line.text)


def test_loops_in_loops_multiply():
  # 4 x 4, and once more the inner 4 for the loop of unknown length.
  assert _times(FOR_TPU, '%deep =') == 16 + 4
  assert _times(FOR_TPU, '%again =') == 4 + 1
  assert _times(FOR_TPU, '%loop =') == 1
  assert _times(FOR_TPU, '%never =') == 0


def test_a_scan_of_this_machine_turns_as_often_as_it_is_long():
  def step(total, row):
    return jnp.tanh(total @ row), None

  program = jax.jit(lambda rows: jax.lax.scan(step, rows[0], rows)[0])
  text = program.lower(jnp.ones((7, 32, 32))).compile().as_text()
  assert _times(text, ' tanh(') == 7


def test_text_that_is_no_program_is_refused():
  with pytest.raises(ValueError, match='no ENTRY'):
    lines_as_run('hello')
