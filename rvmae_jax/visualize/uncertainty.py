"""What several masks agree on: error beside spread."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rvmae_jax.visualize.style import COLOURS, TEXT, new_figure, show, styled

_ROWS = ('true', 'mean', 'error', 'spread')


def uncertainty_figures(
  arrays: Mapping[str, np.ndarray], metrics: Mapping[str, float]
) -> dict[str, Any]:
  """The pictures of the evaluation `uncertainty`."""
  return {
    'maps': draw_maps(*(arrays[key] for key in _ROWS)),
    'spread': draw_bins(
      arrays['bins_spread'], arrays['bins_error'], metrics['rank_correlation']
    ),
  }


@styled
def draw_maps(
  true: np.ndarray, mean: np.ndarray, error: np.ndarray, spread: np.ndarray
) -> Any:
  """Four rows for each clip; the last two share one scale, NaN is blank.

  Args:
    true, mean: [n, S, H, W, 3] in [0, 1].
    error, spread: [n, S, H, W].

  Returns:
    A matplotlib Figure.
  """
  num_clips, num_frames, height, width, _ = true.shape
  shown = np.linspace(0, num_frames - 1, min(num_frames, 8)).round().astype(int)
  cell = min(1.3, 9.5 / len(shown))
  rows = num_clips * len(_ROWS)
  figure = new_figure(
    1.4 + len(shown) * cell, 0.2 + rows * cell * height / width
  )
  all_axes = figure.subplots(rows, len(shown), squeeze=False)
  scale = {'cmap': 'magma', 'vmin': 0}
  settings = {
    'true': {},
    'mean': {},
    'error': {**scale, 'vmax': np.nanpercentile(error, 99)},
    'spread': {**scale, 'vmax': np.nanpercentile(spread, 99)},
  }
  pictures = dict(zip(_ROWS, (true, mean, error, spread)))
  for number, axes_of_row in enumerate(all_axes):
    clip, name = number // len(_ROWS), _ROWS[number % len(_ROWS)]
    for axes, frame in zip(axes_of_row, shown):
      show(axes, pictures[name][clip, frame], **settings[name])
    axes_of_row[0].text(
      -0.08,
      0.5,
      name,
      transform=axes_of_row[0].transAxes,
      ha='right',
      va='center',
      color=TEXT,
      fontsize=8.5,
    )
  return figure


@styled
def draw_bins(spread: np.ndarray, error: np.ndarray, correlation: float) -> Any:
  """The error of patches by their spread, a point for each tenth of them.

  Args:
    spread, error: [tenths], rising spread.
    correlation: of ranks, over all patches.

  Returns:
    A matplotlib Figure.
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
