"""Figures that explain the method: what RVM does to a clip, and the masks."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rvmae_jax.visualize.reconstructions import GREY
from rvmae_jax.visualize.style import (
  COLOURS,
  TEXT,
  name_row,
  new_figure,
  show,
  styled,
)

# What each arrow is, in the order of the colours.
_STEPS = (
  'encoder: each frame by itself',
  'recurrent core: carries the state on',
  'decoder: visible patches read the features',
)


@styled
def draw_method(
  video: np.ndarray,
  colours: np.ndarray,
  target: np.ndarray,
  hidden: np.ndarray,
  rebuilt: np.ndarray,
  gap: int,
) -> Any:
  """One clip on its way through RVM, from source frames to a rebuilt target.

  Left: source frames, and below each the features after it, as colours; arrows
  show that the state is carried from frame to frame. Right: the target as the
  decoder sees it, what was rebuilt, and the true frame.

  Args:
    video: [T, H, W, 3] source frames in [0, 1].
    colours: [T, h, w, 3] features as colours, see `pca_colours`.
    target: [H, W, 3].
    hidden: [H, W] bool.
    rebuilt: [H, W, 3].
    gap: steps from the last source frame to the target.
  """
  num_frames = len(video)
  aspect = video.shape[1] / video.shape[2]
  figure = new_figure(10.5, 2 * 10.5 / (num_frames + 3.2) * aspect + 0.8)
  figure.get_layout_engine().set(wspace=0.12, hspace=0.25)
  axes = figure.subplots(2, num_frames + 3)
  for ax in axes.flat:
    ax.set_axis_off()
  extent = (0, video.shape[2], video.shape[1], 0)
  for t in range(num_frames):
    back = num_frames - 1 - t
    show(axes[0, t], video[t], f'frame t\u2212{back}' if back else 'frame t')
    show(axes[1, t], colours[t], extent=extent)
    _arrow(axes[0, t], (0.5, -0.02), axes[1, t], (0.5, 1.02), COLOURS[0])
    if t:
      _arrow(axes[1, t - 1], (1.02, 0.5), axes[1, t], (-0.02, 0.5), COLOURS[1])
  name_row(axes[0, 0], 'source', rotation='vertical')
  name_row(axes[1, 0], 'features', rotation='vertical')
  masked, guess, true = axes[1, num_frames:]
  seen = np.where(hidden[..., None], GREY, target)
  show(masked, seen, f'target t+{gap}, masked')
  show(guess, rebuilt, 'rebuilt')
  show(true, target, 'true')
  _arrow(axes[1, num_frames - 1], (1.02, 0.5), masked, (-0.02, 0.5), COLOURS[2])
  _arrow(masked, (1.02, 0.5), guess, (-0.02, 0.5), COLOURS[2])
  legend = axes[0, num_frames]
  for row, (colour, text) in enumerate(zip(COLOURS, _STEPS)):
    legend.text(
      0,
      0.8 - 0.28 * row,
      f'\u2192 {text}',
      color=colour,
      transform=legend.transAxes,
      in_layout=False,
    )
  return figure


def _arrow(start: Any, start_at, end: Any, end_at, colour: str) -> None:
  """An arrow between places of two axes, in shares of their sides."""
  start.annotate(
    '',
    xy=end_at,
    xycoords=end.transAxes,
    xytext=start_at,
    textcoords=start.transAxes,
    arrowprops={'arrowstyle': '->', 'color': colour, 'linewidth': 1.5},
    annotation_clip=False,
  )


@styled
def draw_masks(clips: Mapping[str, np.ndarray]) -> Any:
  """A row for each mask, with its name; time runs to the right.

  Args:
    clips: name -> [T, H, W, 3] uint8, with what is hidden greyed out.
  """
  num_frames = max(len(frames) for frames in clips.values())
  height, width = next(iter(clips.values())).shape[1:3]
  cell = 9 / num_frames
  figure = new_figure(10.5, len(clips) * cell * height / width + 0.3)
  all_axes = figure.subplots(len(clips), num_frames, squeeze=False)
  for number, (name, frames) in enumerate(clips.items()):
    for axes in all_axes[number]:
      axes.set_axis_off()
    for t, frame in enumerate(frames):
      show(all_axes[number, t], frame, '' if number else f't = {t}')
    name_row(all_axes[number, 0], name, color=TEXT)
  return figure
