"""Measures streaming: milliseconds a frame, beside a plain transcription.

  python -m rvmae_jax.benchmarks stream \\
    --config configs/rvm_pretrain.py:variant=S [--size 256x256] \\
    [--streams 1,4] [--frames 50]

Weights are random, frames are noise and stay on the host until they are given,
as those of a camera do. All take turns, round after round, since machines
drift. A bfloat16 network is measured beside a plain transcription in float32,
too, which may be faster on a CPU. `allowed` is what the device's
peak would allow (`rvmae_jax.benchmarks.peak`). The last line is the
result as JSON.
"""

import statistics
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from ml_collections import ConfigDict

from rvmae_jax.benchmarks.measurement import format_table, print_result
from rvmae_jax.benchmarks.peak import peak_of
from rvmae_jax.benchmarks.plain_rvm import PLAIN, PlainRVM
from rvmae_jax.benchmarks.program import count
from rvmae_jax.benchmarks.timing import seconds_in_turns
from rvmae_jax.commands import run_command
from rvmae_jax.config_utils import define_config_flag, parse_size
from rvmae_jax.models import build_model
from rvmae_jax.models.rvm import RVM
from rvmae_jax.stream import Stream
from rvmae_jax.training import sharding

_NUM_ROUNDS = 5


def benchmark_stream(
  config: ConfigDict,
  size: tuple[int, int],
  num_streams: int,
  frames_a_round: int,
) -> dict[str, dict[str, float]]:
  """Measures `Stream` and the plain step in turn.

  Args:
    config: `config.model` of an RVM.
    size: (height, width) of frames.
    num_streams: videos side by side.
    frames_a_round: steps of each in every round.

  Returns:
    'stream' and plain transcriptions -> `p50_ms`, `p95_ms` of a step,
    `frames_per_s` of all videos, `ratio` to the plain one's speed, and
    `allowed`: the share of the time that the device's peak would need.
  """
  model = build_model(config)
  frames = np.random.default_rng(0).integers(
    0, 256, (num_streams, *size, 3), np.uint8
  )
  init = jax.jit(lambda rng: model.init(rng, frames[:, None], method='encode'))
  params = init(jax.random.key(0))['params']
  contestants = {
    'stream': Stream(model, params, size, num_streams),
    PLAIN: plain_stream(model, params, size, num_streams),
  }
  if model.dtype != jnp.float32:
    wide = model.clone(dtype=jnp.float32)
    contestants[f'{PLAIN}, float32'] = plain_stream(
      wide, params, size, num_streams
    )
  times_s = seconds_in_turns(contestants, frames, _NUM_ROUNDS, frames_a_round)
  state = model.init_state(num_streams, *size)
  flops = count(
    jax.make_jaxpr(
      lambda p, s, f: model.apply({'params': p}, s, f, method='step')
    )(params, state, frames)
  ).flops
  mesh = sharding.make_mesh(devices=jax.devices()[:1])
  peak = peak_of(mesh, config.get('dtype', 'float32'))
  floor_s = flops / peak.flops_per_s
  medians = {name: statistics.median(times) for name, times in times_s.items()}
  return {
    name: {
      'p50_ms': 1e3 * medians[name],
      'p95_ms': 1e3 * float(np.percentile(times, 95)),
      'frames_per_s': num_streams / medians[name],
      'ratio': medians[PLAIN] / medians[name],
      'allowed': floor_s / medians[name],
    }
    for name, times in times_s.items()
  }


def plain_stream(
  model: RVM, params: Any, size: tuple[int, int], num_streams: int
) -> Callable[[np.ndarray], jax.Array]:
  """The plain transcription, given one frame at a time as a `Stream` is."""
  plain = PlainRVM(model)
  state = plain.init_state(num_streams, *size)
  step = jax.jit(plain.step)

  def take(frames):
    nonlocal state
    state = step(params, state, frames)
    return state

  return take


def main(args: flags.FlagValues) -> None:
  """Runs the command."""
  size = parse_size(args.size)
  results = {
    f'{number} x {name}': figures
    for number in map(int, args.streams)
    for name, figures in benchmark_stream(
      args.config.model, size, number, args.frames
    ).items()
  }
  columns = next(iter(results.values()))
  print(format_table(results, {name: name for name in columns}))
  print_result(results)


if __name__ == '__main__':
  define_config_flag()
  flags.DEFINE_string('size', '256x256', 'HEIGHTxWIDTH of frames.')
  flags.DEFINE_list('streams', ['1', '4'], 'Numbers of videos side by side.')
  flags.DEFINE_integer('frames', 50, 'Frames that each takes in a round.')
  run_command(main)
