"""The device mesh, where each array lives on it, and global batches."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from rvmae_jax.target_device import compiling_for

AXES = ('data', 'fsdp')
# Below this many elements a gather costs more than the memory it saves.
_MIN_SHARDED_ELEMENTS = 4096


def make_mesh(
  data: int = -1, fsdp: int = 1, *, devices: list[jax.Device] | None = None
) -> Mesh:
  """A mesh with axes `data` (copies of the model) and `fsdp` (its shards).

  Where the devices are several TPU slices, joined by a network that is slower
  than a slice's own, no copy of the model spans two of them: what crosses from
  slice to slice is the sum of gradients alone. GPUs have no slices: a copy may
  span machines, and stays within one where it fits.

  Args:
    data: devices along `data`; -1 takes what `fsdp` leaves.
    fsdp: devices that share one copy of parameters and optimizer state; -1
      takes what `data` leaves.
    devices: all of the job's devices by default.

  Raises:
    ValueError: the product is not the number of devices, or a copy of the model
      would span slices.
  """
  devices = jax.devices() if devices is None else devices
  shape = [data, fsdp]
  if -1 in shape:
    known = max(shape)
    shape[shape.index(-1)] = max(len(devices) // max(known, 1), 1)
  if shape[0] * shape[1] != len(devices):
    raise ValueError(
      f'config.mesh data={data} x fsdp={fsdp} does not cover {len(devices)} '
      f'devices; their product must be that number (-1 fills one of them).'
    )
  is_tpu = devices[0].platform == 'tpu'
  # Each GPU machine may have a slice_index of its own, too.
  num_slices = 1
  if is_tpu:
    num_slices = len({getattr(d, 'slice_index', 0) for d in devices})
  if shape[0] % num_slices:
    raise ValueError(
      f'config.mesh data={shape[0]} is not a multiple of the '
      f'{num_slices} slices; '
      f'config.mesh.fsdp={shape[1]} may be {len(devices) // num_slices} at '
      'most and must divide it.'
    )
  if not is_tpu:
    # One machine after the other, so that neighbours share a fast network.
    devices = np.array(sorted(devices, key=_place_in_network)).reshape(shape)
  elif num_slices > 1:
    within, between = (shape[0] // num_slices, shape[1]), (num_slices, 1)
    devices = mesh_utils.create_hybrid_device_mesh(
      within, between, devices, allow_split_physical_axes=True
    )
  else:
    devices = mesh_utils.create_device_mesh(
      shape, devices, allow_split_physical_axes=True
    )
  # Under explicit axes plain reshapes raise.
  auto = (jax.sharding.AxisType.Auto,) * len(AXES)
  return Mesh(devices, AXES, axis_types=auto)


def _place_in_network(device: jax.Device) -> tuple[int, int, int]:
  """Sorts devices by domain of fast links (of GPUs), process and number."""
  domain = getattr(device, 'slice_index', 0)
  return domain, device.process_index, device.id


def replicated(mesh: Mesh) -> NamedSharding:
  """Every device holds the whole array."""
  return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh) -> NamedSharding:
  """Rows are spread over all devices."""
  return NamedSharding(mesh, PartitionSpec(AXES))


def state_shardings(shapes: Any, mesh: Mesh) -> Any:
  """Where each leaf of parameters and optimizer state lives.

  A leaf's largest dimension that `fsdp` divides is split over `fsdp`; small
  leaves, and those without such a dimension, are replicated. Only the shape
  counts, so an optimizer's moments lie where their parameter lies.

  Args:
    shapes: tree of anything with a `shape`, as `jax.eval_shape` gives.
    mesh: from `make_mesh`.

  Returns:
    The same tree with a `NamedSharding` at each leaf.
  """
  fsdp = mesh.shape['fsdp']

  def place(leaf):
    spec = [None] * len(leaf.shape)
    fits = [d for d, size in enumerate(leaf.shape) if size % fsdp == 0]
    if fsdp > 1 and fits and np.prod(leaf.shape) >= _MIN_SHARDED_ELEMENTS:
      spec[max(fits, key=lambda d: leaf.shape[d])] = 'fsdp'
    return NamedSharding(mesh, PartitionSpec(*spec))

  return jax.tree.map(place, shapes)


def jit_step(
  step: Callable[..., tuple[Any, dict]],
  shardings: Any,
  mesh: Mesh,
  frozen: tuple[Any, ...] = (),
) -> Any:
  """A training step to be compiled for a mesh; it uses up the state it gets.

  Args:
    step: (state, batch, *frozen) -> (state, metrics).
    shardings: of the state, from `state_shardings`.
    mesh: over which the rows of a batch are spread.
    frozen: further arguments, or their shapes, which lie as `place` has them.
  """

  def on_mesh(state, batch, *frozen):
    with (
      jax.sharding.use_abstract_mesh(mesh.abstract_mesh),
      compiling_for(mesh.devices.flat[0]),
    ):
      return step(state, batch, *frozen)

  return jax.jit(
    on_mesh,
    in_shardings=(
      *(shardings, batch_sharding(mesh)),
      *state_shardings(frozen, mesh),
    ),
    out_shardings=(shardings, replicated(mesh)),
    donate_argnums=0,
  )


def with_shardings(shapes: Any, shardings: Any) -> Any:
  """Shapes with their shardings, which tell Orbax where to restore arrays."""

  def place(leaf, sharding):
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)

  return jax.tree.map(place, shapes, shardings)


def global_batch(local: dict[str, np.ndarray], mesh: Mesh) -> dict[str, Any]:
  """One batch over all devices from each process's own rows [B/processes,..].

  Returns:
    Global arrays [B, ...] by key.
  """
  sharding = batch_sharding(mesh)
  return {
    key: jax.make_array_from_process_local_data(sharding, value)
    for key, value in local.items()
  }


def place(tree: Any, mesh: Mesh) -> Any:
  """Host arrays, equal on all processes, where `state_shardings` has them."""
  return put_same(tree, state_shardings(tree, mesh))


def put_same(tree: Any, shardings: Any) -> Any:
  """Places host arrays that are equal on all processes.

  Args:
    tree: arrays of full size, the same on every process.
    shardings: a sharding, or a tree of them like `tree`.
  """

  def put(array, sharding):
    array = np.asarray(array)
    return jax.make_array_from_callback(
      array.shape, sharding, lambda index: array[index]
    )

  if isinstance(shardings, jax.sharding.Sharding):
    return jax.tree.map(lambda leaf: put(leaf, shardings), tree)
  return jax.tree.map(put, tree, shardings)
