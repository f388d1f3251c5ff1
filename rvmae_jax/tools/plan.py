"""Plans a run on TPUs that are not here: what fits, and how long it takes.

  python -m rvmae_jax.tools.plan --config configs/rvm_pretrain.py:variant=H \\
    --topology v6e:16x16 [--global_batch 2048] [--mfu 0.4] [--json plan.json]

Compiles the training step itself with the TPU compiler, which needs no TPU
(pip install 'rvmae_jax[tpu]', Linux on x86_64), and tells memory, FLOPs, what
goes over the network, and the time that each bounds a step to. If the config
does not fit it tries, in this order, more microbatches (`accumulation_steps`),
`remat`, and shards of the state (`mesh.fsdp`), and says what to set. A compile
takes seconds for S and minutes for H.

Exit code: 0 something fits, 1 nothing does, 2 the command itself is wrong.
"""

import dataclasses
import json
import pathlib
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from absl import app, flags
from ml_collections import ConfigDict, config_flags

from rvmae_jax.parts import build_parts
from rvmae_jax.tools import ahead_of_time
from rvmae_jax.tools.ahead_of_time import CompiledStep, DoesNotFit, Slice
from rvmae_jax.tools.plan_table import format_attempt, format_summary
from rvmae_jax.tools.step_bounds import Bounds, run_days, step_bounds
from rvmae_jax.training import guards, sharding

# What of a chip's memory a program may plan with; the runtime keeps the rest.
_USABLE = 0.97

Compile = Callable[[ConfigDict, Slice], CompiledStep]


@dataclasses.dataclass(frozen=True)
class Attempt:
  """One way to run the step.

  Attributes:
    changes: entries of the config that differ from the given one.
    rows: clips of a microbatch on each device.
    peak_bytes: on each device, planned or (if it does not fit) asked for.
    fits: whether the compiler found a plan.
    step: what it planned; None if it found none.
    bounds: of its time; None likewise.
    reason: why it was not compiled, if it was not.
  """

  changes: Mapping[str, Any]
  rows: int
  peak_bytes: float
  fits: bool
  step: CompiledStep | None = None
  bounds: Bounds | None = None
  reason: str = ''


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


def make_plan(
  config: ConfigDict,
  tpus: Slice,
  compile_step: Compile = ahead_of_time.compile_step,
  tell: Callable[[str], None] = print,
) -> Plan:
  """Finds a way to run a config on a slice.

  Args:
    config: a recipe, with the batch that is wanted.
    tpus: where it is to run.
    compile_step: compiles a config, or raises DoesNotFit.
    tell: gets a line on each attempt.

  Raises:
    ValueError: the batch cannot be spread over the slice.
  """
  num_devices = len(tpus.jax_devices)
  parts = build_parts(ahead_of_time.for_tpu(config))
  flops = (parts.flops_per_clip or 0) * config.batch_size
  # Of v4, two devices are one chip.
  per_chip = num_devices // tpus.num_chips
  hbm_bytes = tpus.chip.hbm_bytes / per_chip
  attempts, most_rows = [], 0
  for changes in _ways(config, num_devices):
    changed = _with(config, changes)
    fixed_bytes = state_bytes(changed, parts.shapes, tpus)
    if fixed_bytes > _USABLE * hbm_bytes:
      attempts.append(
        Attempt(
          changes,
          0,
          fixed_bytes,
          False,
          reason='parameters and optimizer alone do not fit',
        )
      )
      tell(format_attempt(attempts[-1], hbm_bytes))
      continue
    slope = 0.0
    for accumulation in _divisors(config, num_devices):
      if accumulation < config.accumulation_steps:
        continue
      rows = config.batch_size // num_devices // accumulation
      too_large = fixed_bytes + slope * rows > 1.1 * _USABLE * hbm_bytes
      if slope and too_large and rows > 1:
        continue
      all_changes = dict(changes)
      if accumulation != config.accumulation_steps:
        all_changes['accumulation_steps'] = accumulation
      attempt = _try(
        _with(config, all_changes), all_changes, rows, tpus, compile_step, flops
      )
      attempts.append(attempt)
      tell(format_attempt(attempt, hbm_bytes))
      slope = max(attempt.peak_bytes - fixed_bytes, 0.0) / rows
      if attempt.fits:
        free = _USABLE * hbm_bytes - fixed_bytes
        most_rows = max(int(free / slope) if slope else rows, rows)
        break
    if attempts[-1].fits:
      break
  return Plan(
    tpus.name,
    tpus.num_chips,
    hbm_bytes,
    config.batch_size,
    flops,
    attempts,
    most_rows,
  )


def _try(
  config: ConfigDict,
  changes: Mapping[str, Any],
  rows: int,
  tpus: Slice,
  compile_step: Compile,
  flops: float,
) -> Attempt:
  try:
    step = compile_step(config, tpus)
  except DoesNotFit as error:
    return Attempt(changes, rows, error.used_bytes, False)
  bounds = step_bounds(
    chip=tpus.chip,
    num_chips=tpus.num_chips,
    flops=flops,
    state_bytes=step.state_bytes,
    temporary_bytes=step.temporary_bytes,
    collectives=step.collectives,
    accumulation_steps=config.accumulation_steps,
  )
  return Attempt(changes, rows, step.peak_bytes, True, step, bounds)


def _ways(config: ConfigDict, num_devices: int) -> Iterator[dict[str, Any]]:
  """Changes that save memory, the cheap ones first; each includes the last."""
  changes = {}
  yield dict(changes)
  if config.model.get('remat') == 'none':
    changes['model.remat'] = 'full'
    yield dict(changes)
  fsdp = 4
  while fsdp < num_devices:
    if fsdp > config.mesh.fsdp:
      changes['mesh.fsdp'] = fsdp
      yield dict(changes)
    fsdp *= 4
  if num_devices > max(config.mesh.fsdp, 1):
    changes['mesh.fsdp'] = num_devices
    yield dict(changes)


def _divisors(config: ConfigDict, num_devices: int) -> list[int]:
  """Numbers of microbatches that leave whole rows on each device."""
  guards.check_divisible(
    config.batch_size,
    devices=num_devices,
    processes=1,
    accumulation_steps=config.accumulation_steps,
  )
  rows = config.batch_size // num_devices
  return [n for n in range(1, rows + 1) if rows % n == 0]


def state_bytes(config: ConfigDict, shapes: Any, tpus: Slice) -> float:
  """Parameters, optimizer and running mean on one device.

  Args:
    config: whose mesh shards them.
    shapes: of the training state.
    tpus: the slice.
  """
  import jax

  mesh = sharding.make_mesh(**config.mesh, devices=tpus.jax_devices)
  places = sharding.state_shardings(shapes, mesh)
  return sum(
    np.prod(place.shard_shape(leaf.shape)) * leaf.dtype.itemsize
    for leaf, place in zip(jax.tree.leaves(shapes), jax.tree.leaves(places))
  )


def _with(config: ConfigDict, changes: Mapping[str, Any]) -> ConfigDict:
  config = ConfigDict(config.to_dict())
  config.update_from_flattened_dict(changes)
  return config


def to_json(plan: Plan, num_steps: int, mfu: float) -> dict[str, Any]:
  """The plan as plain values."""
  content = dataclasses.asdict(plan)
  if plan.chosen:
    content['days'] = run_days(plan.chosen.bounds, num_steps, mfu)
  return content | {'num_steps': num_steps, 'mfu': mfu}


def main(argv: list[str]) -> int:
  """Runs the command; returns the exit code."""
  if argv[1:]:
    raise app.UsageError(f'Unexpected arguments: {argv[1:]}.')
  args = flags.FLAGS
  config = ConfigDict(args.config.to_dict())
  config.batch_size = args.global_batch or config.batch_size
  num_steps = args.steps or config.total_steps
  try:
    plan = make_plan(config, ahead_of_time.describe_slice(args.topology))
  except (ImportError, ValueError) as error:
    print(f'plan: {error}', file=sys.stderr)
    return 2
  print(format_summary(plan, num_steps, args.mfu))
  if args.json:
    content = to_json(plan, num_steps, args.mfu)
    pathlib.Path(args.json).write_text(json.dumps(content, indent=1))
  return int(plan.chosen is None)


if __name__ == '__main__':
  config_flags.DEFINE_config_file('config', lock_config=True)
  flags.DEFINE_string('topology', None, 'TPU slice, such as v6e:16x16.')
  flags.DEFINE_integer('global_batch', 0, "Clips of a step; 0: the config's.")
  flags.DEFINE_float('mfu', 0.4, 'Share of the peak that the run will reach.')
  flags.DEFINE_integer('steps', 0, "Of the run; 0: the config's.")
  flags.DEFINE_string('json', '', 'Write all of it to this file.')
  flags.mark_flags_as_required(['config', 'topology'])
  app.run(main)
