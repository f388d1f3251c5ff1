"""How fast a compiled step can be at best, and how long a run then takes."""

import dataclasses
from collections.abc import Sequence

from rvmae_jax.tools.planning.collectives import Collective
from rvmae_jax.tools.planning.work import Work
from rvmae_jax.training.devices import Device

SECONDS_A_DAY = 86_400


@dataclasses.dataclass(frozen=True)
class Bounds:
  """Seconds that a step takes at least, each resource looked at alone.

  Attributes:
    compute_s: matrix products of the model, at the chip's peak.
    widths_s: the same with what the network's widths leave empty in the matrix
      units, at the peak.
    exponentials_s: of softmax and activations on the vector units; 0 for GPUs.
    memory_s: state read and written once, and each temporary once for each
      microbatch; real programs read more.
    network_s: what a chip must send, over all of its links at once, or to other
      machines, where that takes longer.
  """

  compute_s: float
  widths_s: float
  exponentials_s: float
  memory_s: float
  network_s: float

  @property
  def limit(self) -> str:
    """What bounds the step: the name of a field without its _s."""
    times = {
      field.name.removesuffix('_s'): getattr(self, field.name)
      for field in dataclasses.fields(self)
    }
    return max(times, key=times.get)

  @property
  def step_s(self) -> float:
    """No step is faster, even if all of them overlap."""
    return getattr(self, f'{self.limit}_s')


def step_bounds(
  *,
  chip: Device,
  num_chips: int,
  flops: float,
  work: Work,
  state_bytes: float,
  temporary_bytes: float,
  collectives: Sequence[Collective],
  accumulation_steps: int = 1,
  devices_per_chip: float = 1,
) -> Bounds:
  """Bounds of one step.

  Args:
    chip: what a chip can do.
    num_chips: that share the batch.
    flops: of a step, over all chips.
    work: likewise.
    state_bytes: that stay, a device.
    temporary_bytes: that come and go with each microbatch, a device.
    collectives: of a step, of one device.
    accumulation_steps: microbatches in a step.
    devices_per_chip: two of JAX's on v4.
  """
  moved = 2 * (state_bytes + accumulation_steps * temporary_bytes)
  moved *= devices_per_chip
  return Bounds(
    compute_s=flops / (num_chips * chip.flops_per_s),
    widths_s=work.matrix_flops / (num_chips * chip.flops_per_s),
    exponentials_s=(
      work.exponentials / (num_chips * chip.exponentials_per_s)
      if chip.exponentials_per_s
      else 0.0
    ),
    memory_s=moved / chip.hbm_bytes_per_s,
    network_s=(
      devices_per_chip * _network_s(chip, collectives) if num_chips > 1 else 0.0
    ),
  )


def _network_s(chip: Device, collectives: Sequence[Collective]) -> float:
  within = sum(part.sent_bytes for part in collectives)
  between = sum(part.sent_between_bytes for part in collectives)
  if between:
    between /= chip.machine_link_bytes_per_s
  return max(within / chip.network_bytes_per_s, between)


def run_days(bounds: Bounds, num_steps: int, mfu: float) -> float:
  """Days of a run whose chips reach a share `mfu` of their peak.

  Where memory or network bound a step to less than `mfu`, they decide.
  """
  step_s = max(bounds.compute_s / mfu, bounds.memory_s, bounds.network_s)
  return num_steps * step_s / SECONDS_A_DAY
