"""Methods beside each other: accuracy against what training cost."""

from collections.abc import Mapping, Sequence
from typing import Any

from rvmae_jax.visualize.style import COLOURS, TEXT, new_figure, styled

_AXES = {'flops': 'training FLOPs', 'clips': 'training clips'}


@styled
def draw_comparison(
  rows: Sequence[Mapping[str, Any]], metric: str, heading: str, against: str
) -> Any:
  """A point for each method, with its deviation over seeds.

  Networks that were not trained are dashed lines; methods that lack one of the
  two figures are left out.

  Args:
    rows: with `method`, and `mean` and `std` by figure.
    metric: the figure on the vertical axis, an accuracy in [0, 1].
    heading: what it is called.
    against: the figure on the horizontal axis, 'flops' or 'clips'.

  Returns:
    A matplotlib Figure.
  """
  rows = [r for r in rows if metric in r['mean'] and against in r['mean']]
  figure = new_figure(8.5, 4)
  axes = figure.subplots()
  for row in rows:
    spent, accuracy = row['mean'][against], 100 * row['mean'][metric]
    if not spent:
      axes.axhline(accuracy, color=TEXT, linewidth=1, linestyle=(0, (4, 3)))
      continue
    axes.errorbar(
      spent,
      accuracy,
      yerr=100 * (row['std'][metric] or 0),
      fmt='o',
      color=COLOURS[0],
      elinewidth=1,
      zorder=3,
    )
  axes.set_xscale('log')
  axes.set_xlabel(_AXES[against])
  axes.set_ylabel(f'{heading}, %')
  axes.set_ylim(bottom=0)
  axes.margins(x=0.08, y=0.08)
  axes.grid(axis='y')
  _name_rows(axes, rows, metric, against)
  return figure


def _name_rows(
  axes: Any, rows: Sequence[Mapping[str, Any]], metric: str, against: str
) -> None:
  """Names in a column on the right, apart from each other, led to points."""
  rows = sorted(rows, key=lambda row: row['mean'][metric])
  heights = [100 * row['mean'][metric] for row in rows]
  apart = 0.052 * axes.get_ylim()[1]
  for row, accuracy, at in zip(rows, heights, spread(heights, apart)):
    spent = row['mean'][against]
    axes.annotate(
      f'{row["method"]}  {accuracy:.1f}',
      (spent, accuracy) if spent else (1, accuracy),
      xycoords='data' if spent else ('axes fraction', 'data'),
      xytext=(1.04, at),
      textcoords=('axes fraction', 'data'),
      va='center',
      annotation_clip=False,
      arrowprops={
        'arrowstyle': '-',
        'color': TEXT,
        'linewidth': 0.5,
        'alpha': 0.6,
        'relpos': (0, 0.5),
        'shrinkB': 4 if spent else 0,
      },
    )


def spread(values: Sequence[float], apart: float) -> list[float]:
  """Rising values moved as little as it takes to lie `apart`.

  Least squares: whoever would come too near moves with its neighbours, as one
  group around their mean.
  """
  groups: list[tuple[float, int]] = []  # Mean start, and number, of a group.
  for number, value in enumerate(values):
    mean, count = value - number * apart, 1
    while groups and groups[-1][0] > mean:
      other_mean, other_count = groups.pop()
      mean = mean * count + other_mean * other_count
      count += other_count
      mean /= count
    groups.append((mean, count))
  starts = [mean for mean, count in groups for _ in range(count)]
  return [start + number * apart for number, start in enumerate(starts)]
