"""One run of a comparison: a recipe trained within a budget, then evaluated.

What it leaves in its folder is that of `rvmae_jax.train`, and besides:

  cost.json      size and speed of the training step
  evaluation/    as `rvmae_jax.evaluate` leaves it
  result.json    all numbers; only a finished run has it
  failure.txt    why the last attempt failed
"""

import contextlib
import fcntl
import hashlib
import json
import pathlib
import time
from collections.abc import Iterator, Mapping
from typing import Any

import jax
from ml_collections import ConfigDict

from rvmae_jax import config_utils
from rvmae_jax.evals.videos import override
from rvmae_jax.evaluate import environment, evaluate
from rvmae_jax.masking import MASKS
from rvmae_jax.objectives import build_objective
from rvmae_jax.parts import build_parts
from rvmae_jax.registry import near_names
from rvmae_jax.tools.benchmark_step import StepBenchmark
from rvmae_jax.train import train

_NUM_ROUNDS = 3  # Of measuring; machines drift.
# Evaluation -> the frames that it rebuilds, as `hides` of masks.
_REBUILT = {'reconstruction': 'target', 'clip_reconstruction': 'video'}


def run(
  config: ConfigDict, method: str, seed: int, workdir: pathlib.Path
) -> dict[str, Any]:
  """Measures, trains and evaluates; goes on where an earlier attempt stood.

  Args:
    config: of the comparison, see `configs/compare_sprites.py`.
    method: a name in `config.methods`.
    seed: of the run.
    workdir: of this run alone.

  Returns:
    `key`, see `run_key`; `environment`; `seconds` that this attempt took; and
    `figures`, numbers by name: cost.json's, `clips` and `flops` spent on
    training, and the evaluations' as `<alias>/<metric>`.

  Raises:
    ValueError: settings that make no sense, a budget that does not buy a step,
      or a workdir that holds a run of other settings.
    RuntimeError: another process is at it.
  """
  start_s = time.monotonic()
  workdir.mkdir(parents=True, exist_ok=True)
  with alone(workdir):
    recipe = run_recipe(config, method, seed)
    cost = measure(recipe, workdir, config.measure_s)
    num_clips = 0
    if config.methods[method].get('is_trained', True):
      recipe.total_steps = num_steps(config.budget, recipe.batch_size, cost)
      num_clips = recipe.total_steps * recipe.batch_size
      _check_same(workdir, recipe)
      params = train(recipe, str(workdir)).params
    else:
      params = jax.jit(build_parts(recipe).init)().params
    results = evaluate(
      fitting_evals(config.evaluation, recipe),
      params,
      recipe,
      workdir / 'evaluation',
    )
    spent = {'clips': num_clips}
    if cost['flops_per_clip']:
      spent['flops'] = num_clips * cost['flops_per_clip']
    result = {
      'key': run_key(config, method, seed),
      'environment': environment(),
      'seconds': time.monotonic() - start_s,
      'figures': cost
      | spent
      | {
        f'{alias}/{name}': value
        for alias, entry in results.items()
        for name, value in entry['metrics'].items()
      },
    }
    _write(workdir / 'result.json', result)
  return result


def run_recipe(config: ConfigDict, method: str, seed: int) -> ConfigDict:
  """The recipe of a run with the comparison's changes; its length is its own.

  Raises:
    ValueError: a change of an entry that the recipe does not have.
  """
  entry = config.methods[method]
  recipe = config_utils.load_config(entry.recipe)
  for changes in (config.shared, entry.get('changes', {})):
    if unknown := set(changes) - set(recipe):
      name = min(unknown)
      raise ValueError(
        f'{entry.recipe} has no entry {name!r} to change. '
        f'{near_names(name, recipe)}'
      )
    recipe = override(recipe, changes)
  recipe.seed = seed
  # All are evaluated alike, after training.
  recipe.evals = ConfigDict()
  return recipe


def run_key(config: ConfigDict, method: str, seed: int) -> str:
  """Tells whether a result is that of these settings."""
  is_trained = config.methods[method].get('is_trained', True)
  return _digest(
    run_recipe(config, method, seed),
    ConfigDict(config.budget) if is_trained else ConfigDict(),
    config.evaluation,
  )


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
  path, key = workdir / 'cost.json', _digest(recipe)
  if path.exists():
    kept = json.loads(path.read_text())
    if kept['key'] == key:
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
  _write(path, {'key': key, 'cost': cost})
  return cost


def num_steps(
  budget: Mapping[str, Any], batch_size: int, cost: Mapping[str, float | None]
) -> int:
  """Training steps that a budget buys.

  Args:
    budget: `unit`, one of 'clips', 'flops' and 'seconds' (of the training step
      at its measured speed: neither compiling nor data), and `amount`.
    batch_size: clips in a step.
    cost: `flops_per_clip` and `clips_per_s`.

  Raises:
    ValueError: an unknown unit, a model that does not count its FLOPs, or less
      than a step.
  """
  unit, amount = budget['unit'], budget['amount']
  prices = {
    'clips': 1,
    'flops': cost['flops_per_clip'],
    'seconds': 1 / cost['clips_per_s'],
  }
  if unit not in prices:
    raise ValueError(
      f'Unknown config.budget.unit={unit!r}. {near_names(unit, prices)}'
    )
  if not prices[unit]:
    raise ValueError(
      'This model does not count its FLOPs, so a budget in flops cannot be '
      'shared out; give it `flops_per_clip`, or use clips or seconds.'
    )
  # The sum keeps 0.3 / 0.1 from being 2.
  steps = int(amount / (prices[unit] * batch_size) + 1e-6)
  if not steps:
    raise ValueError(
      f'config.budget of {amount:g} {unit} does not buy one step of '
      f'{batch_size} clips, which takes {prices[unit] * batch_size:g}.'
    )
  return steps


def fitting_evals(evaluation: ConfigDict, recipe: ConfigDict) -> ConfigDict:
  """The evaluation without reconstructions that are not what a recipe does."""
  hides = ''
  if recipe.data.get('mask') and hasattr(build_objective(recipe), 'to_pixels'):
    hides = MASKS.get(recipe.data.mask.name).hides
  evals = {
    alias: entry
    for alias, entry in evaluation.evals.items()
    if _REBUILT.get(entry.name, hides) == hides
  }
  return ConfigDict({**evaluation, 'evals': evals})


def _check_same(workdir: pathlib.Path, recipe: ConfigDict) -> None:
  path = workdir / 'config.json'
  if path.exists() and path.read_text() != config_utils.to_json(recipe):
    raise ValueError(
      f'{workdir} holds a run of other settings; remove it, or compare in '
      'another --workdir.'
    )


@contextlib.contextmanager
def alone(workdir: pathlib.Path) -> Iterator[None]:
  """Keeps a second process out, such as one left over from a killed parent."""
  with (workdir / 'lock').open('w') as file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      raise RuntimeError(f'Another process is at {workdir}; wait.') from None
    yield


def _digest(*configs: ConfigDict) -> str:
  text = '\n'.join(config_utils.to_json(config) for config in configs)
  return hashlib.sha256(text.encode()).hexdigest()


def _write(path: pathlib.Path, value: Any) -> None:
  """Replaces the file in one step, so that it is never half written."""
  partial = path.with_name(f'.{path.name}.partial')
  partial.write_text(json.dumps(value, indent=2))
  partial.replace(path)
