"""Signs in a run's numbers that it learns nothing, and remedies.

A loss can fall while a network collapses: a state that stands still, clips that
all look alike. Each sign is seen in numbers that are logged anyway, so watching
costs nothing, and a report finds the same in `metrics.jsonl` later.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

# Logged steps in a row until a sign counts: one batch may be odd.
_NUM_STEPS = 2


class Sign(NamedTuple):
  """A sign of failure: a metric outside the range that it has in healthy runs.

  Attributes:
    least, most: the bounds of that range; docs/runs.md has the runs that they
      were taken from.
    what: what it means if the metric leaves the range.
    remedy: what to try.
  """

  least: float
  most: float
  what: str
  remedy: str


# Metric -> when it is a bad sign.
SIGNS = {
  'core/gate_saturation': Sign(
    0,
    0.8,
    'the gates are stuck at 0 or 1, where they hardly learn',
    'Lower the learning rate or lengthen its warm-up.',
  ),
  'core/update_gate': Sign(
    0.02,
    0.98,
    'the update gate is shut (0: nothing new is written) or wide open (1: all '
    'is forgotten)',
    'Lower the weight of temporal losses, or the learning rate.',
  ),
  'core/state_change': Sign(
    0.05,
    float('inf'),
    'the state stands still, so that features of all frames are alike',
    'Lower the weight of temporal losses, or use one that standing still does '
    'not lower (temporal_slowness). Videos without motion look the same.',
  ),
  'features/deviation': Sign(
    1e-4,
    float('inf'),
    'the features of all clips are alike',
    'Lower the learning rate or the weight of losses that make features alike.',
  ),
  'features/rank': Sign(
    1.1,
    float('inf'),
    'the features of clips differ in one direction alone',
    'Lower the learning rate or the weight of losses that make features alike.',
  ),
}
# Of the sum of all weighted terms of the loss.
MOST_SHARE = 0.9


class Problem(NamedTuple):
  """A sign that was seen.

  Attributes:
    name: the same at every step.
    text: what was seen, with its figures.
    remedy: what to try.
  """

  name: str
  text: str
  remedy: str


def find_problems(
  metrics: Mapping[str, float], losses: Mapping[str, float], core_kind: str = ''
) -> list[Problem]:
  """What is wrong by the numbers of one step.

  Args:
    metrics: of a step; signs whose number is not there are passed over.
    losses: name -> weight, of `config.losses`.
    core_kind: of `config.model`; the gates of 'ungated' are wide open.
  """
  problems = []
  for name, sign in SIGNS.items():
    value = metrics.get(name)
    if value is None or sign.least <= value <= sign.most:
      continue
    if core_kind == 'ungated' and 'gate' in name:
      continue
    text = f'{name} is {value:.3g}: {sign.what}.'
    problems.append(Problem(name, text, sign.remedy))
  terms = {
    name: abs(weight * metrics[name])
    for name, weight in losses.items()
    if weight and name in metrics
  }
  total = sum(terms.values())
  for name, term in terms.items():
    # Pixel losses may dominate the sum; terms added to them should not.
    is_added = len(terms) > 1 and not name.startswith('pixel')
    if is_added and term > MOST_SHARE * total:
      text = (
        f'{losses[name]:g} x {name} is {term:.3g}, {term / total:.0%} of the '
        'loss: the other terms hardly count.'
      )
      problems.append(Problem(f'losses/{name}', text, f'Lower losses.{name}.'))
  return problems


@dataclasses.dataclass
class Span:
  """A problem and the logged steps, one after the other, that had it."""

  problem: Problem
  first_step: int
  last_step: int
  num_steps: int = 0

  def __str__(self) -> str:
    return (
      f'Steps {self.first_step:,} to {self.last_step:,}: {self.problem.text} '
      f'{self.problem.remedy}'
    )


class Watch:
  """Follows a run from one logged step to the next.

  Args:
    losses: name -> weight.
    core_kind: see `find_problems`.

  Attributes:
    spans: of every problem that lasted, in the order of its beginning.
  """

  def __init__(self, losses: Mapping[str, float], core_kind: str = ''):
    self._losses, self._core_kind = dict(losses), core_kind
    self._now: dict[str, Span] = {}
    self.spans: list[Span] = []

  def update(self, step: int, metrics: Mapping[str, float]) -> list[Problem]:
    """Looks at one logged step.

    Returns:
      Problems that have just lasted long enough to be reported.
    """
    before, self._now = self._now, {}
    told = []
    for problem in find_problems(metrics, self._losses, self._core_kind):
      span = before.get(problem.name) or Span(problem, step, step)
      span.problem, span.last_step = problem, step
      span.num_steps += 1
      self._now[problem.name] = span
      if span.num_steps == _NUM_STEPS:
        self.spans.append(span)
        told.append(problem)
    return told


def find_spans(
  lines: Iterable[Mapping[str, float]], config: Mapping[str, Any]
) -> list[Span]:
  """Problems of a run that lasted, from what it logged.

  Args:
    lines: of its metrics.jsonl, each with `step`.
    config: of the run.
  """
  model = config['model']
  watch = Watch(config.get('losses', {}), model.get('core_kind', ''))
  for line in lines:
    if 'loss' in line:  # Evaluations have lines of their own.
      watch.update(line['step'], line)
  return watch.spans
