"""Measures how many clips a second the input pipeline delivers, and why.

  python -m rvmae_jax.benchmarks loader --config configs/rvm_pretrain.py \\
    [--shards DIR] [--seconds 20] [--cores 1] [--config.data.num_threads=8]

First the whole pipeline as training uses it, then the stages of a clip one
after the other in a single thread; with `--shards` all of it once more, reading
those shards. The last line is the result as JSON.
"""

import collections
import copy
import dataclasses
import json
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from absl import flags
from ml_collections import ConfigDict

from rvmae_jax.commands import run_command
from rvmae_jax.config_utils import define_config_flag, token_size
from rvmae_jax.data.bad_videos import read_or_replace
from rvmae_jax.data.batching import concatenate_rows
from rvmae_jax.data.loader import make_loader
from rvmae_jax.data.pipeline import (
  build_sources,
  check_config,
  training_dataset,
)


def benchmark_loader(
  config: ConfigDict, seconds: float = 20, batch_size: int = 8
) -> dict[str, Any]:
  """Measures `config.data`.

  Args:
    config: a recipe.
    seconds: half of it for the stages, half for the whole pipeline.
    batch_size: rows in a batch.

  Returns:
    `clips_per_s` and `cpu_ms` (processor time of a clip, without worker
    processes) of the whole pipeline; `stage_ms` (milliseconds of a clip in each
    stage, alone in one thread); what they were measured with.
  """
  data = check_config(config.data)
  return {
    **_pipeline_speed(config, seconds / 2, batch_size),
    'stage_ms': _stage_ms(config, seconds / 2, batch_size),
    'cores': len(os.sched_getaffinity(0)),
    'batch_size': batch_size,
    'size': data['crop']['size'],
    **{key: data[key] for key in ('num_threads', 'num_workers', 'repeats')},
  }


def _pipeline_speed(
  config: ConfigDict, seconds: float, batch_size: int
) -> dict[str, float]:
  dataset = training_dataset(config, batch_size)
  iterator = iter(dataset)
  # What is loaded ahead would be counted as if it had taken no time.
  for _ in range(1 + check_config(config.data)['prefetch']):
    next(iterator)
  start, cpu_start = time.perf_counter(), time.process_time()
  num_clips = 0
  while (elapsed_s := time.perf_counter() - start) < seconds:
    num_clips += len(next(iterator)['label'])
  cpu_s = time.process_time() - cpu_start
  iterator.close()
  return {
    'clips_per_s': round(num_clips / elapsed_s, 2),
    'cpu_ms': round(1e3 * cpu_s / num_clips, 2),
  }


def _stage_ms(
  config: ConfigDict, seconds: float, batch_size: int
) -> dict[str, float]:
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


def main(args: flags.FlagValues) -> None:
  """Runs the command."""
  if args.cores:
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[: args.cores])
  configs = {'config': args.config}
  if args.shards:
    configs['shards'] = copy.deepcopy(args.config)
    with configs['shards'].unlocked():
      source = {'name': 'shards', 'path': args.shards}
      configs['shards'].data.sources = {'shards': source}
  results = {}
  for name, config in configs.items():
    result = benchmark_loader(config, args.seconds, args.batch_size)
    results[name] = result
    print(
      f'{name}: {result["clips_per_s"]:.2f} clips/s on {result["cores"]} '
      f'core(s), {result["cpu_ms"]:.2f} ms of processor time a clip'
    )
    for stage, ms in result['stage_ms'].items():
      print(f'  {stage:8} {ms:8.2f} ms a clip')
  print(json.dumps(results))


if __name__ == '__main__':
  define_config_flag()
  flags.DEFINE_string('shards', '', 'Measure these shards as well.')
  flags.DEFINE_float('seconds', 20, 'Seconds to measure for.')
  flags.DEFINE_integer('batch_size', 8, 'Rows in a batch.')
  flags.DEFINE_integer('cores', 0, 'CPU cores to use; 0 = all.')
  run_command(main)
