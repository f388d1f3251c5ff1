"""Retrieval: how early the right video comes, and which videos look alike."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rvmae_jax.visualize.probes import ENCODER_NAMES, POOLING_NAMES
from rvmae_jax.visualize.style import (
  COLOURS,
  LINES,
  TEXT,
  new_figure,
  shortened,
  show,
  styled,
)

_LETTER_INCHES = 0.08  # A wide one of a title.
_RIGHT, _WRONG = '#17a17c', '#c8553d'


def retrieval_figures(
  arrays: Mapping[str, np.ndarray], metrics: Mapping[str, float]
) -> dict[str, Any]:
  """The pictures of the evaluation `retrieval`."""
  figures = {'recalls': draw_recalls(metrics)}
  if 'query_frames' in arrays:
    figures['neighbours'] = draw_neighbours(
      arrays['query_frames'],
      arrays['neighbour_frames'],
      arrays['query_labels'],
      arrays['neighbour_labels'],
      arrays['class_names'].tolist(),
    )
  return figures


@styled
def draw_recalls(metrics: Mapping[str, float]) -> Any:
  """Recall@k over k: a colour for each encoder, a kind of line for a pooling.

  Args:
    metrics: `<encoder>/<pooling>/recall_at_<k>` and `chance/recall_at_<k>`.
  """
  curves: dict[str, dict[int, float]] = {}
  for key, value in metrics.items():
    name, _, number = key.partition('/recall_at_')
    if number.isdigit():
      curves.setdefault(name, {})[int(number)] = 100 * value
  chance = curves.pop('chance')
  encoders = list(dict.fromkeys(name.split('/')[0] for name in curves))
  poolings = list(dict.fromkeys(name.split('/')[1] for name in curves))
  figure = new_figure(8.5, 3.2)
  axes = figure.subplots()
  for name, curve in curves.items():
    encoder, pooling = name.split('/')
    label = ENCODER_NAMES.get(encoder, encoder)
    if len(poolings) > 1:
      label += f', {POOLING_NAMES.get(pooling, pooling)}'
    axes.plot(
      *zip(*curve.items()),
      color=COLOURS[encoders.index(encoder) % len(COLOURS)],
      linestyle=LINES[poolings.index(pooling) % len(LINES)],
      marker='o',
      markersize=3.5,
      label=f'{label} (mAP {100 * metrics[f"{name}/map"]:.0f})',
    )
  axes.plot(
    *zip(*chance.items()),
    color=TEXT,
    linewidth=1,
    linestyle=LINES[1],
    label=f'chance (mAP {100 * metrics["chance/map"]:.0f})',
  )
  axes.set_xscale('log')
  axes.set_xticks(list(chance), [str(k) for k in chance])
  axes.minorticks_off()
  axes.set_xlabel('k')
  axes.set_ylabel('Recall@k, %')
  axes.set_ylim(0, 102)
  axes.grid(axis='y')
  axes.legend(loc='upper left', bbox_to_anchor=(1.01, 1))
  return figure


@styled
def draw_neighbours(
  query_frames: np.ndarray,
  neighbour_frames: np.ndarray,
  query_labels: np.ndarray,
  neighbour_labels: np.ndarray,
  class_names: Sequence[str] = (),
) -> Any:
  """A row for each query: some of its frames, then its neighbours'.

  A neighbour of the same class has a tick and a green frame, another one a
  cross, a red frame and its class.

  Args:
    query_frames: [n, frames, H, W, 3].
    neighbour_frames: [n, neighbours, frames, H, W, 3], nearest first.
    query_labels: [n] int.
    neighbour_labels: [n, neighbours] int.
    class_names: of the labels; numbers stand in where there are none.
  """
  num_queries, num_neighbours, _, height, width, _ = neighbour_frames.shape
  columns = 1 + num_neighbours
  cell = 10.5 / columns
  figure = new_figure(10.5, num_queries * (0.9 * cell * height / width + 0.22))
  all_axes = figure.subplots(num_queries, columns, squeeze=False)

  most = int(cell / _LETTER_INCHES)

  def title(mark, label):
    name = f'{label}'
    if label < len(class_names):
      name = class_names[label].replace('_', ' ')
    return f'{mark} {shortened(name, most - len(mark))}'

  for number, row_axes in enumerate(all_axes):
    label = query_labels[number]
    show(row_axes[0], _sheet(query_frames[number]), title('query:', label))
    row_axes[0].title.set_fontweight('bold')
    for axes, frames, other in zip(
      row_axes[1:], neighbour_frames[number], neighbour_labels[number]
    ):
      is_right = other == label
      colour = _RIGHT if is_right else _WRONG
      show(axes, _sheet(frames), title('✓' if is_right else '✗', other))
      axes.title.set_color(colour)
      axes.set_axis_on()
      axes.set_xticks([])
      axes.set_yticks([])
      for spine in axes.spines.values():
        spine.set(visible=True, color=colour, linewidth=2)
  return figure


def _sheet(frames: np.ndarray) -> np.ndarray:
  """Frames [n, H, W, 3] uint8 as one picture, two beside each other."""
  count, height, width, _ = frames.shape
  gap = max(width // 24, 1)
  rows = -(-count // 2)
  size = rows * (height + gap) - gap, min(count, 2) * (width + gap) - gap
  sheet = np.zeros((*size, 4), np.uint8)  # What is left between is clear.
  for number, frame in enumerate(frames):
    top, left = number // 2 * (height + gap), number % 2 * (width + gap)
    sheet[top : top + height, left : left + width, :3] = frame
    sheet[top : top + height, left : left + width, 3] = 255
  return sheet
