"""What a comparison's config stands for: recipes, lengths, evaluations."""

import hashlib
import pathlib
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from rvmae_jax import config_utils
from rvmae_jax.models.classifier import classifier_config
from rvmae_jax.registry import check_known, near_names


def run_recipe(config: ConfigDict, method: str, seed: int) -> ConfigDict:
  """The recipe of a run with the comparison's changes; its length is its own.

  Raises:
    ValueError: a change of an entry that the recipe does not have.
  """
  entry = config.methods[method]
  recipe = _changed(entry.recipe, config.shared, entry.get('changes', {}))
  recipe.seed = seed
  # All are evaluated alike.
  recipe.evals = ConfigDict(config.get('during_training', {}))
  return recipe


def finetune_recipe(
  config: ConfigDict, recipe: ConfigDict, init_from: str | pathlib.Path
) -> ConfigDict:
  """The recipe that fine-tunes the encoder of a run.

  Args:
    config: of the comparison, with `finetune`.
    recipe: of the run.
    init_from: what to start from; empty for random weights.

  Raises:
    ValueError: a change of an entry that the recipe does not have, or fewer
      clips than a step takes.
  """
  finetune = config.finetune
  tuned = _changed(finetune.recipe, config.shared, finetune.changes)
  tuned.seed = recipe.seed
  tuned.evals = ConfigDict()
  tuned.model = ConfigDict(
    classifier_config(recipe.model.to_dict(), **finetune.classifier)
  )
  tuned.checkpoint.init_from = str(init_from)
  budget = {'unit': 'clips', 'amount': finetune.clips}
  tuned.total_steps = num_steps(budget, tuned.batch_size, {})
  return tuned


def _changed(spec: str, *all_changes: Mapping[str, Any]) -> ConfigDict:
  recipe = config_utils.load_config(spec)
  for changes in all_changes:
    if unknown := set(changes) - set(recipe):
      name = min(unknown)
      raise ValueError(
        f'{spec} has no entry {name!r} to change. {near_names(name, recipe)}'
      )
    recipe = config_utils.merged(recipe, changes)
  return recipe


def run_key(config: ConfigDict, method: str, seed: int) -> str:
  """Tells whether a result is that of these settings."""
  recipe = run_recipe(config, method, seed)
  parts = [recipe, ConfigDict(), config.evaluation]
  if is_trained(config, method):
    parts[1] = ConfigDict(config.budget)
  if 'finetune' in config:
    parts += [finetune_recipe(config, recipe, ''), config.finetune]
  return configs_digest(*parts)


def is_trained(config: ConfigDict, method: str) -> bool:
  """Whether a method spends the budget, or is evaluated as it starts."""
  return config.methods[method].get('is_trained', True)


def num_steps(
  budget: Mapping[str, Any], batch_size: int, cost: Mapping[str, float | None]
) -> int:
  """Training steps that a budget buys.

  Args:
    budget: `unit`, one of 'clips', 'flops' and 'seconds' (of the training step
      at its measured speed: neither compiling nor data), and `amount`.
    batch_size: clips in a step.
    cost: `flops_per_clip` and `clips_per_s`, as far as the unit needs them.

  Raises:
    ValueError: an unknown unit, a model that does not count its FLOPs, or less
      than a step.
  """
  unit, amount = budget['unit'], budget['amount']
  prices = {
    'clips': lambda: 1,
    'flops': lambda: cost['flops_per_clip'],
    'seconds': lambda: 1 / cost['clips_per_s'],
  }
  check_known('config.budget.unit', prices, unit)
  price = prices[unit]()
  if not price:
    raise ValueError(
      'This model does not count its FLOPs, so a budget in flops cannot be '
      'shared out; give it `flops_per_clip`, or use clips or seconds.'
    )
  # The sum keeps 0.3 / 0.1 from being 2.
  steps = int(amount / (price * batch_size) + 1e-6)
  if not steps:
    raise ValueError(
      f'A budget of {amount:g} {unit} does not buy one step of {batch_size} '
      f'clips, which takes {price * batch_size:g}.'
    )
  return steps


def configs_digest(*configs: ConfigDict) -> str:
  """A hash of configs."""
  text = '\n'.join(config_utils.to_json(config) for config in configs)
  return hashlib.sha256(text.encode()).hexdigest()
