"""Measures how many clips a second the input pipeline delivers, and why.

  python -m rvmae_jax.benchmarks loader --config configs/rvm_pretrain.py \\
    [--shards DIR] [--against data.num_workers=2] [--evaluation knn] \\
    [--seconds 20] [--cores 1] [--config.data.num_threads=8]

The whole pipeline as training uses it: of the config, with the values of each
`--against` (comma-separated), and with `--shards` all of these once more,
reading those shards. `--evaluation` adds batches of that entry of
`config.evals`. All take turns, round after round, since machines drift; ratios
are against the first. Then the stages of a clip one after the other, in a
single thread. The last line is the result as JSON.
"""

import collections
import copy
import dataclasses
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from absl import flags
from ml_collections import ConfigDict

from rvmae_jax.benchmarks.measurement import format_table
from rvmae_jax.commands import run_command
from rvmae_jax.config_utils import define_config_flag, token_size, with_values
from rvmae_jax.data.bad_videos import read_or_replace
from rvmae_jax.data.batching import concatenate_rows
from rvmae_jax.data.loader import make_loader
from rvmae_jax.data.pipeline import (
  build_sources,
  check_config,
  training_dataset,
)
from rvmae_jax.evals import build_eval

# Figure -> title in tables.
COLUMNS = {
  'clips_per_s': 'clips/s',
  'speed_ratio': 'ratio',
  'cpu_ms': 'CPU ms/clip',
  'num_threads': 'threads',
  'num_workers': 'workers',
}
_NUM_ROUNDS = 3


@dataclasses.dataclass(frozen=True)
class Reading:
  """What is read of a recipe, and from where.

  Attributes:
    config: the recipe.
    shards: a folder to read instead of the recipe's sources; '' means those.
    evaluation: key of `config.evals` whose batches are read; '' means those
      that are trained on.
  """

  config: ConfigDict
  shards: str = ''
  evaluation: str = ''

  @property
  def training_config(self) -> ConfigDict:
    """The recipe with the sources that are read."""
    config = copy.deepcopy(self.config)
    if self.shards:
      with config.unlocked():
        config.data.sources = self._shards
    return config

  def batches(self, batch_size: int) -> Iterator[dict[str, np.ndarray]]:
    """Batches without end; those of an evaluation pass after pass."""
    if self.evaluation:
      return self._evaluation_batches(batch_size)
    return iter(training_dataset(self.training_config, batch_size))

  def _evaluation_batches(
    self, batch_size: int
  ) -> Iterator[dict[str, np.ndarray]]:
    data = check_config(self.config.data)
    evaluation = build_eval(
      self.config.evals[self.evaluation],
      run_config=self.config,
      shared={key: data[key] for key in ('num_threads', 'num_workers')},
      batch_size=batch_size,
      seed=self.config.seed,
    )
    # Most evaluations that have two sides read both alike.
    videos = getattr(evaluation, evaluation.sides[0])
    if self.shards:
      videos = videos.replace(sources=self._shards)
    while True:
      yield from videos.batches()

  @property
  def _shards(self) -> dict[str, dict[str, str]]:
    return {'shards': {'name': 'shards', 'path': self.shards}}


def benchmark_loader(
  readings: Mapping[str, Reading], seconds: float = 20, batch_size: int = 8
) -> dict[str, dict[str, Any]]:
  """Measures whole pipelines in turn.

  Args:
    readings: by name.
    seconds: of measuring for each, over all rounds.
    batch_size: rows in a batch.

  Returns:
    Name -> `clips_per_s` (the median of the rounds) and `clips_per_s_range`,
    `speed_ratio` to the first, `cpu_ms` (processor time of a clip, without
    worker processes), and what they were measured with.
  """
  rounds = {name: [] for name in readings}
  for _ in range(_NUM_ROUNDS):
    for name, reading in readings.items():
      rounds[name].append(_speed(reading, seconds / _NUM_ROUNDS, batch_size))
  results = {}
  for name, reading in readings.items():
    clips_per_s, cpu_ms = zip(*rounds[name])
    data = check_config(reading.config.data)
    results[name] = {
      'clips_per_s': statistics.median(clips_per_s),
      'clips_per_s_range': [min(clips_per_s), max(clips_per_s)],
      'cpu_ms': statistics.median(cpu_ms),
      'cores': len(os.sched_getaffinity(0)),
      'batch_size': batch_size,
      'size': data['crop']['size'],
      **{key: data[key] for key in ('num_threads', 'num_workers', 'repeats')},
    }
  first = next(iter(results.values()))['clips_per_s']
  for result in results.values():
    result['speed_ratio'] = result['clips_per_s'] / first
  return results


def _speed(
  reading: Reading, seconds: float, batch_size: int
) -> tuple[float, float]:
  """Clips a second, and milliseconds of this process's time for one."""
  batches = reading.batches(batch_size)
  # What is loaded ahead would be counted as if it had taken no time.
  for _ in range(1 + check_config(reading.config.data)['prefetch']):
    next(batches)
  start, cpu_start = time.perf_counter(), time.process_time()
  num_clips = 0
  while (elapsed_s := time.perf_counter() - start) < seconds:
    batch = next(batches)
    # A last batch of an evaluation is filled up.
    num_clips += (
      batch['valid'].sum() if 'valid' in batch else len(batch['label'])
    )
  cpu_s = time.process_time() - cpu_start
  batches.close()
  return float(num_clips / elapsed_s), float(1e3 * cpu_s / num_clips)


def stage_ms(
  config: ConfigDict, seconds: float, batch_size: int
) -> dict[str, float]:
  """Milliseconds of a training clip in each stage, alone in one thread.

  Args:
    config: a recipe.
    seconds: of measuring, about.
    batch_size: rows in a batch.
  """
  data = check_config(config.data)
  spent_s = collections.Counter()
  loader = make_loader(data, **token_size(config.model), train=True)

  def timed(stage: str, function: Callable) -> Callable:
    def measured(*args):
      start = time.perf_counter()
      try:
        return function(*args)
      finally:
        spent_s[stage] += time.perf_counter() - start

    return measured

  def open_timed(record):
    reader = timed('open', loader.open)(record)
    reader.read = timed('decode', reader.read)
    return reader

  load = dataclasses.replace(
    loader,
    open=open_timed,
    sample=timed('sample', loader.sample),
    augment=timed('augment', loader.augment),
    augment_view2=timed('augment', loader.augment_view2),
    flow=loader.flow and timed('flow', loader.flow),
    mask=loader.mask and timed('mask', loader.mask),
  )
  sources = build_sources(data['sources'])
  weights = np.array([s.get('weight', 1.0) for s in data['sources'].values()])
  rng = np.random.default_rng(config.seed)
  num_clips = 0
  rows = []
  start = time.perf_counter()
  while time.perf_counter() - start < seconds:
    source = sources[rng.choice(len(sources), p=weights / weights.sum())]
    clips, _ = read_or_replace(
      source, rng.integers(len(source)), lambda record: load(record, rng)
    )
    rows.append(clips)
    num_clips += loader.repeats
    if len(rows) * loader.repeats >= batch_size:
      timed('batch', concatenate_rows)(rows)
      rows = []
  stages = ('open', 'sample', 'decode', 'augment', 'flow', 'mask', 'batch')
  return {
    stage: round(1e3 * spent_s[stage] / num_clips, 2)
    for stage in stages
    if stage in spent_s
  }


def _readings(args: flags.FlagValues) -> dict[str, Reading]:
  """What the command asks for, by name."""
  configs = {'as given': args.config}
  configs |= {text: with_values(args.config, text) for text in args.against}
  readings = {}
  for shards in dict.fromkeys(('', args.shards)):
    for evaluation in dict.fromkeys(('', args.evaluation)):
      for name, config in configs.items():
        words = shards and 'shards', evaluation, name
        reading = Reading(config, shards, evaluation)
        readings[', '.join(filter(None, words))] = reading
  return readings


def main(args: flags.FlagValues) -> None:
  """Runs the command."""
  if args.cores:
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[: args.cores])
  readings = _readings(args)
  results = benchmark_loader(readings, args.seconds, args.batch_size)
  print(format_table(results, COLUMNS))
  for name in ('as given', 'shards, as given'):
    if name not in readings:
      continue
    results[name]['stage_ms'] = stage_ms(
      readings[name].training_config, args.seconds, args.batch_size
    )
    print(f'{name}, one thread:')
    for stage, ms in results[name]['stage_ms'].items():
      print(f'  {stage:8} {ms:8.2f} ms a clip')
  print(json.dumps(results))


if __name__ == '__main__':
  define_config_flag()
  flags.DEFINE_string('shards', '', 'Measure these shards as well.')
  flags.DEFINE_multi_string(
    'against', [], 'Other values, comma-separated; may be repeated.'
  )
  flags.DEFINE_string(
    'evaluation', '', 'Measure this entry of config.evals as well.'
  )
  flags.DEFINE_float('seconds', 20, 'Seconds to measure each for.')
  flags.DEFINE_integer('batch_size', 8, 'Rows in a batch.')
  flags.DEFINE_integer('cores', 0, 'CPU cores to use; 0 = all.')
  run_command(main)
