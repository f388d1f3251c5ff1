"""Timelines: what happens when in long videos, and what was found."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rvmae_jax.visualize.probes import ENCODER_NAMES
from rvmae_jax.visualize.style import COLOURS, TEXT, new_figure, styled

_NUM_VIDEOS = 3
# The same as in other pictures.
_COLOUR = dict(zip(ENCODER_NAMES, COLOURS))


def localization_figures(
  arrays: Mapping[str, np.ndarray], metrics: Mapping[str, float]
) -> dict[str, Any]:
  """The picture of the evaluation `localization`."""
  del metrics
  return {'timelines': draw_timelines(**arrays)}


@styled
def draw_timelines(
  truth: np.ndarray,
  detections: np.ndarray,
  duration_s: np.ndarray,
  encoders: Sequence[str],
  class_names: Sequence[str],
  video_names: Sequence[str],
) -> Any:
  """One panel a video and one row a class; proposals lie on what is true.

  Of each encoder as many proposals are shown as there are true segments, the
  surest ones.

  Args:
    truth: [n, 4] video, start, end, label; times in seconds.
    detections: [m, 6] place in `encoders`, video, start, end, label, score.
    duration_s: [videos].
    encoders: what proposals come from.
    class_names: by label.
    video_names: [videos]; the first few are drawn.
  """
  numbers = range(min(len(video_names), _NUM_VIDEOS))
  rows = []
  for number in numbers:
    true = truth[truth[:, 0] == number, 1:]
    rows.append((true, _surest(detections, number, len(true), len(encoders))))
  # A class that is neither there nor found has no row.
  labels = [
    np.unique(np.concatenate([part[:, 2] for part in (true, *found)]))
    for true, found in rows
  ]
  heights = [0.27 * max(len(some), 1) + 0.5 for some in labels]
  figure = new_figure(10.5, sum(heights) + 0.3)
  panels = figure.subplots(len(rows), 1, height_ratios=heights, squeeze=False)
  for number, axes, (true, found), some in zip(
    numbers, panels[:, 0], rows, labels
  ):
    row_of = {label: row for row, label in enumerate(some)}
    _bars(axes, true, row_of, 0.8, 0, color=TEXT, alpha=0.35, label='truth')
    lane = 0.7 / len(encoders)
    for place, (encoder, part) in enumerate(zip(encoders, found)):
      at = (place - (len(encoders) - 1) / 2) * lane
      name = ENCODER_NAMES[encoder]
      look = {'color': _COLOUR[encoder], 'label': name}
      _bars(axes, part, row_of, 0.75 * lane, at, **look)
    # A label below 0 is no class: what counts neither as found nor as missed.
    names = [
      class_names[int(label)].replace('_', ' ') if label >= 0 else 'ambiguous'
      for label in some
    ]
    axes.set_yticks(range(len(some)), names)
    axes.tick_params(axis='y', length=0)
    axes.set_ylim(len(some) - 0.5, -0.5)
    axes.set_xlim(0, duration_s[number])
    axes.set_title(video_names[number])
    axes.grid(axis='y')
    axes.set_axisbelow(True)
  panels[-1, 0].set_xlabel('seconds')
  handles, names = panels[0, 0].get_legend_handles_labels()
  figure.legend(handles, names, loc='outside upper right', ncols=len(names))
  return figure


def _surest(
  detections: np.ndarray, number: int, count: int, num_encoders: int
) -> list[np.ndarray]:
  """Start, end and label of a video's surest proposals, by encoder."""
  of_video = detections[detections[:, 1] == number]
  parts = [of_video[of_video[:, 0] == place] for place in range(num_encoders)]
  return [part[np.argsort(-part[:, 5])[:count], 2:5] for part in parts]


def _bars(
  axes: Any,
  segments: np.ndarray,
  row_of: Mapping[float, int],
  height: float,
  offset: float,
  **look,
) -> None:
  """Bars of segments [n, 3] (start, end, label) in the rows of their labels."""
  rows = np.array([row_of[label] for label in segments[:, 2]], float)
  starts, ends = segments[:, 0], segments[:, 1]
  axes.barh(
    rows + offset, ends - starts, height, left=starts, linewidth=0, **look
  )
