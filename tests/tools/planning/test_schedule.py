"""Bundles are counted as often as they are run."""

import pytest

from rvmae_jax.tools.planning.schedule import Loop, parse, take_schedules

# As libtpu writes them, shortened.
TILES = """\
LB: loop body
= control target key end

     0   :  { %3 = vsyncpa [#allocation4], 0  ;;  %s0 = operand }
   0x1 LB: > { %s17 = sadd.s32 1, %s16 /* iteration index, stage = 1 */ }
   0x2   : > { %v1 = vmatmul.mubr.bf16.gmra.mxu0 %v0  ;;  \
%v2 = vmatmul.mubr.bf16.gmra.mxu1 %v0 }
   0x3   :  {}
   0x4 LB: >> { %v3 = vmatmul.mubr.f32.gmra.mxu0 %v0
second_minor_factor: 1 */ }
   0x5   : >> { %p = scmp.ge.s32.totalorder %s3, 5 /* loop exit test */ }
   0x6 PF: > { %p7 = scmp.ge.s32.totalorder %s10, 18 /* loop exit test */ }
   0x7   :  { %9 = sbr.rel (!%p7) target = $region3 }
"""


@pytest.fixture(name='schedule', scope='module')
def _schedule():
  return parse(TILES.splitlines())


def test_loops_are_found_with_what_they_hold(schedule):
  inner = Loop(2, 0.5, limit=5)
  outer = Loop(4, 2.0, (inner,), limit=18, is_over_tiles=True)
  assert schedule == Loop(2, 0.0, (outer,))


def test_a_loop_over_tiles_turns_once_for_each(schedule):
  # 2 + 7 * (4 + 5 * 2), and 7 * (2 + 5 * 0.5).
  assert schedule.run(num_tiles=7) == (100, 31.5)


def test_without_a_number_of_tiles_its_own_limit_counts(schedule):
  """Less the turns in which nothing but copies goes on."""
  assert schedule.run() == (2 + 16 * 14, 16 * 4.5)


def test_cores_share_tiles_where_the_loop_asks_which_core_it_is():
  text = TILES.replace(
    '%s17 =', '%s20 = sld [smem:[#a]] /* core id */ ;; %s17 ='
  )
  split = parse(text.splitlines())
  assert split.run(7, num_cores=2)[0] == 2 + 4 * 14
  assert parse(TILES.splitlines()).run(7, num_cores=2)[0] == 2 + 7 * 14


def test_files_are_read_by_operation_and_taken_away(tmp_path):
  (tmp_path / '17-fusion.3-01-final_bundles.txt').write_text(TILES)
  (tmp_path / '17-online-softmax-01-final_bundles.txt').write_text('')
  for name in ('fusion.3-00-schedule-analysis_final_bundles', 'TLP-hlo'):
    (tmp_path / f'17-{name}.txt').write_text('other')
  found = take_schedules(tmp_path)
  assert sorted(found) == ['fusion.3', 'online-softmax']
  assert found['online-softmax'] == Loop(0)
  assert not any(tmp_path.iterdir())
