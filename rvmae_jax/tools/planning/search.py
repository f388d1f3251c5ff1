"""Looks for a way to run a config that fits into the chips of a slice."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from rvmae_jax.config_utils import with_values
from rvmae_jax.parts import build_parts
from rvmae_jax.tools.planning import ahead_of_time
from rvmae_jax.tools.planning.ahead_of_time import (
  CompiledStep,
  DoesNotFit,
  Slice,
)
from rvmae_jax.tools.planning.attempts import Attempt, Plan
from rvmae_jax.tools.planning.bounds import step_bounds
from rvmae_jax.tools.planning.table import format_attempt, format_changes
from rvmae_jax.tools.planning.work import least_work
from rvmae_jax.training import guards, sharding

Compile = Callable[[ConfigDict, Slice], CompiledStep]
# Policies of `remat` that keep less than another does.
_LESS_MEMORY = {
  'none': ('attention', 'full'),
  'dots': ('attention', 'full'),
  'attention': ('full',),
}


def _print_now(line: str) -> None:
  print(line, flush=True)


def make_plan(
  config: ConfigDict,
  chips: Slice,
  compile_step: Compile = ahead_of_time.compile_step,
  tell: Callable[[str], None] = _print_now,
) -> Plan:
  """Finds a way to run a config on a slice.

  Args:
    config: a recipe, with the batch that is wanted.
    chips: where it is to run.
    compile_step: compiles a config, or raises DoesNotFit.
    tell: gets a line before and after each compile.

  Raises:
    ValueError: the batch cannot be spread over the slice.
  """
  search = _Search(config, chips, compile_step, tell)
  attempts = []
  for changes in _ways(config, len(chips.jax_devices)):
    attempts += search.try_way(changes)
    if attempts[-1].fits:
      break
  return Plan(
    chips.name,
    chips.num_chips,
    chips.hbm_bytes,
    config.batch_size,
    search.flops,
    attempts,
    search.most_rows(attempts[-1]) if attempts[-1].fits else 0,
  )


def compare_variants(
  config: ConfigDict,
  changes: Sequence[str],
  chips: Slice,
  compile_step: Compile = ahead_of_time.compile_step,
  tell: Callable[[str], None] = _print_now,
) -> dict[str, Attempt]:
  """A config as given and with other values, each compiled as it is.

  Args:
    config: a recipe.
    changes: such as 'model.remat=full,batch_size=8', one a variant.
    chips: where it is to run.
    compile_step: compiles a config, or raises DoesNotFit.
    tell: gets a line before and after each compile.

  Returns:
    'as given' and the changes -> what came of it.

  Raises:
    ValueError: changes of another form, or of entries that are not there.
  """
  configs = {'as given': config}
  configs |= {text: with_values(config, text) for text in changes}
  attempts = {}
  for name, variant in configs.items():
    tell(f'{name}:')
    search = _Search(variant, chips, compile_step, tell)
    _, rows = next(_microbatches(variant, len(chips.jax_devices)))
    attempts[name] = search.attempt({}, rows)
  return attempts


class _Search:
  """Compiles a config in ways that take less and less memory."""

  def __init__(
    self,
    config: ConfigDict,
    chips: Slice,
    compile_step: Compile,
    tell: Callable[[str], None],
  ):
    self.config, self.chips = config, chips
    self.compile_step, self.tell = compile_step, tell
    parts = build_parts(config)
    self.shapes = parts.shapes
    self.needs_whole_batch = getattr(
      parts.objective, 'needs_whole_batch', False
    )
    self.flops = (parts.flops_per_clip or 0) * config.batch_size
    self.work = least_work(config, chips.chip.matrix_side)
    self.usable_bytes = chips.usable_bytes

  def try_way(self, changes: Mapping[str, Any]) -> list[Attempt]:
    """One way with more and more microbatches, if it may, until one fits."""
    fixed = state_bytes(_with(self.config, changes), self.shapes, self.chips)
    if fixed > self.usable_bytes:
      reason = 'parameters and optimizer alone do not fit'
      attempt = Attempt(changes, 0, fixed, False, reason=reason)
      self.tell(format_attempt(attempt, self.chips.hbm_bytes))
      return [attempt]
    attempts = []
    for steps, rows in _microbatches(self.config, len(self.chips.jax_devices)):
      if attempts and self.needs_whole_batch:
        break
      if attempts and self._is_hopeless(attempts, fixed, rows):
        continue
      if steps != self.config.accumulation_steps:
        changes = {**changes, 'accumulation_steps': steps}
      attempt = self.attempt(changes, rows)
      attempts.append(attempt)
      if attempt.fits:
        break
    return attempts

  def _is_hopeless(
    self, attempts: list[Attempt], fixed: float, rows: int
  ) -> bool:
    """Whether it cannot fit, extrapolating linearly from earlier attempts.

    The line runs through the last two attempts, or through the state alone and
    a single attempt. A single one does not suffice to give up on one row.
    """
    # The compiler does not always say how much it was that did not fit.
    known = [(a.rows, a.peak_bytes) for a in attempts if a.peak_bytes]
    if not attempts[-1].peak_bytes or (rows == 1 and len(attempts) == 1):
      return False
    (rows_0, bytes_0), (rows_1, bytes_1) = [(0, fixed), *known][-2:]
    slope = (bytes_1 - bytes_0) / (rows_1 - rows_0)
    return bytes_1 + slope * (rows - rows_1) > 1.1 * self.usable_bytes

  def attempt(self, changes: Mapping[str, Any], rows: int) -> Attempt:
    """One way, compiled; `rows` are those of a microbatch on a device."""
    self.tell(f'Compiling {format_changes(changes) or "as given"} ..')
    config = _with(self.config, changes)
    try:
      step = self.compile_step(config, self.chips)
    except DoesNotFit as error:
      attempt = Attempt(changes, rows, error.used_bytes, False)
    else:
      bounds = step_bounds(
        chip=self.chips.chip,
        num_chips=self.chips.num_chips,
        devices_per_chip=self.chips.devices_per_chip,
        flops=self.flops,
        work=self.work,
        state_bytes=step.state_bytes,
        temporary_bytes=step.temporary_bytes,
        collectives=step.collectives,
        accumulation_steps=config.accumulation_steps,
      )
      fits = step.peak_bytes <= self.usable_bytes
      # The compiler's limit, if it has one, is on temporaries alone.
      reason = '' if fits else self.chips.limit
      attempt = Attempt(
        changes, rows, step.peak_bytes, fits, step, bounds, reason
      )
    self.tell(format_attempt(attempt, self.chips.hbm_bytes))
    return attempt

  def most_rows(self, attempt: Attempt) -> int:
    """About how many clips a device could take at once, if each costs alike."""
    bytes_a_row = attempt.step.temporary_bytes / attempt.rows
    free = self.usable_bytes - attempt.step.state_bytes
    return max(int(free / bytes_a_row), attempt.rows)


def _ways(config: ConfigDict, num_devices: int) -> Iterator[dict[str, Any]]:
  """Changes that save memory, the cheap ones first; each includes the last."""
  changes = {}
  yield dict(changes)
  for remat in _LESS_MEMORY.get(config.model.get('remat'), ()):
    changes['model.remat'] = remat
    if remat == 'full' and config.model.get('core_remat', remat) != remat:
      changes['model.core_remat'] = remat
    yield dict(changes)
  fsdp = 4
  while fsdp < num_devices:
    if fsdp > config.mesh.fsdp and num_devices % fsdp == 0:
      changes['mesh.fsdp'] = fsdp
      yield dict(changes)
    fsdp *= 4
  if num_devices > max(config.mesh.fsdp, 1):
    changes['mesh.fsdp'] = num_devices
    yield dict(changes)


def _microbatches(
  config: ConfigDict, num_devices: int
) -> Iterator[tuple[int, int]]:
  """Numbers of microbatches, and the whole rows that each device has of one."""
  guards.check_divisible(
    config.batch_size,
    devices=num_devices,
    processes=1,
    accumulation_steps=config.accumulation_steps,
  )
  rows = config.batch_size // num_devices
  for steps in range(config.accumulation_steps, rows + 1):
    if rows % steps == 0:
      yield steps, rows // steps


def state_bytes(config: ConfigDict, shapes: Any, chips: Slice) -> float:
  """Parameters, optimizer and running mean on one device.

  Args:
    config: whose mesh shards them.
    shapes: of the training state.
    chips: the slice.
  """
  mesh = sharding.make_mesh(**config.mesh, devices=chips.jax_devices)
  places = sharding.state_shardings(shapes, mesh)
  return sum(
    np.prod(place.shard_shape(leaf.shape)) * leaf.dtype.itemsize
    for leaf, place in zip(jax.tree.leaves(shapes), jax.tree.leaves(places))
  )


def _with(config: ConfigDict, changes: Mapping[str, Any]) -> ConfigDict:
  config = ConfigDict(config.to_dict())
  config.update_from_flattened_dict(changes)
  return config
