"""Evaluations in the training loop, each every so many steps."""

import time
from collections.abc import Mapping
from typing import Any

from absl import logging

from rvmae_jax.evals import build_eval
from rvmae_jax.evals.functions import ModelFunctions


class ScheduledEvals:
  """Runs each of `config.evals` after every `every_steps` and the last step.

  Args:
    entries: evaluation alias -> its config, with `every_steps`.
    total_steps: of the run.
    **settings: what `build_eval` adds to each entry.
  """

  def __init__(
    self, entries: Mapping[str, Any], *, total_steps: int, **settings
  ):
    self._total_steps = total_steps
    self._every_steps = {
      k: entry['every_steps'] for k, entry in entries.items()
    }
    self._evals = {k: build_eval(v, **settings) for k, v in entries.items()}

  def is_due(self, step: int) -> bool:
    """Whether any evaluation belongs after this step."""
    return any(self._is_due(alias, step) for alias in self._evals)

  def run(self, functions: ModelFunctions, step: int) -> dict[str, float]:
    """Runs what is due after this step.

    Returns:
      Numbers named `<alias>/<metric>`.
    """
    numbers = {}
    for alias, evaluation in self._evals.items():
      if self._is_due(alias, step):
        start = time.perf_counter()
        values = evaluation.run(functions, step)
        seconds = time.perf_counter() - start
        shown = ', '.join(f'{key} {value:.4g}' for key, value in values.items())
        logging.info('%s at step %d (%.1f s): %s', alias, step, seconds, shown)
        numbers |= {f'{alias}/{key}': value for key, value in values.items()}
    return numbers

  def _is_due(self, alias: str, step: int) -> bool:
    return step == self._total_steps or step % self._every_steps[alias] == 0
