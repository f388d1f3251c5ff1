"""The recurrent core through time: features as colours, and gate maps."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rvmae_jax.visualize.pca import pca_colours
from rvmae_jax.visualize.style import name_row, new_figure, show, styled


def recurrence_figures(
  arrays: Mapping[str, np.ndarray], metrics: Mapping[str, float]
) -> dict[str, Any]:
  """The pictures of the evaluation `recurrence`."""
  del metrics
  grid = tuple(arrays['grid'])
  # [n, T, N, ...] -> [n, T, h, w, ...]
  maps = {
    name: arrays[name].reshape(
      *arrays[name].shape[:2], *grid, *arrays[name].shape[3:]
    )
    for name in ('features', 'update_gate', 'reset_gate')
  }
  return {
    'pca': draw_pca(arrays['video'], maps['features']),
    'gates': draw_gates(
      arrays['video'], maps['update_gate'], maps['reset_gate']
    ),
  }


@styled
def draw_pca(video: np.ndarray, features: np.ndarray) -> Any:
  """Frames and, under each, its features as colours; one pair a clip.

  Each place's mean over all frames and clips is taken away before the
  projection, or the colours would tell of places and little else.

  Args:
    video: [n, T, H, W, 3] in [0, 1].
    features: [n, T, h, w, D].
  """
  # A token's place in the frame outweighs all else in its features.
  colours = pca_colours(features - features.mean((0, 1)))
  rows = []
  for frames, clip in zip(video, colours):
    rows += [('frames', frames, {}), ('features', clip, {})]
  return _draw_rows(rows, video)[0]


@styled
def draw_gates(
  video: np.ndarray, update_gate: np.ndarray, reset_gate: np.ndarray
) -> Any:
  """Frames and, under each, both gates, on one colour scale for all clips.

  Args:
    video: [n, T, H, W, 3] in [0, 1].
    update_gate, reset_gate: [n, T, h, w] in [0, 1], means over channels.
  """
  both = np.stack([update_gate, reset_gate])
  low, high = both.min(), both.max()
  scale = {'cmap': 'viridis', 'vmin': low, 'vmax': max(high, low + 1e-3)}
  rows = []
  for frames, update, reset in zip(video, update_gate, reset_gate):
    rows += [
      ('frames', frames, {}),
      ('update gate', update, scale),
      ('reset gate', reset, scale),
    ]
  figure, axes, image = _draw_rows(rows, video)
  bar = figure.colorbar(image, ax=axes, shrink=0.5, aspect=30, pad=0.01)
  bar.outline.set_visible(False)
  bar.set_label('mean of the gate')
  return figure


def _draw_rows(rows, video):
  """A grid of pictures, time to the right, a little space between clips."""
  num_frames = video.shape[1]
  aspect = video.shape[2] / video.shape[3]
  width = 10.5
  cell = (width - 1) / num_frames
  figure = new_figure(width, len(rows) * cell * aspect + 0.3)
  extent = (0, video.shape[3], video.shape[2], 0)
  axes = figure.subplots(len(rows), num_frames, squeeze=False)
  for number, (name, pictures, settings) in enumerate(rows):
    for t, picture in enumerate(pictures):
      title = f't = {t}' if number == 0 else ''
      image = show(axes[number, t], picture, title, extent=extent, **settings)
    name_row(axes[number, 0], name)
  return figure, axes, image
