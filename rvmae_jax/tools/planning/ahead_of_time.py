"""The training step of a config, compiled for chips that are not here."""

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
from rvmae_jax.tools.planning import gpus
from rvmae_jax.tools.planning.collectives import Collective, find_collectives
from rvmae_jax.tools.planning.schedule import dump_folder, take_schedules
from rvmae_jax.tools.planning.step_time import StepTime, step_time
from rvmae_jax.training import devices, sharding

_USABLE_OF_TPU = 0.97
# What JAX takes of a card, unless XLA_PYTHON_CLIENT_MEM_FRACTION says more.
_USABLE_OF_GPU = 0.75
_SHARE = 'XLA_PYTHON_CLIENT_MEM_FRACTION'


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
  """A TPU slice, or machines with GPUs, that need not be there.

  Attributes:
    name: such as 'v6e:16x16' or 'h100:8'.
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
    """JAX devices of one chip, which share its memory, bandwidth and links."""
    return len(self.jax_devices) / self.num_chips

  @property
  def hbm_bytes(self) -> float:
    """Memory of one of `jax_devices`."""
    return self.chip.hbm_bytes / self.devices_per_chip

  @property
  def usable_bytes(self) -> float:
    """What of it a program may plan with; the runtime keeps the rest."""
    if self.chip.is_tpu:
      return _USABLE_OF_TPU * self.hbm_bytes
    return float(os.environ.get(_SHARE, _USABLE_OF_GPU)) * self.hbm_bytes

  @property
  def limit(self) -> str:
    """The same, as people are told."""
    says_so = '' if self.chip.is_tpu else f', unless {_SHARE} says otherwise'
    return f'a program may take {self.usable_bytes / 2**30:.1f} GiB{says_so}'


@dataclasses.dataclass(frozen=True)
class CompiledStep:
  """What the compiler planned for one device.

  Attributes:
    state_bytes: parameters, optimizer and batch, which are there throughout.
    temporary_bytes: what comes and goes within a step.
    collectives: what is sent over the network.
    compile_s: seconds to compile, here.
    time: seconds by the compiler's schedule; of GPUs the bytes alone.
    attention_calls: of cuDNN, 'forward' and 'backward'.
  """

  state_bytes: float
  temporary_bytes: float
  collectives: list[Collective]
  compile_s: float
  time: StepTime = dataclasses.field(default_factory=StepTime)
  attention_calls: dict[str, int] = dataclasses.field(default_factory=dict)

  @property
  def peak_bytes(self) -> float:
    """Both together."""
    return self.state_bytes + self.temporary_bytes


def describe_slice(topology: str) -> Slice:
  """Chips by their name.

  Args:
    topology: version and shape: a TPU slice as Google Cloud writes it, such as
      'v5e:4x4', 'v6e:16x16', 'v5p:4x4x4'; GPUs of a machine, 'h100:8', or of
      several, 'h100:4x8'.

  Raises:
    ImportError: the compiler is not installed.
    ValueError: the compiler does not know such chips.
  """
  version, _, shape = topology.partition(':')
  chip = devices.by_name(version)
  if not re.fullmatch(r'[1-9]\d*(x[1-9]\d*)*', shape):
    raise ValueError(
      f'--topology {topology!r} is not version:shape; write v6e:16x16 or '
      'h100:8.'
    )
  sides = tuple(int(n) for n in shape.split('x'))
  if chip.is_tpu:
    found = _find_tpus(topology, sides)
  else:
    found = gpus.find_gpus(version, sides)
  return Slice(topology, math.prod(sides), found, chip)


def compiler_version(topology: str) -> str:
  """Of the compiler for chips, such as 'libtpu 0.0.42.1'; '' without one."""
  chip = devices.by_name(topology.partition(':')[0])
  package = 'libtpu' if chip.is_tpu else 'jax-cuda12-plugin'
  try:
    return f'{package} {importlib.metadata.version(package)}'
  except importlib.metadata.PackageNotFoundError:
    return ''


def _find_tpus(topology: str, sides: tuple[int, ...]) -> list[Any]:
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
  # A program that comes from a cache brings no schedule.
  jax.config.update('jax_enable_compilation_cache', False)
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
  return list(found.devices)


def compile_step(config: ConfigDict, chips: Slice) -> CompiledStep:
  """Compiles the very step that `train` would run on a slice.

  Args:
    config: a recipe; `config.mesh` must cover the slice.
    chips: from `describe_slice`.

  Raises:
    DoesNotFit: it takes more memory than a chip has.
    ValueError: the config makes no sense, on this slice or at all.
  """
  mesh = sharding.make_mesh(**config.mesh, devices=chips.jax_devices)
  parts = build_parts(config)
  shardings = sharding.state_shardings(parts.shapes, mesh)
  step = sharding.jit_step(parts.train_step, shardings, mesh, parts.frozen)
  start = time.monotonic()
  try:
    lowered = step.lower(parts.shapes, parts.spec, *parts.frozen)
    compiled = lowered.compile(
      None if chips.chip.is_tpu else gpus.COMPILER_OPTIONS
    )
  except jax.errors.JaxRuntimeError as error:
    if chips.chip.is_tpu:
      take_schedules(dump_folder())  # Of a program that is none.
    if 'RESOURCE_EXHAUSTED' not in str(error):
      raise
    raise DoesNotFit(
      str(error).splitlines()[0], used_bytes(str(error))
    ) from error
  temporary_bytes = compiled.memory_analysis().temp_size_in_bytes
  program = compiled.as_text()
  return CompiledStep(
    state_bytes=planned_bytes(compiled) - temporary_bytes,
    temporary_bytes=temporary_bytes,
    collectives=find_collectives(program, _machines(mesh, chips)),
    compile_s=time.monotonic() - start,
    time=scheduled_time(program, chips),
    attention_calls=gpus.attention_calls(program),
  )


def _machines(mesh: jax.sharding.Mesh, chips: Slice) -> list[int]:
  """Of each device of a mesh; links join all chips of a TPU slice."""
  if chips.chip.is_tpu:
    return []
  return [device.process_index for device in mesh.devices.flat]


def scheduled_time(program: str, chips: Slice) -> StepTime:
  """Seconds by the schedule of the program that was compiled last.

  Warns where libtpu wrote no schedule; its own estimates then stand in.

  Args:
    program: `compiled.as_text()`.
    chips: that it was compiled for.
  """
  schedules = take_schedules(dump_folder()) if chips.chip.is_tpu else {}
  if chips.chip.is_tpu and not schedules:
    warnings.warn(
      f'{compiler_version(chips.name)} wrote no schedule: '
      'seconds are its estimate, seen to be 2 to 2.5 times too long with '
      '0.0.42. It reads LIBTPU_INIT_ARGS once, when it is loaded.',
      stacklevel=2,
    )
  return step_time(program, schedules, chips.chip, chips.devices_per_chip)


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
