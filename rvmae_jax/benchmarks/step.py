"""Measures the training step: clips/s, FLOP/s, MFU, memory, compile time.

  python -m rvmae_jax.benchmarks step \\
    --config configs/rvm_pretrain.py:variant=S --config.batch_size=64 \\
    [--against model.remat=full --against model.attention=xla] [--plain] \\
    [--seconds 10]

Data is fake, so that the step alone is measured. Each `--against` is the same
config with other values (comma-separated); `--plain` is RVM as one would first
write it down (`rvmae_jax.benchmarks.plain_rvm`). All are measured in
turn, round after round, since machines drift, and compared by the ratio of
their medians; one that fails, for lack of memory say, does not stop the others.
MFU is of the maker's figure or, where there is none, of a measured peak
(`rvmae_jax.benchmarks.peak`). The last line is the result as JSON.
"""

import contextlib
import statistics
import time
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
from absl import flags, logging
from ml_collections import ConfigDict

from rvmae_jax.batch import fake_batch
from rvmae_jax.benchmarks.measurement import format_table, print_result
from rvmae_jax.benchmarks.peak import peak_of
from rvmae_jax.benchmarks.plain_rvm import PLAIN, PlainRVM
from rvmae_jax.benchmarks.timing import seconds_of
from rvmae_jax.commands import run_command
from rvmae_jax.config_utils import define_config_flag, with_values
from rvmae_jax.memory import planned_bytes
from rvmae_jax.models import build_model
from rvmae_jax.parts import build_parts
from rvmae_jax.training import sharding

# Figure -> title in tables.
COLUMNS = {
  'clips_per_s': 'clips/s',
  'speed_ratio': 'ratio',
  'step_ms': 'step ms',
  'model_tflops_per_s': 'TFLOP/s',
  'mfu': 'MFU',
  'gib': 'GiB',
  'compile_s': 'compile s',
}
_NUM_ROUNDS = 5

MakeModel = Callable[[ConfigDict], Any]


class StepBenchmark:
  """One config's compiled training step and its measurements.

  Attributes:
    config: as given.
    parts: what its names stand for.
    mesh: the devices that it runs on.
    batch: fake, on the devices.
    frozen: parameters of the network that judges, on the devices.
    init: () -> the state, compiled.
    program: the step, compiled.
    compile_s: seconds to compile.
    step_s: seconds of a step, one figure a round.
  """

  def __init__(self, config: ConfigDict, make_model: MakeModel = build_model):
    self.config = config
    self.mesh = sharding.make_mesh(**config.mesh)
    self.parts = build_parts(config, make_model)
    shardings = sharding.state_shardings(self.parts.shapes, self.mesh)
    self.batch = sharding.global_batch(fake_batch(self.parts.spec), self.mesh)
    self.frozen = sharding.place(self.parts.frozen, self.mesh)
    step = sharding.jit_step(
      self.parts.train_step, shardings, self.mesh, self.frozen
    )
    self.init = jax.jit(self.parts.init, out_shardings=shardings)
    start = time.perf_counter()
    lowered = step.lower(self.parts.shapes, self.batch, *self.frozen)
    self.program = lowered.compile()
    self.compile_s = time.perf_counter() - start
    self.step_s: list[float] = []

  def run_round(self, seconds: float) -> None:
    """Runs steps for about `seconds` after one that is not counted.

    The state is made anew and dropped again, so that configs measured in turn
    do not have to fit into memory together.
    """
    state = self.init()

    def step():
      nonlocal state
      state, metrics = self.program(state, self.batch, *self.frozen)
      jax.block_until_ready(metrics)

    self.step_s.append(seconds_of(step, seconds))

  def result(self) -> dict[str, Any]:
    """Figures by name; without MFU where the model counts no FLOPs."""
    result = {
      **speed(self.step_s, self.config.batch_size),
      'compile_s': self.compile_s,
      'gib': planned_bytes(self.program) / 2**30,
    }
    if self.parts.flops_per_clip:
      flops_per_s = self.parts.flops_per_clip * result['clips_per_s']
      peak = peak_of(self.mesh, self.config.model.get('dtype', 'float32'))
      result['model_tflops_per_s'] = flops_per_s / 1e12
      result['mfu'] = flops_per_s / peak.flops_per_s
      result['peak_tflops_per_s'] = peak.flops_per_s / 1e12
      result['peak_is_measured'] = peak.is_measured
    return result


def speed(step_s: Sequence[float], batch_size: int) -> dict[str, Any]:
  """Clips a second by the median step, its milliseconds and their range."""
  median_s = statistics.median(step_s)
  return {
    'clips_per_s': batch_size / median_s,
    'step_ms': 1e3 * median_s,
    'step_ms_range': [1e3 * min(step_s), 1e3 * max(step_s)],
  }


def benchmark_step(
  configs: dict[str, ConfigDict],
  seconds: float = 10,
  make_model: Mapping[str, MakeModel] = types.MappingProxyType({}),
) -> dict[str, dict[str, Any]]:
  """Measures configs in turn.

  Args:
    configs: name -> config; ratios are against the first.
    seconds: of measuring for each config, over all rounds.
    make_model: name -> what makes its model of `config.model`, where that is
      not `build_model`.

  Returns:
    Name -> figures (see `StepBenchmark.result`) with `speed_ratio`; of one that
    failed, `failed` alone: why.

  Raises:
    RuntimeError, ValueError: the first failed.
  """
  benchmarks, failed = {}, {}
  first = next(iter(configs))

  @contextlib.contextmanager
  def noted(name: str) -> Iterator[None]:
    try:
      yield
    except (RuntimeError, ValueError) as error:
      if name == first:
        raise
      failed[name] = {'failed': str(error).strip().splitlines()[0]}
      logging.warning('%s failed: %s', name, failed[name]['failed'])

  for name, config in configs.items():
    logging.info('Compiling %s.', name)
    with noted(name):
      maker = make_model.get(name, build_model)
      benchmarks[name] = StepBenchmark(config, maker)
  for i in range(_NUM_ROUNDS):
    logging.info('Round %d of %d.', i + 1, _NUM_ROUNDS)
    for name, benchmark in benchmarks.items():
      if name not in failed:
        with noted(name):
          benchmark.run_round(seconds / _NUM_ROUNDS)
  results = {
    name: failed.get(name) or benchmarks[name].result() for name in configs
  }
  for name, result in results.items():
    if name not in failed:
      ratio = result['clips_per_s'] / results[first]['clips_per_s']
      result['speed_ratio'] = ratio
  return results


def main(args: flags.FlagValues) -> None:
  """Runs the command."""
  configs = {'as given': args.config}
  configs |= {text: with_values(args.config, text) for text in args.against}
  if args.plain:
    configs[PLAIN] = args.config
  results = benchmark_step(
    configs,
    args.seconds,
    {PLAIN: lambda model: PlainRVM(build_model(model))},
  )
  print(format_table(results, COLUMNS))
  print_result(results)


if __name__ == '__main__':
  define_config_flag()
  flags.DEFINE_multi_string(
    'against', [], 'Other values, comma-separated; may be repeated.'
  )
  flags.DEFINE_bool(
    'plain', False, 'Also measure a plain transcription of RVM.'
  )
  flags.DEFINE_float('seconds', 10, 'Seconds to measure each config for.')
  run_command(main)
