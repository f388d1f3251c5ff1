"""Methods side by side: how accurate, and what training cost."""

from collections.abc import Mapping, Sequence
from typing import Any

from rvmae_jax.visualize.style import COLOURS, TEXT, new_figure, styled

_COSTS = {'flops': ('training, TFLOPs', 1e12), 'clips': ('training clips', 1)}


@styled
def draw_comparison(
  rows: Sequence[Mapping[str, Any]], metrics: Mapping[str, str], cost: str
) -> Any:
  """A line for each method: accuracies on the left, cost on the right.

  Accuracies have their deviation over seeds; a dotted line is the chance of the
  first. Methods that lack the first accuracy are left out.

  Args:
    rows: with `method`, and `mean` and `std` by figure; drawn from the top.
    metrics: figure -> what it is called, for up to four accuracies in [0, 1].
    cost: the figure on the right, 'flops' or 'clips'.
  """
  first, *_ = metrics
  rows = [row for row in rows if first in row['mean']]
  figure = new_figure(8.5, 1.2 + 0.24 * len(rows))
  left, right = figure.subplots(1, 2, sharey=True, width_ratios=[3, 1])
  for (metric, heading), colour in zip(metrics.items(), COLOURS):
    _draw_accuracies(left, rows, metric, heading, colour)
  chance = f'{first.partition("/")[0]}/chance'
  if rows and chance in rows[0]['mean']:
    at = 100 * rows[0]['mean'][chance]
    left.axvline(at, color=TEXT, linewidth=1, linestyle=':', label='chance')
  left.set_xlim(left=0)
  left.set_xlabel('accuracy, %')
  left.set_yticks(range(len(rows)), [row['method'] for row in rows])
  left.tick_params(axis='y', length=0)
  left.invert_yaxis()
  left.grid(axis='both')
  figure.legend(ncols=5, loc='outside upper center')

  heading, unit = _COSTS[cost]
  for place, row in enumerate(rows):
    spent = row['mean'].get(cost)
    if spent is None:  # No bar would mean that it was free.
      right.text(0, place, ' not counted', va='center', fontsize=8)
    else:
      right.barh(place, spent / unit, height=0.55, color=TEXT, alpha=0.5)
  right.set_xlabel(heading)
  right.tick_params(axis='y', length=0)
  return figure


def _draw_accuracies(
  axes: Any,
  rows: Sequence[Mapping[str, Any]],
  metric: str,
  heading: str,
  colour: str,
) -> None:
  """A point for each method that has the metric, with its deviation."""
  places = [i for i, row in enumerate(rows) if metric in row['mean']]
  axes.errorbar(
    [100 * rows[i]['mean'][metric] for i in places],
    places,
    xerr=[100 * (rows[i]['std'][metric] or 0) for i in places],
    fmt='o',
    markersize=5,
    color=colour,
    elinewidth=1,
    label=heading,
  )
