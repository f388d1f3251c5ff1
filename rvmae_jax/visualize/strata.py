"""Accuracies by group, each with its confidence interval."""

from collections.abc import Mapping, Sequence
from typing import Any

from rvmae_jax.visualize.style import COLOURS, new_figure, styled

_ACROSS = 3

# What stands above a panel of a probe: its encoder and pooling.
Group = Mapping[str, float]


def strata_figures(metrics: Mapping[str, float]) -> dict[str, Any]:
  """The picture of an evaluation's `strata/...` numbers, if it has any."""
  panels: dict[str, dict[str, dict[str, Group]]] = {}
  for key, number in metrics.items():
    kind, *parts = key.split('/')
    if kind == 'strata':
      *network, column, value, name = parts
      columns = panels.setdefault(', '.join(network), {})
      columns.setdefault(column, {}).setdefault(value, {})[name] = number
  return {'strata': draw_strata(panels)} if panels else {}


@styled
def draw_strata(
  panels: Mapping[str, Mapping[str, Mapping[str, Group]]],
) -> Any:
  """A panel for each network, three in a row; groups lie below each other.

  Args:
    panels: what was measured -> column -> value -> `top1`, `low` and `high` in
      [0, 1], and `count`.
  """
  most = max(
    sum(len(values) + 1 for values in columns.values())
    for columns in panels.values()
  )
  across = min(len(panels), _ACROSS)
  down = -(-len(panels) // across)
  figure = new_figure(max(4.5, 3.6 * across), (0.6 + 0.22 * most) * down)
  all_axes = figure.subplots(down, across, squeeze=False, sharex=True).ravel()
  for axes in all_axes[len(panels) :]:
    axes.remove()
  for axes, (network, columns) in zip(all_axes, panels.items()):
    names, place = [], 0
    for (column, values), colour in zip(columns.items(), _cycle(len(columns))):
      names.append((place, column))
      for value, group in values.items():
        place += 1
        middle, low, high = (100 * group[k] for k in ('top1', 'low', 'high'))
        axes.errorbar(
          middle,
          place,
          xerr=[[middle - low], [high - middle]],
          fmt='o',
          color=colour,
          elinewidth=1,
          markersize=4,
        )
        names.append((place, f'{value} ({group["count"]})'))
      place += 1
    axes.set_yticks(*zip(*names))
    axes.set_ylim(place - 0.3, -0.7)
    axes.tick_params(axis='y', length=0)
    axes.set_title(network)
    axes.set_xlabel('accuracy, %')
    axes.grid(axis='x')
  return figure


def _cycle(count: int) -> Sequence[str]:
  return [COLOURS[i % len(COLOURS)] for i in range(count)]
