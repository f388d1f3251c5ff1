"""Time that a training step takes by the TPU compiler's schedule, by part."""

import collections
import dataclasses
import math
import re
from collections.abc import Mapping

from rvmae_jax.tools.planning.operations import Operation, Operations
from rvmae_jax.tools.planning.schedule import Loop
from rvmae_jax.training.devices import Device

OPTIMIZER = 'optimizer'
REST = 'rest'
FORWARD, RECOMPUTED, BACKWARD = 'forward', 'recomputed', 'backward'
_PRODUCT_ROWS = 16
# What takes less than this share is told together.
_SMALL = 0.02
_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')
_TILES = re.compile(r'"iteration_bounds":\[([^\]]*)\]')
_NAME = re.compile(r'op_name="([^"]*)"')
# In the name of an operation, what comes after the network's own scope.
_NETWORK = re.compile(r'jvp\((\w*)\)\)?/(.*)')
_RECOMPUTED = 'rematted_computation'
# Not modules, but how JAX ran them.
_WRAPPERS = ('checkpoint', _RECOMPUTED, 'closed_call')


@dataclasses.dataclass(frozen=True)
class PartTime:
  """Seconds of a part of the step, its operations one after the other.

  Attributes:
    part: a top-level module of the network; 'optimizer' is what follows the
      gradient; 'rest' is what is small, or has no name.
    phase: 'forward', 'recomputed' or 'backward'; the optimizer has none.
    scheduled_s: by cycles, products and bytes, see `step_time`.
    estimated_s: that the compiler expected before it made its schedule.
  """

  part: str
  phase: str
  scheduled_s: float
  estimated_s: float


@dataclasses.dataclass(frozen=True)
class StepTime:
  """What is known of a step's seconds; exchanges between chips are not in it.

  Attributes:
    parts: the longest first; empty for GPUs, whose compiler tells no cycles.
    cycles: of all operations' schedules.
    moved_bytes: to and from a chip's large memory, also beside other work.
    memory_s: that these take.
    unscheduled: share of `estimated_s` that belongs to operations without a
      schedule, for which the estimate stands in; 1 where nothing was dumped.
  """

  parts: tuple[PartTime, ...] = ()
  cycles: float = 0.0
  moved_bytes: float = 0.0
  memory_s: float = 0.0
  unscheduled: float = 1.0

  @property
  def scheduled_s(self) -> float:
    """No run of this program is faster: waiting comes on top; 0 for GPUs."""
    scheduled = sum(part.scheduled_s for part in self.parts)
    return max(scheduled, self.memory_s) if self.parts else 0.0

  @property
  def estimated_s(self) -> float:
    """By the compiler's own estimate."""
    return sum(part.estimated_s for part in self.parts)


def step_time(
  program: str,
  schedules: Mapping[str, Loop],
  chip: Device,
  devices_per_chip: float = 1,
) -> StepTime:
  """Seconds of a compiled training step.

  An operation takes the largest of three times: its cycles, its products at
  the peak of the matrix units (the schedules for v5e and v5p leave it to them
  to make the core wait), and its bytes at the speed of the chip's memory. What
  is copied meanwhile takes none, unless the memory is busy all the time.

  Args:
    program: `compiled.as_text()`.
    schedules: by operation, from `schedule.take_schedules`; empty if there are
      none, and the compiler's estimates stand in.
    chip: what it was compiled for.
    devices_per_chip: that share its memory; two of JAX's on v4.
  """
  operations = Operations(program)
  bytes_per_s = chip.hbm_bytes_per_s / devices_per_chip
  moved_bytes = sum(
    operation.times * operations.moved_bytes(operation)
    for operation in operations.as_run
  )
  memory = {
    'moved_bytes': moved_bytes,
    'memory_s': moved_bytes / bytes_per_s,
  }
  if not chip.is_tpu:
    return StepTime(**memory)
  product_s = _PRODUCT_ROWS * 2 * chip.matrix_side**2
  product_s /= chip.flops_per_s / chip.num_cores
  alike = {
    operations.fingerprint(operation): schedules[operation.name]
    for operation in operations.as_run
    if operation.name in schedules
  }
  scheduled, estimated = collections.Counter(), collections.Counter()
  total_cycles = unscheduled = 0.0
  for operation in operations.as_run:
    schedule = alike.get(operations.fingerprint(operation))
    estimate = _number(_CYCLES, operation.text)
    cycles, products = estimate, 0.0
    if schedule:
      cycles, products = schedule.run(_num_tiles(operation), chip.num_cores)
    else:
      unscheduled += operation.times * estimate
    seconds = max(cycles / chip.clock_hz, products * product_s)
    if not operation.is_asynchronous:
      num_bytes = operations.moved_bytes(operation)
      seconds = max(seconds, num_bytes / bytes_per_s)
    place = _place(operation)
    scheduled[place] += operation.times * seconds
    estimated[place] += operation.times * estimate / chip.clock_hz
    total_cycles += operation.times * cycles
  if not sum(estimated.values()):
    return StepTime(**memory)
  return StepTime(
    parts=_without_small(scheduled, estimated),
    cycles=total_cycles,
    **memory,
    unscheduled=unscheduled / chip.clock_hz / sum(estimated.values()),
  )


def _number(pattern: re.Pattern, text: str) -> int:
  found = pattern.search(text)
  return int(found[1]) if found else 0


def _num_tiles(operation: Operation) -> int:
  found = _TILES.search(operation.text)
  if not found:
    return 0
  return math.prod(int(n) for n in re.findall(r'\d+', found[1]))


def _without_small(
  scheduled: Mapping[tuple[str, str], float],
  estimated: Mapping[tuple[str, str], float],
) -> tuple[PartTime, ...]:
  of_part = collections.Counter()
  for (part, _), seconds in scheduled.items():
    of_part[part] += seconds
  least = _SMALL * sum(of_part.values())
  totals = collections.defaultdict(lambda: [0.0, 0.0])
  for part, phase in scheduled:
    total = totals[part if of_part[part] >= least else REST, phase]
    total[0] += scheduled[part, phase]
    total[1] += estimated[part, phase]
  parts = [
    PartTime(part, phase, *seconds) for (part, phase), seconds in totals.items()
  ]
  return tuple(sorted(parts, key=lambda part: -part.scheduled_s))


def _place(operation: Operation) -> tuple[str, str]:
  """'jit(step)/jvp(RVM)/RVM._decode/decoder/add' -> decoder, forward."""
  found = _NAME.search(operation.text)
  name = found[1] if found else ''
  part = _part(name)
  if part == OPTIMIZER:
    return part, ''
  phase = FORWARD
  if _RECOMPUTED in name:
    phase = RECOMPUTED
  elif 'transpose(' in name:
    phase = BACKWARD
  return part, phase


def _part(name: str) -> str:
  found = _NETWORK.search(name)
  if not found:
    return OPTIMIZER if name else REST
  network, path = found.groups()
  for scope in path.split('/')[:-1]:
    module = scope.partition('.')[0]
    if module not in (network, *_WRAPPERS) and module.isidentifier():
      return module
  return REST
