"""Points, boxes and depth over the frames that they belong to.

Each function gives frames [T, H, W, 3] uint8; `tracks.draw_tracks` makes a
sheet of those of several sources, and `tracks.side_by_side` a film.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from rvmae_jax.visualize.style import name_row, new_figure, show, styled
from rvmae_jax.visualize.tracks import LABEL_COLOURS

# Frames are enlarged to this width at least, so that marks do not cover them.
_WIDTH = 256
_COLUMNS = 6
_DEPTH_COLOURS, _ERROR_COLOURS = 'viridis_r', 'magma'
_LARGEST_ERROR = 0.5  # Relative, that has a colour of its own.


def point_frames(
  frames: np.ndarray,
  points: np.ndarray,
  visible: np.ndarray,
  trail: int = 8,
  truth: tuple[np.ndarray, np.ndarray] | None = None,
) -> np.ndarray:
  """Points as dots with trails; a hollow ring where one is not seen.

  Args:
    frames: [T, H, W, 3] uint8.
    points: [N, T, 2] x and y, as shares of the frame.
    visible: [N, T] bool.
    trail: frames that a trail goes back, as far as the point was seen.
    truth: points and visible; a white line leads from each point to its true
      place, where that is seen.

  Returns:
    [T, H', W', 3] uint8, larger where frames are small.
  """
  frames = enlarged(frames)
  height, width = frames.shape[1:3]
  places = points * (width, height)
  reach, breadth = width / 64, max(2, width // 128)
  drawn = []
  for time, frame in enumerate(frames):
    image = Image.fromarray(frame)
    draw = ImageDraw.Draw(image, 'RGBA')
    for number, track in enumerate(places):
      colour = _colour(number)
      for earlier in range(max(time - trail, 0), time):
        if visible[number, earlier] and visible[number, earlier + 1]:
          opacity = 230 * (trail - time + earlier + 1) // trail
          ends = [tuple(place) for place in track[earlier : earlier + 2]]
          draw.line(ends, (*colour, opacity), breadth + 1)
      if truth and truth[1][number, time]:
        true = tuple(truth[0][number, time] * (width, height))
        draw.line([tuple(track[time]), true], (255, 255, 255, 220), breadth)
    for number, track in enumerate(places):
      _mark(draw, track[time], reach, _colour(number), visible[number, time])
    drawn.append(np.asarray(image))
  return np.stack(drawn)


def _mark(
  draw: ImageDraw.ImageDraw,
  place: np.ndarray,
  reach: float,
  colour: tuple[int, ...],
  is_visible: bool,
) -> None:
  x, y = place
  if not np.isfinite(place).all():
    return
  if is_visible:
    around = (x - reach, y - reach, x + reach, y + reach)
    draw.ellipse(around, fill=colour, outline=(0, 0, 0, 255))
    return
  radius = 1.7 * reach
  for r, ink, breadth in (
    (radius, (0, 0, 0, 255), 4),
    (radius - 1, (*colour, 255), 2),
  ):
    draw.ellipse((x - r, y - r, x + r, y + r), outline=ink, width=breadth)


def box_frames(
  frames: np.ndarray, boxes: np.ndarray, truth: np.ndarray | None = None
) -> np.ndarray:
  """Boxes in colours of their own, those of the truth thin and white.

  Args:
    frames: [T, H, W, 3] uint8.
    boxes: [N, T, 4] y1, x1, y2, x2 as shares of the frame; NaN is not drawn.
    truth: the same for where they truly are.

  Returns:
    [T, H', W', 3] uint8, larger where frames are small.
  """
  frames = enlarged(frames)
  height, width = frames.shape[1:3]
  drawn = []
  for time, frame in enumerate(frames):
    image = Image.fromarray(frame)
    draw = ImageDraw.Draw(image)
    breadth = max(2, width // 128)

    def outline(box, colour, breadth, draw=draw):
      if np.isnan(box).any():
        return
      y, x = np.sort(np.reshape(box, (2, 2)) * (height, width), axis=0).T
      corners = x[0], y[0], max(x[1] - 1, x[0]), max(y[1] - 1, y[0])
      draw.rectangle(corners, outline=colour, width=breadth)

    for track in () if truth is None else truth:
      outline(track[time], (255, 255, 255), breadth)
    for number, track in enumerate(boxes):
      outline(track[time], _colour(number), breadth)
    drawn.append(np.asarray(image))
  return np.stack(drawn)


def depth_frames(depth: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
  """Depth in colours, near is light; a grey pattern where nothing is known.

  Args:
    depth: [T, H, W] in metres, NaN where unknown.
    limits: nearest and farthest that have colours of their own.

  Returns:
    [T, H, W, 3] uint8.
  """
  import matplotlib

  low, high = limits
  shares = np.clip((depth - low) / max(high - low, 1e-9), 0, 1)
  colours = matplotlib.colormaps[_DEPTH_COLOURS](np.nan_to_num(shares))
  rows, columns = np.indices(depth.shape[1:])
  pattern = np.where((rows + columns) % 8 < 4, 0.35, 0.5)[..., None]
  known = ~np.isnan(depth)[..., None]
  return np.rint(255 * np.where(known, colours[..., :3], pattern)).astype(
    np.uint8
  )


@styled
def draw_depth(
  frames: np.ndarray,
  true: np.ndarray,
  predicted: Mapping[str, np.ndarray],
  title: str = '',
) -> Any:
  """Frames, true depth, and for each source its depth and relative error.

  Args:
    frames: [T, H, W, 3] uint8.
    true: [T, h, w] in metres, NaN where unknown.
    predicted: source -> [T, h, w] in metres.
    title: above all.
  """
  import matplotlib

  limits = np.nanmin(true), np.nanmax(true)
  times = np.linspace(0, len(frames) - 1, min(len(frames), _COLUMNS))
  times = times.round().astype(int)
  rows = {'frames': frames, 'true': depth_frames(true, limits)}
  for source, depth in predicted.items():
    rows[source] = depth_frames(depth, limits)
    rows[f'{source}\nerror'] = np.abs(depth - true) / true
  cell = 9.5 / len(times)
  height = cell * frames.shape[1] / frames.shape[2] + 0.04
  figure = new_figure(11, len(rows) * height + (0.5 if title else 0.3))
  # Bars stand in a column of their own, so that they move no picture.
  *pictures, bars = figure.subplots(
    len(rows),
    len(times) + 1,
    squeeze=False,
    width_ratios=[1] * len(times) + [0.07],
  ).T
  for bar in bars:
    bar.set_axis_off()
  scales = {
    'metres': (bars[1], _DEPTH_COLOURS, limits),
    'relative error': (bars[-1], _ERROR_COLOURS, (0, _LARGEST_ERROR)),
  }
  for label, (axes, colours, (low, high)) in scales.items():
    scale = matplotlib.cm.ScalarMappable(
      matplotlib.colors.Normalize(low, high), colours
    )
    axes.set_axis_on()
    bar = figure.colorbar(scale, cax=axes, label=label)
    bar.outline.set_visible(False)
  for number, (name, values) in enumerate(rows.items()):
    for column, time in zip(pictures, times):
      heading = '' if number else f'frame {time}'
      settings = {'cmap': _ERROR_COLOURS, 'vmin': 0, 'vmax': _LARGEST_ERROR}
      show(column[number], values[time], heading, **settings)
    settings = {'rotation': 'vertical', 'fontsize': 7.5}
    name_row(pictures[0][number], name, -0.04, **settings)
  if title:
    figure.suptitle(title, fontsize=9)
  return figure


def enlarged(frames: np.ndarray) -> np.ndarray:
  """Frames [T, H, W, 3], small ones enlarged so that marks fit on them."""
  times = -(-_WIDTH // frames.shape[2])
  return frames.repeat(times, axis=1).repeat(times, axis=2)


def _colour(number: int) -> tuple[int, ...]:
  return tuple(LABEL_COLOURS[number % len(LABEL_COLOURS)].tolist())
