"""Confusions of a classifier, and whether it knows when it is right."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rvmae_jax.visualize.strata import strata_figures
from rvmae_jax.visualize.style import (
  COLOURS,
  TEXT,
  new_figure,
  shortened,
  styled,
)

_MOST_NAMES = 40  # More do not fit beside the matrix.
_LONGEST = 28  # Letters of a name, or the matrix itself gets small.


def accuracy_figures(
  arrays: Mapping[str, np.ndarray], metrics: Mapping[str, float]
) -> dict[str, Any]:
  """The pictures of the evaluation `accuracy`."""
  return confusion_figures(arrays) | strata_figures(metrics)


def confusion_figures(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
  """The picture of `evals.answers.picture_arrays`, of its best classifier."""
  if 'confusion' not in arrays:
    return {}
  confusion = arrays['confusion']
  right = np.trace(confusion, axis1=1, axis2=2)
  best = int(right.argmax())
  return {
    'confusion': draw_confusion(
      confusion[best],
      arrays['reliability'][best],
      arrays['class_names'].tolist(),
      str(arrays['classifiers'][best]).replace('/', ', ').replace('_', ' '),
    )
  }


@styled
def draw_confusion(
  confusion: np.ndarray,
  reliability: np.ndarray,
  class_names: Sequence[str],
  title: str = '',
) -> Any:
  """The matrix of shares, true classes down; beside it, calibration.

  Class names carry the share of the class that was recognised. In a bin of
  confidences that keep their word, the bar reaches the line.

  Args:
    confusion: [classes, classes] counts, answers across.
    reliability: [3, bins], count, confidence and accuracy.
    class_names: of the classes.
    title: what was measured.
  """
  num_classes = len(confusion)
  class_names = [name.replace('_', ' ') for name in class_names]
  rows = confusion.sum(1, keepdims=True)
  shares = 100 * confusion / np.maximum(rows, 1)
  height = 4.6
  if num_classes <= _MOST_NAMES:
    height = max(height, 1.4 + 0.15 * num_classes)  # A line for each name.
    class_names = [shortened(name, _LONGEST) for name in class_names]
  figure = new_figure(9.5 / 4.6 * height, height)
  matrix, bars = figure.subplots(1, 2, width_ratios=(1.35, 1))
  matrix.imshow(shares, cmap='Blues', vmin=0, vmax=100, aspect='auto')
  matrix.set_xlabel('answer')
  matrix.set_title(title)
  if num_classes <= _MOST_NAMES:
    recognised = [
      f'{name}  {share:.0f}' if count else f'{name}  \u2013'
      for name, share, count in zip(class_names, shares.diagonal(), rows[:, 0])
    ]
    matrix.set_yticks(range(num_classes), recognised)
    matrix.set_xticks(range(num_classes), class_names, rotation=90)
    matrix.tick_params(length=0)
  else:
    matrix.set_ylabel('true class')
  if num_classes <= 16:
    for (row, column), share in np.ndenumerate(shares):
      if share >= 1:
        matrix.text(
          column,
          row,
          f'{share:.0f}',
          ha='center',
          va='center',
          fontsize=6.5,
          color='white' if share > 55 else '#3b4a5a',
        )
  for spine in matrix.spines.values():
    spine.set_visible(False)

  count, confidence, accuracy = reliability
  edges = np.linspace(0, 100, len(count) + 1)
  used = count > 0
  bars.bar(
    edges[:-1][used],
    100 * accuracy[used],
    edges[1] * 0.94,
    align='edge',
    color=COLOURS[0],
  )
  # Bins of few answers are faint.
  for bar, share in zip(bars.patches, count[used] / count.sum()):
    bar.set_alpha(0.25 + 0.75 * min(1, share * len(count) / 2))
  bars.plot([0, 100], [0, 100], color=TEXT, linewidth=1, linestyle=(0, (4, 3)))
  error = (count * np.abs(confidence - accuracy)).sum() / count.sum()
  bars.set_title(f'calibration error {100 * error:.1f} %')
  bars.set_xlabel('confidence, %')
  bars.set_ylabel('of these answers right, %')
  bars.set_xlim(0, 100)
  bars.set_ylim(0, 100)
  return figure
