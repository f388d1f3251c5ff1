"""Evaluations in the training loop, each every so many steps."""

import time
from collections.abc import Mapping, Sequence
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

  def due(self, step: int) -> list[str]:
    """Aliases of the evaluations that belong after this step."""
    is_last = step == self._total_steps
    return [
      alias
      for alias, every_steps in self._every_steps.items()
      if is_last or step % every_steps == 0
    ]

  def is_due(self, step: int) -> bool:
    """Whether any evaluation belongs after this step."""
    return bool(self.due(step))

  def run(
    self,
    functions: ModelFunctions,
    step: int,
    aliases: Sequence[str] | None = None,
  ) -> dict[str, float]:
    """Runs what is due after this step, or of that only `aliases`.

    Returns:
      Numbers named `<alias>/<metric>`.
    """
    numbers = {}
    for alias in self.due(step) if aliases is None else aliases:
      start = time.perf_counter()
      values = self._evals[alias].run(functions, step)
      seconds = time.perf_counter() - start
      shown = ', '.join(f'{key} {value:.4g}' for key, value in values.items())
      logging.info('%s at step %d (%.1f s): %s', alias, step, seconds, shown)
      numbers |= {f'{alias}/{key}': value for key, value in values.items()}
    return numbers
