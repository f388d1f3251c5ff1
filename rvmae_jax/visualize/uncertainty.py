"""What several masks agree on: error beside spread."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rvmae_jax.visualize.style import (
  COLOURS,
  name_row,
  new_figure,
  show,
  styled,
)

_ROWS = ('true', 'mean', 'error', 'spread')
_MOST_COLUMNS = 8


def uncertainty_figures(
  arrays: Mapping[str, np.ndarray], metrics: Mapping[str, float]
) -> dict[str, Any]:
  """The pictures of the evaluation `uncertainty`."""
  return {
    'maps': draw_maps(*(arrays[key] for key in _ROWS)),
    'spread': draw_bins(
      arrays['bins_spread'],
      arrays['bins_error'],
      metrics.get('rank_correlation', np.nan),
    ),
  }


@styled
def draw_maps(
  true: np.ndarray, mean: np.ndarray, error: np.ndarray, spread: np.ndarray
) -> Any:
  """Clips beside each other; time runs to the right, NaN is blank.

  All errors share one scale of colours, and so do all spreads.

  Args:
    true, mean: [n, S, H, W, 3] in [0, 1].
    error, spread: [n, S, H, W].
  """
  num_clips, num_frames, height, width, _ = true.shape
  columns = min(num_frames, max(1, _MOST_COLUMNS // num_clips))
  frames = np.linspace(0, num_frames - 1, columns).round().astype(int)
  cell = min(1.3, 10 / (num_clips * columns))
  figure = new_figure(
    num_clips * columns * cell + 0.6, len(_ROWS) * cell * height / width
  )
  rows = {'true': (true, {}), 'mean': (mean, {})}
  for name, maps in (('error', error), ('spread', spread)):
    high = np.nanpercentile(maps, 99)
    rows[name] = maps, {'cmap': 'magma', 'vmin': 0, 'vmax': high}
  # A narrow column before every clip keeps them apart.
  widths = [0.15, *[1.0] * columns] * num_clips
  all_axes = figure.subplots(
    len(rows), len(widths), squeeze=False, gridspec_kw={'width_ratios': widths}
  )
  for axes_of_row, (name, (pictures, settings)) in zip(all_axes, rows.items()):
    for place, axes in enumerate(axes_of_row):
      axes.set_axis_off()
      clip, column = divmod(place, columns + 1)
      if column:
        show(axes, pictures[clip, frames[column - 1]], **settings)
    name_row(axes_of_row[0], name, 1)
  return figure


@styled
def draw_bins(spread: np.ndarray, error: np.ndarray, correlation: float) -> Any:
  """The error of patches by their spread, a point for each tenth of them.

  Args:
    spread, error: [tenths], rising spread.
    correlation: of ranks, over all patches; NaN if there is none.
  """
  figure = new_figure(4.6, 3)
  axes = figure.subplots()
  axes.plot(spread, error, color=COLOURS[0], marker='o', markersize=4)
  axes.set_title(f'tenths of all patches; rank correlation {correlation:.2f}')
  axes.set_xlabel('deviation between masks')
  axes.set_ylabel('error of the mean')
  axes.set_ylim(bottom=0)
  axes.grid(axis='y')
  return figure
