"""What came of trying to compile a step for a slice."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from rvmae_jax.tools.planning.ahead_of_time import CompiledStep
from rvmae_jax.tools.planning.bounds import Bounds


@dataclasses.dataclass(frozen=True)
class Attempt:
  """One way to run the step.

  Attributes:
    changes: entries of the config that differ from the given one.
    rows: clips of a microbatch on each device.
    peak_bytes: on each device, planned or (if it does not fit) asked for.
    fits: whether all of it finds room.
    step: what the compiler planned; None if it found no plan.
    bounds: of its time; None likewise.
    reason: why it does not fit, if it was not the compiler that said so.
  """

  changes: Mapping[str, Any]
  rows: int
  peak_bytes: float
  fits: bool
  step: CompiledStep | None = None
  bounds: Bounds | None = None
  reason: str = ''

  @property
  def step_s(self) -> float:
    """Seconds by the schedule (or network, if longer); 0 without a schedule."""
    scheduled = self.step.time.scheduled_s if self.step else 0.0
    return max(scheduled, self.bounds.network_s) if scheduled else 0.0


@dataclasses.dataclass(frozen=True)
class Plan:
  """What was tried, in order; the last attempt fits if any does.

  Attributes:
    slice_name, num_chips, hbm_bytes: of the slice, memory of one device.
    batch_size: clips of a step, over all chips.
    flops: of the model in a step.
    attempts: in order.
    most_rows: about how many clips a device could take at once, the way that
      fits; 0 if none does.
  """

  slice_name: str
  num_chips: int
  hbm_bytes: float
  batch_size: int
  flops: float
  attempts: list[Attempt]
  most_rows: int

  @property
  def chosen(self) -> Attempt | None:
    """The way to run it."""
    last = self.attempts[-1]
    return last if last.fits else None
