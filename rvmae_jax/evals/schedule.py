"""Evaluations in the training loop, each every so many steps."""

import collections
import json
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from absl import logging

from rvmae_jax.data.classes import check_same_classes
from rvmae_jax.evals import Evaluation, build_evals
from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.evals.tables import format_tables
from rvmae_jax.evals.videos import Videos

# A file, and the seconds of it that a record has.
_Span = tuple[str, tuple[float, float]]


class ScheduledEvals:
  """Runs each of `config.evals` after every `every_steps` and the last step.

  Args:
    entries: evaluation alias -> its config, with `every_steps`; 0 leaves it
      out, after the last step too.
    total_steps: of the run.
    learned, num_classes: of the network's classifier, see `check_ready`.
    **settings: of `build_eval`.

  Raises:
    ValueError: a wrong setting, a source that cannot be read, or labels that
      are not those that are learned.
  """

  def __init__(
    self,
    entries: Mapping[str, Any],
    *,
    total_steps: int,
    learned: Mapping[str, Sequence[str]] | None = None,
    num_classes: int = 0,
    **settings,
  ):
    self._total_steps = total_steps
    entries = {k: entry for k, entry in entries.items() if entry['every_steps']}
    self._every_steps = {
      k: entry['every_steps'] for k, entry in entries.items()
    }
    self._evals = build_evals(entries, **settings)
    check_ready(self._evals, learned, num_classes)

  def due(self, step: int) -> list[str]:
    """Aliases of the evaluations that belong after this step."""
    is_last = step == self._total_steps
    return [
      alias
      for alias, every_steps in self._every_steps.items()
      if is_last or step % every_steps == 0
    ]

  def run(
    self, functions: ModelFunctions, step: int, aliases: Sequence[str]
  ) -> dict[str, float]:
    """Runs some evaluations; numbers named `<alias>/<metric>`."""
    numbers = {}
    for alias in aliases:
      start = time.perf_counter()
      values = self._evals[alias].run(functions).metrics
      seconds = time.perf_counter() - start
      shown = format_tables(values)
      logging.info('%s at step %d (%.1f s):\n%s', alias, step, seconds, shown)
      numbers |= {f'{alias}/{key}': value for key, value in values.items()}
    return numbers


def check_ready(
  evaluations: Mapping[str, Evaluation],
  learned: Mapping[str, Sequence[str]] | None = None,
  num_classes: int = 0,
) -> None:
  """Checks the videos of evaluations, before hours of training.

  They have to be there, and a label has to mean the same among those that an
  evaluation learns from and those that it asks about. For an evaluation of the
  network's own classifier, the former are those of the run. A source that
  several evaluations read is opened once for all of them. No evaluation may be
  asked about videos that it learns from.

  Args:
    evaluations: by alias.
    learned: names of the classes that the network itself has learned, see
      `data.classes.check_same_classes`; None or empty if unknown.
    num_classes: of the network's classifier; 0 where it has none.

  Raises:
    ValueError: names the evaluation, what it lacks, and what to do.
  """
  known: dict[str, Videos] = {}
  spans: dict[str, list[_Span]] = {}

  def key(videos):
    return json.dumps(videos.sources, sort_keys=True, default=list)

  def spans_of(videos):
    if key(videos) not in spans:
      spans[key(videos)] = [*_spans(videos)]
    return spans[key(videos)]

  def classes(alias, side, videos):
    """Names of classes by source, as messages call it."""
    try:
      built = videos.share(known.setdefault(key(videos), videos)).built
    except (ValueError, FileNotFoundError) as error:
      raise ValueError(
        f'The videos of config.evals.{alias}.{side} cannot be read: {error} '
        'Give the split videos (where a folder or list is divided by itself, a '
        'class needs three for one in each split), name another one, or leave '
        'the evaluation out (of training: '
        f'--config.evals.{alias}.every_steps=0).'
      ) from error
    names = (f'config.evals.{alias}.{side}.sources.{k}' for k in videos.sources)
    return {name: s.class_names for name, s in zip(names, built)}

  for alias, evaluation in evaluations.items():
    sides = evaluation.videos_by_side()
    found = [classes(alias, side, videos) for side, videos in sides.items()]
    if len(sides) == 2:
      _check_apart(alias, *map(spans_of, sides.values()))
    if evaluation.asks_classifier:
      check_same_classes(learned or {}, found[-1], num_classes)
    elif len(found) == 2:
      check_same_classes(*found)


def _check_apart(
  alias: str, learned: Sequence[_Span], asked: Sequence[_Span]
) -> None:
  """Raises ValueError if videos that are asked about are learned from, too."""
  spans = collections.defaultdict(list)
  for path, span in learned:
    spans[path].append(span)
  both = [
    path
    for path, (start, end) in asked
    if any(start < e and s < end for s, e in spans.get(path, ()))
  ]
  if both:
    raise ValueError(
      f'config.evals.{alias} would be tested on what it learns from: '
      f'{len(both)} records of test are in train, too, such as {both[0]}. Give '
      'each a split of its own.'
    )


def _spans(videos: Videos) -> Iterator[_Span]:
  """Which seconds of which files the records of sources are.

  Records that are no files can only be told apart by their source's settings.
  """
  for settings, source in zip(videos.sources.values(), videos.built):
    is_listed = not hasattr(source, 'identities')
    records = map(source.__getitem__, range(len(source) if is_listed else 0))
    spans = [
      (
        os.path.abspath(record['path']),
        (record.get('start_s', 0), record.get('end_s', math.inf)),
      )
      for record in records
      if not {'video', 'frames'} & record.keys()
    ]
    same = json.dumps({**settings, 'weight': 1}, sort_keys=True, default=list)
    yield from spans or [(f'those of {same}', (0, math.inf))]
