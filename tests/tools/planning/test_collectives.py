"""Exchanges are found in XLA's text, with loops and asynchronous ones."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from rvmae_jax.tools.planning.collectives import Collective, find_collectives
from rvmae_jax.training.sharding import make_mesh

PROGRAM = """\
HloModule jit_step, entry_computation_layout={()->f32[]}

%add (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
}

%body (state: (s32[], bf16[8,128])) -> (s32[], bf16[8,128]) {
  %gather = bf16[8,128]{1,0:T(8,128)(2,1)} all-gather(%x), channel_id=1, \
replica_groups=[2,4]<=[8], dimensions={0}
}

%wrapped (p: f32[64]) -> f32[16] {
  ROOT %scatter = f32[16]{0} reduce-scatter(%p), channel_id=2, \
replica_groups={{0,1,2,3},{4,5,6,7}}, dimensions={0}, to_apply=%add
}

ENTRY %main (p: f32[4]) -> f32[] {
  %loop = (s32[], bf16[8,128]) while(%init), condition=%cond, body=%body, \
backend_config={"known_trip_count":{"n":"5"},"other":1}
  %start = f32[16]{0} fusion(%p), kind=kCustom, calls=%wrapped
  %reduce = (f32[10]{0}, f32[]) all-reduce(%p, %q), channel_id=3, \
replica_groups=[1,8]<=[8], to_apply=%add
  %pair = (f32[4]{0}, f32[4]{0}, u32[], u32[]) collective-permute-start(%p), \
source_target_pairs={{0,1},{1,0}}
  %alone = f32[9]{0} all-reduce(%p), replica_groups={{0},{1}}, to_apply=%add
  %two = (bf16[2,128]{1,0}, bf16[8,128]{1,0}) all-gather-start(%p), \
replica_groups=[2,4]<=[8], dimensions={0}
  %done = bf16[8,128]{1,0} all-gather-done(%two)
}
"""


def test_every_kind_is_counted_as_often_as_it_runs():
  assert find_collectives(PROGRAM) == [
    # 5 in the loop and 1 outside, each of 8 x 128 bf16.
    Collective('all-gather', 4, 6, 6 * 2048),
    Collective('reduce-scatter', 4, 1, 4 * 64),
    Collective('all-reduce', 8, 1, 44),
    Collective('collective-permute', 2, 1, 16),
  ]


# As GPUs write exchanges: operands first, in a tuple of their own or not.
ON_GPUS = """\
ENTRY %main (p: f32[4]) -> f32[] {
  %all-gather-start = (f32[10,8]{1,0}, f32[40,8]{1,0}) \
all-gather-start(%p), channel_id=1, \
replica_groups=mesh['axis_0'=4,'axis_1'=1] {'axis_0'}, dimensions={0}
  %all-to-all-start = ((f32[6,4,10]{2,0,1}), f32[6,4,10]{2,0,1}) \
all-to-all-start(%b), channel_id=3, \
replica_groups=mesh['axis_0'=1,'axis_1'=4] {'axis_1'}, dimensions={1}
  %reduce-scatter-start = ((f32[60,8]{1,0}), f32[15,8]{1,0}) \
reduce-scatter-start(%dot), channel_id=4, \
replica_groups=mesh['axis_0'=4,'axis_1'=1] {'axis_0'}, dimensions={0}
  %all-reduce-start = (f32[10]{0}, f32[]) all-reduce-start(%p, %q), \
channel_id=5, replica_groups=[1,4]<=[4], to_apply=%add
}
"""


def test_operands_of_an_asynchronous_exchange_are_not_counted():
  assert find_collectives(ON_GPUS) == [
    Collective('reduce-scatter', 4, 1, 4 * 60 * 8),
    Collective('all-gather', 4, 1, 4 * 40 * 8),
    Collective('all-to-all', 4, 1, 4 * 6 * 4 * 10),
    Collective('all-reduce', 4, 1, 44),
  ]


# As TPUs write an exchange that goes on while something else is computed.
ACCOMPANIED = """\
%begin (p: bf16[2,128]) -> bf16[8,128] {
  %g.0 = bf16[8,128]{1,0} all-gather(%p), channel_id=7, \
replica_groups=[2,4]<=[8], dimensions={0}
  ROOT %c = bf16[8,128] custom-call(%g.0), \
custom_call_target="AsyncCollectiveStart"
}

%beside (p: bf16[2,128]) -> bf16[8,128] {
  %g.1 = bf16[8,128]{1,0} all-gather(%p), channel_id=7, \
replica_groups=[2,4]<=[8], dimensions={0}
}

%end (p: bf16[2,128]) -> bf16[8,128] {
  %g.2 = bf16[8,128]{1,0} all-gather(%p), channel_id=7, \
replica_groups=[2,4]<=[8], dimensions={0}
  ROOT %c = bf16[8,128] custom-call(%g.2), \
custom_call_target="AsyncCollectiveDone"
}

%groups (s: (s32[], bf16[8,128])) -> (s32[], bf16[8,128]) {
  %f.1 = bf16[8,128] fusion(%s), kind=kOutput, calls=%beside
}

%layers (s: (s32[], bf16[8,128])) -> (s32[], bf16[8,128]) {
  %f.0 = bf16[8,128] fusion(%s), kind=kCustom, calls=%begin
  %inner = (s32[], bf16[8,128]) while(%s), condition=%c1, body=%groups, \
backend_config={"known_trip_count":{"n":"16"}}
  %f.2 = bf16[8,128] fusion(%s), kind=kCustom, calls=%end
}

ENTRY %main (p: f32[4]) -> f32[] {
  %outer = (s32[], bf16[8,128]) while(%p), condition=%c2, body=%layers, \
backend_config={"known_trip_count":{"n":"3"}}
}
"""


def test_an_exchange_beside_other_work_is_one():
  """Not 3 + 48 + 3, as often as its lines are run."""
  assert find_collectives(ACCOMPANIED) == [
    Collective('all-gather', 4, 3, 3 * 2048)
  ]


def test_a_slice_of_a_sum_is_sent_once():
  program = """
%all-reduce-scatter.1 (i: f32[64]) -> f32[16] {
  %r = f32[64]{0} all-reduce(%i), channel_id=1, replica_groups={{0,1,2,3}}, \
to_apply=%add
  ROOT %s = f32[16]{0} dynamic-slice(%r, %n), dynamic_slice_sizes={16}
}

ENTRY %main (p: f32[64]) -> f32[16] {
  ROOT %f = f32[16]{0} fusion(%p), kind=kCustom, calls=%all-reduce-scatter.1
}
"""
  [found] = find_collectives(program)
  assert found == Collective('reduce-scatter', 4, 1, 256)
  assert found.sent_bytes == 192


# Eight devices: the first four are in one machine, the others in another.
MACHINES = [0, 0, 0, 0, 1, 1, 1, 1]


@pytest.mark.parametrize(
  ('groups', 'size', 'num_machines'),
  [
    ("mesh['data'=2,'fsdp'=4] {'fsdp'}", 4, 1),
    ("mesh['data'=2,'fsdp'=4] {'data'}", 2, 2),
    ("mesh['data'=2,'fsdp'=4] {'data','fsdp'}", 8, 2),
    ("mesh['data'=8] {'data':(1)2}", 2, 2),
    ("mesh['data'=8] {'data':(4)2}", 2, 1),
    ("mesh['data'=8] {'data':(2)4}", 4, 1),
    ("mesh['a'=4,'b'=2], device_ids=([2,4]T(1,0)) {'a'}", 4, 1),
    ("mesh['a'=4,'b'=1,'c'=2], device_ids=([2,4]T(1,0)) {'c'}", 2, 2),
    ("mesh['a'=4,'b'=2], device_ids=(0,1,2,3,4,5,6,7) {'b'}", 2, 1),
    ("mesh['a'=4,'b'=2], device_ids=(0,4,1,5,2,6,3,7) {'b'}", 2, 2),
    ('[2,4]<=[8]', 4, 1),
    ('[4,2]<=[2,4]T(1,0)', 2, 2),
    ('[1,8]<=[8]', 8, 2),
    ('{{0,4},{1,5},{2,6},{3,7}}', 2, 2),
    ('{{0,1},{2,3},{4,5},{6,7}}', 2, 1),
  ],
)
def test_groups_and_the_machines_that_they_are_on(groups, size, num_machines):
  program = f"""
ENTRY %main (p: f32[4]) -> f32[4] {{
  %r = f32[4] all-reduce(%p), channel_id=1, replica_groups={groups}, to_apply=%a
}}
"""
  assert find_collectives(program, MACHINES) == [
    Collective('all-reduce', size, 1, 16, num_machines)
  ]


def test_pairs_that_leave_their_machine():
  program = """
ENTRY %main (p: f32[4]) -> f32[4] {
  %r = f32[4] collective-permute(%p), channel_id=1, \
source_target_pairs={{0,1},{3,4}}
}
"""
  [found] = find_collectives(program, MACHINES)
  assert found == Collective('collective-permute', 2, 1, 16, 2)
  assert (found.sent_bytes, found.sent_between_bytes) == (0, 16)


def test_bytes_sent_on_a_ring():
  assert Collective('all-reduce', 4, 1, 1000).sent_bytes == 1500
  assert Collective('all-gather', 4, 1, 1000).sent_bytes == 750
  assert Collective('collective-permute', 2, 1, 1000).sent_bytes == 1000
  assert Collective('all-reduce', 4, 1, 1000).sent_between_bytes == 0


@pytest.mark.parametrize(
  ('kind', 'within', 'between'),
  [
    # Four devices in each of two machines. A sum of 800: three quarters pass
    # within, twice; then each device exchanges its own 200 with one other.
    ('all-reduce', 2 * 600, 200),
    ('all-gather', 600, 100),
    ('reduce-scatter', 600, 100),
    # Of the 800 that a device has for all eight, 300 are for its neighbours.
    ('all-to-all', 300, 400),
  ],
)
def test_bytes_sent_between_machines(kind, within, between):
  found = Collective(kind, 8, 1, 800, num_machines=2)
  assert found.sent_bytes == pytest.approx(within)
  assert found.sent_between_bytes == pytest.approx(between)


def test_devices_each_in_a_machine_of_its_own():
  found = Collective('all-reduce', 4, 1, 1000, num_machines=4)
  assert found.sent_bytes == 0
  assert found.sent_between_bytes == 1500


def test_a_real_program_of_eight_devices():
  """The gradient of replicated weights is summed over all devices."""
  mesh = make_mesh(8, 1)
  everywhere = NamedSharding(mesh, PartitionSpec())
  rows = NamedSharding(mesh, PartitionSpec('data'))

  def loss(weights, batch):
    return jnp.mean((batch @ weights) ** 2)

  compiled = (
    jax.jit(
      jax.grad(loss),
      in_shardings=(everywhere, rows),
      out_shardings=everywhere,
    )
    .lower(jnp.zeros((64, 16)), jnp.zeros((32, 64)))
    .compile()
  )
  [found] = find_collectives(compiled.as_text())
  assert found == Collective('all-reduce', 8, 1, 64 * 16 * 4)
