"""Curves of accuracy and similarity by severity, and corrupted samples."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rvmae_jax.visualize.spacing import spread
from rvmae_jax.visualize.style import (
  TEXT,
  looks,
  name_row,
  new_figure,
  show,
  styled,
)


def robustness_figures(
  arrays: Mapping[str, np.ndarray], metrics: Mapping[str, float]
) -> dict[str, Any]:
  """The pictures of the evaluation `robustness`."""
  names = arrays['corruptions'].tolist()
  severities = arrays['severities'].tolist()
  return {
    'robustness': draw_robustness(
      names,
      severities,
      100 * arrays['top1'],
      arrays['similarity'],
      100 * float(arrays['clean_top1']),
      100 * metrics['clean/chance'],
    ),
    'corruptions': draw_corruptions(names, severities, arrays['examples']),
  }


@styled
def draw_robustness(
  names: Sequence[str],
  severities: Sequence[int],
  top1: np.ndarray,
  similarity: np.ndarray,
  clean_top1: float,
  chance: float,
) -> Any:
  """Two panels of curves, one for each corruption; severity 0 is clean.

  Args:
    names: of the corruptions.
    severities: rising.
    top1: [corruptions, severities] in %.
    similarity: [corruptions, severities], at most 1.
    clean_top1: in %.
    chance: in %, a dashed line.
  """
  figure = new_figure(10.5, 4.2)
  panels = {
    'accuracy of a probe, %': (top1, clean_top1),
    'similarity to clean features': (similarity, 1.0),
  }
  for axes, (title, (table, clean)) in zip(
    figure.subplots(1, 2), panels.items()
  ):
    for name, row, (line, colour) in zip(names, table, looks()):
      axes.plot(
        [0, *severities],
        [clean, *row],
        color=colour,
        linestyle=line,
        marker='.',
        label=name,
      )
    if table is top1:
      axes.axhline(chance, color=TEXT, linewidth=1, linestyle=(0, (4, 3)))
      axes.text(0, chance + 1, f'chance {chance:.0f}', fontsize=8)
      axes.set_ylim(bottom=0)
    axes.set_title(title)
    axes.set_xlabel('severity')
    axes.set_xticks([0, *severities])
    axes.grid(axis='y')
    axes.margins(x=0.02)
    _name_curves(axes, names, severities[-1], table[:, -1])
  return figure


def _name_curves(
  axes: Any, names: Sequence[str], at: float, ends: np.ndarray
) -> None:
  """Names to the right of the curves' ends, apart from each other."""
  order = np.argsort(ends)
  low, high = axes.get_ylim()
  heights = spread([float(ends[i]) for i in order], 0.055 * (high - low))
  for number, height in zip(order, heights):
    line = axes.lines[number]
    axes.annotate(
      names[number].replace('_', ' '),
      (at, ends[number]),
      xytext=(1.05, height),
      textcoords=('axes fraction', 'data'),
      va='center',
      color=line.get_color(),
      annotation_clip=False,
      arrowprops={
        'arrowstyle': '-',
        'color': line.get_color(),
        'linewidth': 0.5,
        'alpha': 0.7,
        'relpos': (0, 0.5),
      },
    )


@styled
def draw_corruptions(
  names: Sequence[str], severities: Sequence[int], examples: np.ndarray
) -> Any:
  """A frame by corruption (down) and severity (to the right), clean first.

  Args:
    names: of the corruptions.
    severities: rising.
    examples: [corruptions, 1 + severities, H, W, 3].
  """
  rows, columns, height, width, _ = examples.shape
  cell = 1.0
  figure = new_figure(1.2 + columns * cell, 0.25 + rows * cell * height / width)
  all_axes = figure.subplots(rows, columns, squeeze=False)
  for number, (name, row) in enumerate(zip(names, all_axes)):
    for column, axes in enumerate(row):
      title = ''
      if not number:
        title = f'severity {severities[column - 1]}' if column else 'clean'
      show(axes, examples[number, column], title)
    name_row(row[0], name.replace('_', ' '))
  return figure
