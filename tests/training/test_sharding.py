"""Mesh shapes, sharding rule and global batches on eight devices."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from rvmae_jax import config_utils
from rvmae_jax.parts import build_parts
from rvmae_jax.target_device import target_device
from rvmae_jax.tools.planning.collectives import find_collectives
from rvmae_jax.training import sharding

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize(
  'config, shape',
  [
    ({}, (8, 1)),
    ({'data': -1, 'fsdp': 2}, (4, 2)),
    ({'data': 2, 'fsdp': -1}, (2, 4)),
    ({'data': 1, 'fsdp': 8}, (1, 8)),
  ],
)
def test_mesh_shape(config, shape):
  mesh = sharding.make_mesh(**config)
  assert tuple(mesh.shape.values()) == shape
  assert mesh.axis_names == ('data', 'fsdp')
  assert set(mesh.axis_types) == {jax.sharding.AxisType.Auto}


def test_mesh_that_does_not_cover_the_devices_is_refused():
  with pytest.raises(ValueError, match=r'data=-1 x fsdp=3 .* 8 devices'):
    sharding.make_mesh(data=-1, fsdp=3)


class _Chip:
  """Chip `id` of 8, four to a slice; what the mesh asks of a device."""

  platform, device_kind, process_index, core_on_chip = 'tpu', 'stand-in', 0, 0

  def __init__(self, id):
    self.id, self.slice_index = id, id // 4
    self.coords = (id % 2, id // 2 % 2, 0)


class _Gpu:
  """GPU `id` of 8, four to a machine, which has a process and an index."""

  def __init__(self, id, platform='gpu'):
    self.id, self.platform, self.device_kind = id, platform, 'stand-in'
    self.process_index = self.slice_index = id // 4


@pytest.mark.parametrize('platform', ['gpu', 'cpu'])
@pytest.mark.parametrize(
  ('fsdp', 'copies'),
  [
    # Each within a machine.
    (2, [[0, 1], [2, 3], [4, 5], [6, 7]]),
    (4, [[0, 1, 2, 3], [4, 5, 6, 7]]),
    # One over both.
    (8, [[0, 1, 2, 3, 4, 5, 6, 7]]),
  ],
)
def test_a_copy_of_the_model_may_span_gpu_machines(platform, fsdp, copies):
  # In an order that a user might give.
  gpus = [_Gpu(i, platform) for i in (0, 4, 1, 5, 2, 6, 3, 7)]
  mesh = sharding.make_mesh(fsdp=fsdp, devices=gpus)
  assert [[gpu.id for gpu in row] for row in mesh.devices] == copies


def test_no_copy_of_the_model_spans_two_slices():
  chips = [_Chip(i) for i in range(8)]
  # Along `data` first the copies of a slice, then those of the next.
  for fsdp, copies in ((4, [[0], [1]]), (2, [[0], [0], [1], [1]])):
    mesh = sharding.make_mesh(fsdp=fsdp, devices=chips)
    slices = [[chip.slice_index for chip in row] for row in mesh.devices]
    assert slices == [copy * fsdp for copy in copies]
    assert {chip.id for chip in mesh.devices.flat} == set(range(8))
    assert mesh.axis_types == sharding.make_mesh().axis_types
  with pytest.raises(ValueError, match='fsdp=8 may be 4 at most'):
    sharding.make_mesh(fsdp=8, devices=chips)


def test_a_copy_of_the_model_may_take_half_a_row_of_a_torus():
  chips = [_Chip(i) for i in range(4)]
  for i, chip in enumerate(chips):
    chip.coords = (i, 0, 0)
  mesh = sharding.make_mesh(fsdp=2, devices=chips)
  assert {chip.id for chip in mesh.devices.flat} == set(range(4))


def test_largest_divisible_dimension_is_sharded():
  mesh = sharding.make_mesh(data=2, fsdp=4)
  shapes = {
    'largest': jax.ShapeDtypeStruct((64, 128), jnp.float32),
    'largest_not_divisible': jax.ShapeDtypeStruct((64, 129), jnp.float32),
    'none_divisible': jax.ShapeDtypeStruct((65, 129), jnp.float32),
    'small': jax.ShapeDtypeStruct((8, 8), jnp.float32),
    'scalar': jax.ShapeDtypeStruct((), jnp.int32),
  }
  specs = jax.tree.map(lambda s: s.spec, sharding.state_shardings(shapes, mesh))
  assert specs == {
    'largest': P(None, 'fsdp'),
    'largest_not_divisible': P('fsdp', None),
    'none_divisible': P(None, None),
    'small': P(None, None),
    'scalar': P(),
  }


def test_a_step_knows_the_devices_of_its_mesh():
  mesh = sharding.make_mesh(devices=jax.devices()[4:])
  targets = []

  def step(state, batch):
    targets.append(target_device())
    return state, batch['label'].sum()

  lowered = sharding.jit_step(step, sharding.replicated(mesh), mesh).lower(
    jax.ShapeDtypeStruct((), jnp.int32),
    {'label': jax.ShapeDtypeStruct((8,), jnp.int32)},
  )
  assert targets == [jax.devices()[4]]
  assert target_device() == jax.devices()[0]
  assert lowered.out_info[1].shape == ()


def test_frozen_parameters_lie_as_those_that_are_trained():
  mesh = sharding.make_mesh(data=2, fsdp=4)
  host = {'kernel': np.ones((64, 64), np.float32), 'bias': np.ones(8)}
  [placed] = sharding.place((host,), mesh)
  assert placed['kernel'].addressable_shards[0].data.shape == (16, 64)
  assert placed['bias'].sharding.is_fully_replicated

  def step(state, batch, frozen):
    return state, frozen['kernel'].sum() + batch['label'].sum()

  step = sharding.jit_step(step, sharding.replicated(mesh), mesh, (placed,))
  batch = sharding.global_batch({'label': np.ones(8, np.int32)}, mesh)
  state = sharding.put_same(np.zeros(4), sharding.replicated(mesh))
  with jax.transfer_guard('disallow'):
    _, total = step(state, batch, placed)
  assert total == 64 * 64 + 8


def test_global_batch_spreads_rows_over_all_devices():
  mesh = sharding.make_mesh(fsdp=2)
  rows = np.arange(16, dtype=np.int32).reshape(16, 1)
  batch = sharding.global_batch({'label': rows}, mesh)
  np.testing.assert_array_equal(batch['label'], rows)
  shards = batch['label'].addressable_shards
  assert {shard.data.shape for shard in shards} == {(2, 1)}
  assert len({int(shard.data[0, 0]) for shard in shards}) == 8


def test_put_same_follows_its_shardings():
  mesh = sharding.make_mesh(fsdp=8)
  tree = {'kernel': np.arange(8192.0).reshape(64, 128), 'bias': np.ones(4)}
  placed = sharding.put_same(tree, sharding.state_shardings(tree, mesh))
  np.testing.assert_array_equal(placed['kernel'], tree['kernel'])
  assert placed['kernel'].addressable_shards[0].data.shape == (64, 16)
  assert placed['bias'].sharding.is_fully_replicated


def test_fsdp_sends_parameters_not_tokens():
  """Gathered twice, and gradients reduced: 4 times the parameters on a ring.

  Before rows were told to stay on their devices it was twice as much here, and
  a hundred times for RVM-S on TPUs.
  """
  config = config_utils.load_config(str(ROOT / 'configs/rvm_quickstart.py'))
  with config.unlocked():
    config.model.scan_layers = True
    config.batch_size = 16
  mesh = sharding.make_mesh(data=1, fsdp=8)
  parts = build_parts(config)
  step = sharding.jit_step(
    parts.train_step, sharding.state_shardings(parts.shapes, mesh), mesh
  )
  lowered = step.lower(parts.shapes, parts.spec)
  program = lowered.compile({'xla_backend_optimization_level': 0}).as_text()
  sent = sum(c.sent_bytes for c in find_collectives(program))
  num_params = sum(p.size for p in jax.tree.leaves(parts.shapes.params))
  assert 3 * 4 * num_params < sent < 7 * 4 * num_params
