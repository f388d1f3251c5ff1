"""Plans a run on TPUs that are not here: what fits, and how long it takes.

  python -m rvmae_jax.tools.plan --config configs/rvm_pretrain.py:variant=H \\
    --topology v6e:16x16 [--global_batch 2048] [--mfu 0.4] [--json plan.json]
    [--against model.remat=full --against model.scan_layers=True]

Compiles the training step itself with the TPU compiler, which needs no TPU
(pip install 'rvmae_jax[tpu]', Linux on x86_64), and tells memory, FLOPs, what
goes over the network, and the time that each bounds a step to. If the config
does not fit it tries, in this order, more microbatches (`accumulation_steps`),
`remat`, and shards of the state (`mesh.fsdp`), and says what to set. A compile
takes minutes; one or two with `--config.model.scan_layers=True`, for any size.

With `--against` it compares the config with itself at other values instead, by
memory and by the time that the compiler expects.

Exit code: 0 something fits, 1 nothing does, 2 the command itself is wrong.
"""

import dataclasses
import json
import pathlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from absl import app, flags
from ml_collections import ConfigDict, config_flags

from rvmae_jax.parts import build_parts
from rvmae_jax.tools.benchmark_step import with_values
from rvmae_jax.tools.planning import ahead_of_time
from rvmae_jax.tools.planning.ahead_of_time import (
  CompiledStep,
  DoesNotFit,
  Slice,
)
from rvmae_jax.tools.planning.bounds import Bounds, run_days, step_bounds
from rvmae_jax.tools.planning.table import (
  format_attempt,
  format_changes,
  format_summary,
  format_variants,
)
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


def _print_now(line: str) -> None:
  print(line, flush=True)


def make_plan(
  config: ConfigDict,
  tpus: Slice,
  compile_step: Compile = ahead_of_time.compile_step,
  tell: Callable[[str], None] = _print_now,
) -> Plan:
  """Finds a way to run a config on a slice.

  Args:
    config: a recipe, with the batch that is wanted.
    tpus: where it is to run.
    compile_step: compiles a config, or raises DoesNotFit.
    tell: gets a line before and after each compile.

  Raises:
    ValueError: the batch cannot be spread over the slice.
  """
  search = _Search(config, tpus, compile_step, tell)
  attempts = []
  for changes in _ways(config, len(tpus.jax_devices)):
    attempts += search.try_way(changes)
    if attempts[-1].fits:
      break
  return Plan(
    tpus.name,
    tpus.num_chips,
    tpus.hbm_bytes,
    config.batch_size,
    search.flops,
    attempts,
    search.most_rows(attempts[-1]) if attempts[-1].fits else 0,
  )


def compare_variants(
  config: ConfigDict,
  changes: Sequence[str],
  tpus: Slice,
  compile_step: Compile = ahead_of_time.compile_step,
  tell: Callable[[str], None] = _print_now,
) -> dict[str, Attempt]:
  """A config as given and with other values, each compiled as it is.

  Args:
    config: a recipe.
    changes: such as 'model.remat=full,batch_size=8', one a variant.
    tpus: where it is to run.
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
    search = _Search(variant, tpus, compile_step, tell)
    _, rows = next(_microbatches(variant, len(tpus.jax_devices)))
    attempts[name] = search.attempt({}, rows)
  return attempts


class _Search:
  """Compiles a config in ways that take less and less memory."""

  def __init__(
    self,
    config: ConfigDict,
    tpus: Slice,
    compile_step: Compile,
    tell: Callable[[str], None],
  ):
    self.config, self.tpus = config, tpus
    self.compile_step, self.tell = compile_step, tell
    parts = build_parts(ahead_of_time.for_tpu(config))
    self.shapes = parts.shapes
    self.flops = (parts.flops_per_clip or 0) * config.batch_size
    self.usable_bytes = _USABLE * tpus.hbm_bytes

  def try_way(self, changes: Mapping[str, Any]) -> list[Attempt]:
    """One way with more and more microbatches, until one fits."""
    fixed = state_bytes(_with(self.config, changes), self.shapes, self.tpus)
    if fixed > self.usable_bytes:
      reason = 'parameters and optimizer alone do not fit'
      attempt = Attempt(changes, 0, fixed, False, reason=reason)
      self.tell(format_attempt(attempt, self.tpus.hbm_bytes))
      return [attempt]
    attempts = []
    for steps, rows in _microbatches(self.config, len(self.tpus.jax_devices)):
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
    """By a line through the last two attempts, or one and the state alone.

    One attempt is not enough to give up on single rows.
    """
    points = [(0, fixed), *((a.rows, a.peak_bytes) for a in attempts)]
    (rows_0, bytes_0), (rows_1, bytes_1) = points[-2:]
    if not bytes_1 or (rows == 1 and len(attempts) == 1):
      return False
    slope = (bytes_1 - bytes_0) / (rows_1 - rows_0)
    return bytes_1 + slope * (rows - rows_1) > 1.1 * self.usable_bytes

  def attempt(self, changes: Mapping[str, Any], rows: int) -> Attempt:
    """One way, compiled; `rows` are those of a microbatch on a device."""
    self.tell(f'Compiling {format_changes(changes) or "as given"} ..')
    config = _with(self.config, changes)
    try:
      step = self.compile_step(config, self.tpus)
    except DoesNotFit as error:
      attempt = Attempt(changes, rows, error.used_bytes, False)
    else:
      bounds = step_bounds(
        chip=self.tpus.chip,
        num_chips=self.tpus.num_chips,
        flops=self.flops,
        state_bytes=step.state_bytes,
        temporary_bytes=step.temporary_bytes,
        collectives=step.collectives,
        accumulation_steps=config.accumulation_steps,
      )
      fits = step.peak_bytes <= self.usable_bytes
      # The compiler's limit is on temporaries alone.
      reason = '' if fits else 'it compiles, but leaves no room for the state'
      attempt = Attempt(
        changes, rows, step.peak_bytes, fits, step, bounds, reason
      )
    self.tell(format_attempt(attempt, self.tpus.hbm_bytes))
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


def state_bytes(config: ConfigDict, shapes: Any, tpus: Slice) -> float:
  """Parameters, optimizer and running mean on one device.

  Args:
    config: whose mesh shards them.
    shapes: of the training state.
    tpus: the slice.
  """
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
    tpus = ahead_of_time.describe_slice(args.topology)
    if args.against:
      variants = compare_variants(config, args.against, tpus)
      print(format_variants(variants, tpus.hbm_bytes))
      return 0
    plan = make_plan(config, tpus)
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
  flags.DEFINE_multi_string('against', [], 'The config with other values.')
  flags.DEFINE_string('json', '', 'Write all of it to this file.')
  flags.mark_flags_as_required(['config', 'topology'])
  app.run(main)
