"""Time that a training step takes by the TPU compiler's schedule.

Of all operations, of those that take longest, and of parts of the network.
"""

import collections
import dataclasses
import math
import re
from collections.abc import Mapping, Sequence

from rvmae_jax.tools.planning.operations import Operation, Operations
from rvmae_jax.tools.planning.schedule import Loop
from rvmae_jax.training.devices import Device

OPTIMIZER = 'optimizer'
REST = 'rest'
FORWARD, RECOMPUTED, BACKWARD = 'forward', 'recomputed', 'backward'
# Operations that are told one by one.
NUM_LONGEST = 100
_PRODUCT_ROWS = 16
# Parts that take less than this share are listed as one.
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
class OperationTime:
  """Seconds of one operation, all of its runs together.

  Attributes:
    name: that the compiler gave it.
    scope: what it comes from, as JAX names it; '' if that is not known.
    times: how often it is run.
    cycles_s: of its schedule, or of the compiler's estimate without one; 0 for
      GPUs.
    products_s: of its products at the peak of the matrix units; likewise.
    moved_bytes: to and from the chip's large memory.
    bytes_s: that these take at its speed.
    estimated_s: that the compiler expected before it made its schedule.
    is_asynchronous: whether it goes on beside other operations.
    has_schedule: whether its cycles are of a schedule, not an estimate.
  """

  name: str
  scope: str
  times: int
  cycles_s: float
  products_s: float
  moved_bytes: int
  bytes_s: float
  estimated_s: float
  is_asynchronous: bool
  has_schedule: bool

  @property
  def limit(self) -> str:
    """What it waits for: the name of a field without its _s."""
    limits = {'cycles': self.cycles_s, 'products': self.products_s}
    if not self.is_asynchronous:
      limits['bytes'] = self.bytes_s
    return max(limits, key=limits.get)

  @property
  def scheduled_s(self) -> float:
    """No run of it is faster."""
    return getattr(self, f'{self.limit}_s')

  @property
  def place(self) -> tuple[str, str]:
    """Part and phase, as of a `PartTime`."""
    part = _part(self.scope)
    if part == OPTIMIZER:
      return part, ''
    if _RECOMPUTED in self.scope:
      return part, RECOMPUTED
    return part, BACKWARD if 'transpose(' in self.scope else FORWARD


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
    longest: operations that take longest, of GPUs to move their bytes.
  """

  parts: tuple[PartTime, ...] = ()
  cycles: float = 0.0
  moved_bytes: float = 0.0
  memory_s: float = 0.0
  unscheduled: float = 1.0
  longest: tuple[OperationTime, ...] = ()

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
  times = _operation_times(
    Operations(program), schedules, chip, devices_per_chip
  )
  times.sort(key=lambda time: -time.scheduled_s)
  memory = {
    'moved_bytes': sum(time.moved_bytes for time in times),
    'memory_s': sum(time.bytes_s for time in times),
    'longest': tuple(times[:NUM_LONGEST]),
  }
  estimated_s = sum(time.estimated_s for time in times)
  if not estimated_s:
    return StepTime(**memory)
  unscheduled_s = sum(t.estimated_s for t in times if not t.has_schedule)
  return StepTime(
    parts=_part_times(times),
    cycles=chip.clock_hz * sum(time.cycles_s for time in times),
    **memory,
    unscheduled=unscheduled_s / estimated_s,
  )


def _operation_times(
  operations: Operations,
  schedules: Mapping[str, Loop],
  chip: Device,
  devices_per_chip: float,
) -> list[OperationTime]:
  product_s = _PRODUCT_ROWS * 2 * chip.matrix_side**2
  product_s /= chip.flops_per_s / chip.num_cores
  cycle_s = 1 / chip.clock_hz if chip.is_tpu else 0.0
  byte_s = devices_per_chip / chip.hbm_bytes_per_s
  alike = {
    operations.fingerprint(operation): schedules[operation.name]
    for operation in operations.as_run
    if operation.name in schedules
  }
  times = []
  for operation in operations.as_run:
    schedule = alike.get(operations.fingerprint(operation))
    estimate = _number(_CYCLES, operation.text)
    cycles, products = estimate, 0.0
    if schedule:
      cycles, products = schedule.run(_num_tiles(operation), chip.num_cores)
    moved_bytes = operation.times * operations.moved_bytes(operation)
    scope = _NAME.search(operation.text)
    times.append(
      OperationTime(
        name=operation.name,
        scope=scope[1] if scope else '',
        times=operation.times,
        cycles_s=operation.times * cycles * cycle_s,
        products_s=operation.times * products * product_s,
        moved_bytes=moved_bytes,
        bytes_s=moved_bytes * byte_s,
        estimated_s=operation.times * estimate * cycle_s,
        is_asynchronous=operation.is_asynchronous,
        has_schedule=schedule is not None,
      )
    )
  return times


def _number(pattern: re.Pattern, text: str) -> int:
  found = pattern.search(text)
  return int(found[1]) if found else 0


def _num_tiles(operation: Operation) -> int:
  found = _TILES.search(operation.text)
  if not found:
    return 0
  return math.prod(int(n) for n in re.findall(r'\d+', found[1]))


def _part_times(times: Sequence[OperationTime]) -> tuple[PartTime, ...]:
  placed = [(*time.place, time) for time in times]
  of_part = collections.Counter()
  for part, _, time in placed:
    of_part[part] += time.scheduled_s
  least = _SMALL * sum(of_part.values())
  totals = collections.defaultdict(lambda: [0.0, 0.0])
  for part, phase, time in placed:
    total = totals[part if of_part[part] >= least else REST, phase]
    total[0] += time.scheduled_s
    total[1] += time.estimated_s
  parts = [
    PartTime(part, phase, *seconds) for (part, phase), seconds in totals.items()
  ]
  return tuple(sorted(parts, key=lambda part: -part.scheduled_s))


def _part(name: str) -> str:
  """'jit(step)/jvp(RVM)/RVM._decode/decoder/add' -> decoder."""
  found = _NETWORK.search(name)
  if not found:
    return OPTIMIZER if name else REST
  network, path = found.groups()
  for scope in path.split('/')[:-1]:
    module = scope.partition('.')[0]
    if module not in (network, *_WRAPPERS) and module.isidentifier():
      return module
  return REST
