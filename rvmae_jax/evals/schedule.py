"""Evaluations in the training loop, each every so many steps."""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from absl import logging

from rvmae_jax.data.pipeline import build_sources
from rvmae_jax.evals import build_evals, videos_of
from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.evals.videos import check_same_classes


class ScheduledEvals:
  """Runs each of `config.evals` after every `every_steps` and the last step.

  Args:
    entries: evaluation alias -> its config, with `every_steps`; 0 leaves it
      out, after the last step too.
    total_steps: of the run.
    **settings: of `build_eval`.

  Raises:
    ValueError: a wrong setting, or a source that cannot be read.
  """

  def __init__(
    self,
    entries: Mapping[str, Any],
    *,
    total_steps: int,
    **settings,
  ):
    self._total_steps = total_steps
    entries = {k: entry for k, entry in entries.items() if entry['every_steps']}
    self._every_steps = {
      k: entry['every_steps'] for k, entry in entries.items()
    }
    self._evals = build_evals(entries, **settings)
    check_ready(self._evals)

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
      values = self._evals[alias].run(functions, step).metrics
      seconds = time.perf_counter() - start
      shown = ', '.join(f'{key} {value:.4g}' for key, value in values.items())
      logging.info('%s at step %d (%.1f s): %s', alias, step, seconds, shown)
      numbers |= {f'{alias}/{key}': value for key, value in values.items()}
    return numbers


def check_ready(evaluations: Mapping[str, Any]) -> None:
  """Checks that all videos are there and labels agree, before hours of work.

  Args:
    evaluations: by alias. Those with a `dataset` of their own read no videos.

  Raises:
    ValueError: names the evaluation, what it lacks, and what to do.
  """
  checked = set()
  for alias, evaluation in evaluations.items():
    if getattr(evaluation, 'dataset', None):
      continue
    found = videos_of(evaluation)
    for side, videos in found.items():
      key = json.dumps(videos.sources, sort_keys=True, default=list)
      if key in checked:
        continue
      checked.add(key)
      try:
        build_sources(videos.sources)
      except (ValueError, FileNotFoundError) as error:
        raise ValueError(
          f'The videos of config.evals.{alias}.{side} cannot be read: {error} '
          'Give the split videos (where a folder or list is divided by itself, '
          'a class needs three for one in each split), name another one, or '
          f'leave the evaluation out: --config.evals.{alias}.every_steps=0.'
        ) from error
    if {'train', 'test'} <= found.keys():
      check_same_classes(found['train'], found['test'])
