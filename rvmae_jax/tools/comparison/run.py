"""One run of a comparison: a recipe trained within a budget, then evaluated.

What it leaves in its folder is that of `rvmae_jax.train`, and besides:

  cost.json      size and speed of the training step
  evaluation/    of its frozen features, as `rvmae_jax.evaluate` leaves it
  finetune/      the run that fine-tunes its encoder, and the evaluation of that
  result.json    all numbers; only a finished run has it
  failure.txt    why the last attempt failed
"""

import contextlib
import datetime
import json
import pathlib
import time
from collections.abc import Iterator
from typing import Any

import jax
from ml_collections import ConfigDict

from rvmae_jax import config_utils, files
from rvmae_jax.benchmarks.step import StepBenchmark
from rvmae_jax.data import manifest
from rvmae_jax.data.locking import FolderLock
from rvmae_jax.data.pipeline import source_classes, training_dataset
from rvmae_jax.data.writing import write_whole
from rvmae_jax.evaluate import build_evaluations, evaluate
from rvmae_jax.parts import build_parts
from rvmae_jax.tools.comparison import recipes as compare_recipes
from rvmae_jax.train import train
from rvmae_jax.training.environment import environment, typed_command
from rvmae_jax.training.health import find_spans
from rvmae_jax.visualize.curves import read_lines

_NUM_ROUNDS = 3  # Of measuring; machines drift.


def run(
  config: ConfigDict, method: str, seed: int, workdir: pathlib.Path
) -> dict[str, Any]:
  """Measures, trains, evaluates and fine-tunes; goes on where it stood.

  Args:
    config: of the comparison, see `configs/compare_sprites.py`.
    method: a name in `config.methods`.
    seed: of the run.
    workdir: of this run alone.

  Returns:
    `key`, see `compare_recipes.run_key`; `date` (2026-11-28); `config`, the
    recipe; `environment`; `seconds` that this attempt took, and by `phases`;
    `problems` of training, see `training.health`; and `figures`, numbers by
    name: cost.json's, `clips` and `flops` spent on training, the evaluations'
    as `<alias>/<metric>`, and fine-tuning's as `finetune/<alias>/<metric>`.

  Raises:
    ValueError: settings that make no sense, a budget that does not buy a step,
      a workdir that holds a run of other settings, or evaluations that ask
      about videos that were trained on.
    InUseError: another process is at it.
  """
  seconds = {}
  is_trained = compare_recipes.is_trained(config, method)
  with FolderLock(workdir, 'compare'):
    recipe = compare_recipes.run_recipe(config, method, seed)
    check_stages(config, recipe, is_trained)
    with _timed(seconds, 'measuring'):
      cost = measure(recipe, workdir, config.measure_s)
    num_clips = 0
    with _timed(seconds, 'training'):
      if is_trained:
        recipe.total_steps = compare_recipes.num_steps(
          config.budget, recipe.batch_size, cost
        )
        num_clips = recipe.total_steps * recipe.batch_size
        params = _train(recipe, workdir)
      else:
        params = jax.jit(build_parts(recipe).init)().params
    figures = {**cost, 'clips': num_clips}
    if cost['flops_per_clip']:
      figures['flops'] = num_clips * cost['flops_per_clip']
    with _timed(seconds, 'evaluation'):
      figures |= _evaluate(config.evaluation, params, recipe, workdir)
    if 'finetune' in config:
      with _timed(seconds, 'fine-tuning'):
        start = workdir.resolve() if is_trained else ''
        tuned = compare_recipes.finetune_recipe(config, recipe, start)
        folder = workdir / 'finetune'
        found = _evaluate(
          _tuned_evaluation(config), _train(tuned, folder), tuned, folder
        )
        figures |= {f'finetune/{name}': value for name, value in found.items()}
    result = {
      'key': compare_recipes.run_key(config, method, seed),
      'date': datetime.date.today().isoformat(),
      'config': json.loads(config_utils.to_json(recipe)),
      'environment': environment(),
      'seconds': sum(seconds.values()),
      'phases': seconds,
      'figures': figures,
      'problems': _problems(workdir / 'metrics.jsonl', recipe),
    }
    write_whole(workdir / 'result.json', json.dumps(result, indent=2))
  return result


def check_stages(
  config: ConfigDict, recipe: ConfigDict, is_trained: bool
) -> None:
  """Checks the settings of all stages before the first of them starts.

  Networks are put together and lists are read; no video is, and nothing is
  computed.

  Args:
    config: of the comparison.
    recipe: of the run.
    is_trained: whether the run trains it, or evaluates it as it is.

  Raises:
    ValueError: a setting that makes no sense, videos that are not there, or
      labels of evaluations that are not those that are learned.
  """
  _check_stage(recipe, config.evaluation, is_trained)
  if 'finetune' in config:
    tuned = compare_recipes.finetune_recipe(config, recipe, '')
    _check_stage(tuned, _tuned_evaluation(config), True)


def _check_stage(
  recipe: ConfigDict, evaluation: ConfigDict, is_trained: bool
) -> None:
  parts = build_parts(recipe)
  num_classes = getattr(parts.objective, 'num_classes', 0)
  if is_trained:
    training_dataset(recipe, num_classes=num_classes)
  learned = source_classes(recipe.data.sources) if num_classes else {}
  build_evaluations(evaluation, recipe, learned)


def _tuned_evaluation(config: ConfigDict) -> ConfigDict:
  return ConfigDict({**config.evaluation, 'evals': config.finetune.evals})


def measure(
  recipe: ConfigDict, workdir: pathlib.Path, seconds: float
) -> dict[str, float | None]:
  """Size and speed of a training step on fake data, measured once and kept.

  Once, since a budget in seconds counts on the speed, and a run that goes on
  must have the length that it began with.

  Returns:
    `parameters`; `flops_per_clip` of training, None where the model does not
    count; `gib` of memory that XLA plans for a device; `clips_per_s`.
  """
  path, key = workdir / 'cost.json', compare_recipes.configs_digest(recipe)
  if path.exists():
    kept = files.read_json(path)
    if kept.get('key') == key:
      return kept['cost']
  benchmark = StepBenchmark(recipe)
  for _ in range(_NUM_ROUNDS):
    benchmark.run_round(seconds / _NUM_ROUNDS)
  result = benchmark.result()
  cost = {
    'parameters': sum(
      leaf.size for leaf in jax.tree.leaves(benchmark.parts.shapes.params)
    ),
    'flops_per_clip': benchmark.parts.flops_per_clip,
    'gib': result['gib'],
    'clips_per_s': result['clips_per_s'],
  }
  write_whole(path, json.dumps({'key': key, 'cost': cost}, indent=2))
  return cost


def _train(recipe: ConfigDict, workdir: pathlib.Path) -> Any:
  """Trains, or resumes a run of the same settings; returns its parameters."""
  path = workdir / 'config.json'
  if path.exists() and path.read_text() != config_utils.to_json(recipe):
    raise ValueError(
      f'{workdir} holds a run of other settings; remove it, or compare in '
      'another --workdir.'
    )
  return train(recipe, str(workdir)).params


def _problems(path: pathlib.Path, recipe: ConfigDict) -> list[str]:
  """Problems of training, from its log; none if nothing was trained."""
  if not path.exists():
    return []
  return [str(span) for span in find_spans(read_lines(path), recipe)]


def _evaluate(
  config: ConfigDict, params: Any, recipe: ConfigDict, workdir: pathlib.Path
) -> dict[str, float]:
  """Numbers as `<alias>/<metric>`."""
  run = manifest.find_run(workdir)  # None where nothing was trained.
  results = evaluate(
    config,
    params,
    recipe,
    workdir / 'evaluation',
    seen=run and manifest.SeenVideos(run),
    command=typed_command('rvmae_jax.tools.compare'),
  )
  return {
    f'{alias}/{name}': value
    for alias, entry in results.items()
    for name, value in entry['metrics'].items()
  }


@contextlib.contextmanager
def _timed(seconds: dict[str, float], phase: str) -> Iterator[None]:
  start_s = time.monotonic()
  yield
  seconds[phase] = round(time.monotonic() - start_s, 1)
  print(f'{phase}: {seconds[phase]:.0f} s', flush=True)
