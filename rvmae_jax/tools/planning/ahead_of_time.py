"""The training step of a config, compiled for TPUs that are not here."""

import dataclasses
import importlib.metadata
import math
import os
import re
import time
import warnings
from typing import Any

import jax
from ml_collections import ConfigDict

from rvmae_jax.memory import planned_bytes
from rvmae_jax.parts import build_parts
from rvmae_jax.tools.planning.collectives import Collective, find_collectives
from rvmae_jax.tools.planning.schedule import dump_folder, take_schedules
from rvmae_jax.tools.planning.step_time import StepTime, step_time
from rvmae_jax.training import devices, sharding


class DoesNotFit(Exception):
  """The compiler found no way to run a program in a chip's memory.

  Attributes:
    used_bytes: what it would have taken; 0 if the compiler did not say.
  """

  def __init__(self, message: str, used_bytes: float):
    super().__init__(message)
    self.used_bytes = used_bytes


@dataclasses.dataclass(frozen=True)
class Slice:
  """A TPU slice that need not be there.

  Attributes:
    name: such as 'v6e:16x16'.
    num_chips: in it.
    jax_devices: what a mesh is made of; of v4 two a chip.
    chip: what each of them can do.
  """

  name: str
  num_chips: int
  jax_devices: list[Any]
  chip: devices.Device

  @property
  def devices_per_chip(self) -> float:
    """They share its memory, its bandwidth and its links."""
    return len(self.jax_devices) / self.num_chips

  @property
  def hbm_bytes(self) -> float:
    """Memory of one of `jax_devices`."""
    return self.chip.hbm_bytes / self.devices_per_chip


@dataclasses.dataclass(frozen=True)
class CompiledStep:
  """What the compiler planned for one device.

  Attributes:
    state_bytes: parameters, optimizer and batch, which are there throughout.
    temporary_bytes: what comes and goes within a step.
    collectives: what is sent over the network.
    compile_s: seconds to compile, here.
    time: seconds by the compiler's schedule.
  """

  state_bytes: float
  temporary_bytes: float
  collectives: list[Collective]
  compile_s: float
  time: StepTime = dataclasses.field(default_factory=StepTime)

  @property
  def peak_bytes(self) -> float:
    """Both together."""
    return self.state_bytes + self.temporary_bytes


def describe_slice(topology: str) -> Slice:
  """A slice by its name.

  Args:
    topology: version and shape, as Google Cloud writes them: 'v5e:4x4',
      'v6e:16x16', 'v5p:4x4x4'.

  Raises:
    ImportError: the TPU compiler is not installed.
    ValueError: the compiler does not know the slice.
  """
  version, _, shape = topology.partition(':')
  chip = devices.by_name(version)
  if not re.fullmatch(r'\d+(x\d+)*', shape):
    raise ValueError(
      f'--topology {topology!r} is not version:shape; write v6e:16x16.'
    )
  try:
    import libtpu  # noqa: F401
  except ImportError as error:
    raise ImportError(
      'Compiling for TPUs needs their compiler, not a TPU: pip install '
      "'rvmae_jax[tpu]' (on Linux, x86_64)."
    ) from error
  from jax.experimental import topologies

  # Otherwise libtpu asks Google Cloud, for minutes, which machine this is.
  os.environ.setdefault('TPU_SKIP_MDS_QUERY', '1')
  os.environ.setdefault('TPU_WORKER_HOSTNAMES', 'localhost')
  # No TPU is taken: others on this machine may compile, too.
  os.environ.setdefault('ALLOW_MULTIPLE_LIBTPU_LOAD', '1')
  dump_folder()
  sides = [int(n) for n in shape.split('x')]
  options = {}
  if math.prod(sides) < 4:
    # Part of a host, whose four chips are 2x2.
    options['chips_per_host_bounds'] = [*sides, 1, 1][:3]
  try:
    found = topologies.get_topology_desc(
      platform='tpu', topology_name=topology, **options
    )
  except (jax.errors.JaxRuntimeError, RuntimeError) as error:
    raise ValueError(
      f'The TPU compiler knows no slice {topology!r}: {error}'
    ) from error
  return Slice(topology, math.prod(sides), list(found.devices), chip)


def compile_step(config: ConfigDict, tpus: Slice) -> CompiledStep:
  """Compiles the very step that `train` would run on a slice.

  Args:
    config: a recipe; `config.mesh` must cover the slice.
    tpus: from `describe_slice`.

  Raises:
    DoesNotFit: it takes more memory than a chip has.
    ValueError: the config makes no sense, on this slice or at all.
  """
  mesh = sharding.make_mesh(**config.mesh, devices=tpus.jax_devices)
  parts = build_parts(config)
  shardings = sharding.state_shardings(parts.shapes, mesh)
  step = sharding.jit_step(parts.train_step, shardings, mesh, parts.frozen)
  start = time.monotonic()
  try:
    compiled = step.lower(parts.shapes, parts.spec, *parts.frozen).compile()
  except jax.errors.JaxRuntimeError as error:
    take_schedules(dump_folder())  # Of a program that is none.
    if 'RESOURCE_EXHAUSTED' not in str(error):
      raise
    raise DoesNotFit(
      str(error).splitlines()[0], used_bytes(str(error))
    ) from error
  temporary_bytes = compiled.memory_analysis().temp_size_in_bytes
  return CompiledStep(
    state_bytes=planned_bytes(compiled) - temporary_bytes,
    temporary_bytes=temporary_bytes,
    collectives=find_collectives(compiled.as_text()),
    compile_s=time.monotonic() - start,
    time=scheduled_time(compiled, tpus),
  )


def scheduled_time(compiled: jax.stages.Compiled, tpus: Slice) -> StepTime:
  """Seconds by the schedule of the program that was compiled last.

  Warns where libtpu wrote no schedule; its own estimates then stand in.
  """
  schedules = take_schedules(dump_folder())
  if not schedules:
    warnings.warn(
      f'libtpu {importlib.metadata.version("libtpu")} wrote no schedule: '
      'seconds are its estimate, which was seen to be 2 to 2.5 times too long '
      'with 0.0.42. It reads LIBTPU_INIT_ARGS once, when it is loaded.',
      stacklevel=2,
    )
  return step_time(
    compiled.as_text(), schedules, tpus.chip, tpus.devices_per_chip
  )


def used_bytes(message: str) -> float:
  """What a program would have taken, of the compiler's two complaints; or 0.

  'the total memory required for HLO temporaries (36.52G) exceeds available HBM
  (15.75G)'; 'Used 43.20G of 31.25G hbm'.
  """
  found = re.search(
    r'(?:required for [\w ]+\(|[Uu]sed )([\d.]+)([KMGT])', message
  )
  if not found:
    return 0.0
  return float(found[1]) * 2 ** {'K': 10, 'M': 20, 'G': 30, 'T': 40}[found[2]]
