"""Measures what smaller networks save and what they lose, side by side.

  python -m rvmae_jax.tools.smaller --config configs/eval_smaller.py \\
    --checkpoint runs/quickstart --out docs/results/smaller.json \\
    [--pruned runs/pruned_25,runs/pruned_50]

Compares a run's network in float32, in bfloat16 and quantised
(`layers.quantised_products`), and in float32 the runs that tools/prune made
from it. A row has the bytes of the parameters that features need, milliseconds
per streamed frame (median over rounds that take turns), FLOPs per frame, how
close features are to those in float32 (mean cosine over the tokens of the last
frame), and the config's evaluations. Each row is written as soon as it is
measured.
"""

import statistics
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from ml_collections import ConfigDict

from rvmae_jax import weights
from rvmae_jax.benchmarks.timing import seconds_in_turns
from rvmae_jax.commands import run_command
from rvmae_jax.config_utils import define_config_flag
from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.evals.pooling import unit_length
from rvmae_jax.evaluate import build_evaluations
from rvmae_jax.layers.bfloat16_products import bfloat16_kernels
from rvmae_jax.layers.quantised_products import KINDS, num_bytes, quantise
from rvmae_jax.models import build_unrolled, needed_params
from rvmae_jax.stream import Stream
from rvmae_jax.tools.result_file import write_result
from rvmae_jax.training.logging import show_own_lines

_NUM_CLIPS = 32
_ROUNDS, _FRAMES = 5, 40


class Network(NamedTuple):
  """One row of the table.

  Attributes:
    name: of the row.
    model: what `ModelFunctions` takes.
    params: those that features need.
    run_config: of the run that the network comes from.
  """

  name: str
  model: Any
  params: Mapping[str, Any]
  run_config: ConfigDict


def networks(
  checkpoint: str, pruned: list[str], video: np.ndarray
) -> Iterator[Network]:
  """The network of a run, smaller ones made of it, and pruned runs.

  Args:
    checkpoint: see `weights.load`.
    pruned: the same, of other runs.
    video: any clip of the run's size, [B, T, H, W, 3] uint8.
  """
  whole = _loaded('float32', checkpoint, video)
  _, model, params, config = whole
  yield whole
  half = model.clone(dtype=jnp.bfloat16)
  yield Network('bfloat16', half, bfloat16_kernels(params), config)
  for kind in KINDS:
    quantised = quantise(kind, model, params, video, method='encode')
    yield Network(kind, *quantised, config)
  for path in pruned:
    yield _loaded(path, path, video)


def _loaded(name: str, path: str, video: np.ndarray) -> Network:
  """A network in float32, with what features need of its parameters."""
  params, config = weights.load(path)
  model, params = build_unrolled(config.model, params, dtype='float32')
  params = needed_params(model, params, video, method='encode')
  return Network(name, model, jax.device_put(params), config)


def measure(
  network: Network, config: ConfigDict, video: np.ndarray, expected: np.ndarray
) -> list[Any]:
  """A row of the table, but for times.

  Args:
    network: to be measured.
    config: see `configs/eval_smaller.py`.
    video: clips [B, T, H, W, 3] uint8.
    expected: their features in float32.

  Returns:
    Bytes, FLOPs of a frame, cosine similarity, and the scores of the config's
    evaluations in per cent.
  """
  functions = ModelFunctions(network.model, network.params)
  numbers = {}
  for alias, evaluation in build_evaluations(
    config, network.run_config
  ).items():
    metrics = evaluation.run(functions).metrics
    numbers |= {f'{alias}/{key}': value for key, value in metrics.items()}
  frame = np.zeros((1, 1, *video.shape[2:]), np.uint8)
  last, expected = (
    unit_length(features[:, -1])
    for features in (functions.encode(video), expected)
  )
  return [
    num_bytes(network.params),
    sum(network.model.flops_per_clip({'video': frame}).values()),
    float((last * expected).sum(-1).mean()),
    *(100 * numbers[name] for name in dict(config.columns)),
  ]


def milliseconds(
  networks: Mapping[str, Network], video: np.ndarray
) -> dict[str, float]:
  """Milliseconds of a frame of a stream, medians; the networks take turns."""
  size = video.shape[2:4]
  streams = {
    name: Stream(network.model, network.params, size)
    for name, network in networks.items()
  }
  frames = video[0, :1]
  times_s = seconds_in_turns(streams, frames, _ROUNDS, _FRAMES)
  return {name: 1e3 * statistics.median(t) for name, t in times_s.items()}


def main(args: flags.FlagValues) -> None:
  """Runs the command."""
  show_own_lines()
  _, run_config = weights.load(args.checkpoint)
  evaluations = build_evaluations(args.config, run_config).values()
  videos = next(e.test for e in evaluations if hasattr(e, 'test'))
  video = next(videos.batches(1))['video'][:_NUM_CLIPS]
  found = {n.name: n for n in networks(args.checkpoint, args.pruned, video)}
  full = found['float32']
  expected = ModelFunctions(full.model, full.params).encode(video)
  times_ms = milliseconds(found, video)
  rows = []
  for name, network in found.items():
    num, flops, *others = measure(network, args.config, video, expected)
    rows.append([name, num / 1e6, times_ms[name], flops / 1e6, *others])
    print(rows[-1], flush=True)
    write_result(
      args.out,
      [
        *('network', 'MB', 'ms a frame', 'MFLOP a frame', 'cosine similarity'),
        *dict(args.config.columns).values(),
      ],
      rows,
      digits=[None, 2, 2, 1, 4, *[1] * len(args.config.columns)],
    )


if __name__ == '__main__':
  define_config_flag()
  flags.DEFINE_string('checkpoint', None, 'The run to make smaller.')
  flags.DEFINE_list(
    'pruned',
    [],
    'Runs of tools/prune; a path with a comma goes into double quotes.',
  )
  flags.DEFINE_string('out', None, 'The JSON file to write.')
  flags.mark_flags_as_required(['checkpoint', 'out'])
  run_command(main)
