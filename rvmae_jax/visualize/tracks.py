"""Tracks: labels over the frames that they were propagated to."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from rvmae_jax.visualize.film import Film
from rvmae_jax.visualize.style import name_row, new_figure, show, styled

# Told apart on any background, and again from the start if there are more.
LABEL_COLOURS = np.array(
  [
    *[(230, 60, 60), (60, 180, 75), (255, 205, 30), (65, 105, 225)],
    *[(245, 130, 48), (150, 60, 180), (70, 220, 230), (240, 80, 200)],
    *[(190, 240, 70), (0, 130, 130), (220, 190, 255), (150, 100, 40)],
  ],
  np.uint8,
)
_STRENGTH = 0.55  # Of a mask's colour over the picture.
_COLUMNS = 6
TITLES = {
  'true': 'true',
  'trained': 'network',
  'random': 'random network',
  'per_frame': 'no recurrence',
  'pixels': 'patch colours',
  'copy': 'first frame',
  'still': 'stand still',
  'first_box': 'first box',
  'mean': 'mean depth',
}
# Of a film, in pixels: the least width of a panel, the height of its caption.
_PANEL, _CAPTION = 200, 14


def tracking_figures(
  arrays: Mapping[str, np.ndarray], metrics: Mapping[str, float]
) -> dict[str, Any]:
  """The pictures and films of the evaluation `label_propagation`."""
  del metrics
  figures, number = {}, 0
  while f'frames_{number}' in arrays:
    frames, prefix = arrays[f'frames_{number}'], f'labels_{number}/'
    drawn = {
      encoder: np.stack([overlay(*pair) for pair in zip(frames, arrays[key])])
      for encoder in TITLES
      if (key := prefix + encoder) in arrays
    }
    name = f'tracks_{number}'
    figures[name] = draw_tracks(drawn, str(arrays[f'name_{number}']))
    figures[f'{name}_film'] = Film(side_by_side(drawn))
    number += 1
  return figures


@styled
def draw_tracks(drawn: Mapping[str, np.ndarray], title: str = '') -> Any:
  """One row for each encoder, time to the right.

  Args:
    drawn: encoder -> [T, H, W, 3] frames with their labels.
    title: above all.
  """
  num_frames, height, width, _ = next(iter(drawn.values())).shape
  columns = min(_COLUMNS, num_frames)
  times = np.linspace(0, num_frames - 1, columns).round().astype(int)
  cell = 10.3 / columns
  figure = new_figure(10.6, len(drawn) * cell * height / width + 0.45)
  # Names of rows stand in a margin, so that they move no picture.
  figure.get_layout_engine().set(rect=(0.025, 0, 0.975, 1))
  axes = figure.subplots(len(drawn), columns, squeeze=False)
  for number, (row, (encoder, frames)) in enumerate(zip(axes, drawn.items())):
    for column, time in zip(row, times):
      show(column, frames[time], '' if number else f'frame {time}')
    settings = {'rotation': 90, 'fontsize': 7.5, 'in_layout': False}
    name_row(row[0], TITLES.get(encoder, encoder), -0.04, **settings)
  figure.suptitle(title, fontsize=9)
  return figure


def side_by_side(drawn: Mapping[str, np.ndarray]) -> np.ndarray:
  """Frames of all encoders with their names above, in rows of up to three.

  Args:
    drawn: encoder -> [T, H, W, 3].

  Returns:
    [T, H', W', 3] uint8.
  """
  panels = []
  for encoder, frames in drawn.items():
    enlarged = -(-_PANEL // frames.shape[2])
    frames = frames.repeat(enlarged, axis=1).repeat(enlarged, axis=2)
    caption = Image.new('RGB', (frames.shape[2], _CAPTION))
    ImageDraw.Draw(caption).text(
      (3, 1), TITLES.get(encoder, encoder), fill='white'
    )
    above = np.asarray(caption)[None].repeat(len(frames), axis=0)
    panels.append(np.concatenate([above, frames], axis=1))
  across = min(len(panels), 3)
  panels += [np.zeros_like(panels[0])] * (-len(panels) % across)
  rows = [
    np.concatenate(panels[start : start + across], axis=2)
    for start in range(0, len(panels), across)
  ]
  return np.concatenate(rows, axis=1)


def overlay(frame: np.ndarray, label: np.ndarray) -> np.ndarray:
  """A frame with its label drawn over it.

  Args:
    frame: [H, W, 3] uint8.
    label: a mask [H, W] uint8, 0 is background; or keypoints [K, 2] x and y,
      NaN for those that are not there.

  Returns:
    [H, W, 3] uint8.
  """
  if label.dtype == np.uint8:
    return _tinted(frame, label)
  image = Image.fromarray(frame)
  draw = ImageDraw.Draw(image)
  radius = max(1.5, min(frame.shape[:2]) / 60)
  for number, (x, y) in enumerate(label):
    if not np.isnan(x):
      colour = tuple(LABEL_COLOURS[number % len(LABEL_COLOURS)].tolist())
      box = (x - radius, y - radius, x + radius, y + radius)
      draw.ellipse(box, fill=colour, outline='black')
  return np.asarray(image)


def _tinted(frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
  """Objects in colour, with a full line where one ends."""
  colours = LABEL_COLOURS[(mask.astype(int) - 1) % len(LABEL_COLOURS)]
  tinted = frame + _STRENGTH * (colours.astype(float) - frame)
  edge = np.zeros(mask.shape, bool)
  edge[:, 1:] |= mask[:, 1:] != mask[:, :-1]
  edge[1:] |= mask[1:] != mask[:-1]
  drawn = np.where(edge[..., None], colours, tinted)
  return np.where(mask[..., None] > 0, drawn, frame).astype(np.uint8)
