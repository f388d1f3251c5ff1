"""What readouts answered about the first test clips, beside the truth."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from rvmae_jax.visualize.film import Film
from rvmae_jax.visualize.scenes import box_frames, draw_depth, point_frames
from rvmae_jax.visualize.tracks import TITLES, draw_tracks, side_by_side

_MAX_POINTS = 12  # More of them cover the picture.


def depth_figures(
  arrays: Mapping[str, np.ndarray], metrics: Mapping[str, float]
) -> dict[str, Any]:
  """The pictures of the evaluation `depth`."""
  del metrics
  figures = {}
  for number, name, frames, answers in _clips(arrays, 'depth'):
    true, *others = ((k, depth) for k, (depth,) in answers.items())
    others = {TITLES.get(source, source): depth for source, depth in others}
    figures[f'depth_{number}'] = draw_depth(frames, true[1], others, name)
  return figures


def point_figures(
  arrays: Mapping[str, np.ndarray], metrics: Mapping[str, float]
) -> dict[str, Any]:
  """The pictures and films of the evaluation `point_tracking`."""
  del metrics
  figures = {}
  for number, name, frames, answers in _clips(arrays, 'points', 'visible'):
    count = len(answers['true'][0])
    shown = np.linspace(0, count, min(count, _MAX_POINTS), endpoint=False)
    shown = shown.astype(int)
    answers = {k: [part[shown] for part in v] for k, v in answers.items()}
    figures |= _sheet_and_film(
      f'points_{number}',
      name,
      {
        source: point_frames(
          frames, *said, truth=None if source == 'true' else answers['true']
        )
        for source, said in answers.items()
      },
    )
  return figures


def box_figures(
  arrays: Mapping[str, np.ndarray], metrics: Mapping[str, float]
) -> dict[str, Any]:
  """The pictures and films of the evaluation `box_tracking`."""
  del metrics
  figures = {}
  for number, name, frames, answers in _clips(arrays, 'boxes'):
    [true] = answers['true']
    figures |= _sheet_and_film(
      f'boxes_{number}',
      name,
      {
        source: box_frames(frames, boxes, None if source == 'true' else true)
        for source, (boxes,) in answers.items()
      },
    )
  return figures


def _clips(
  arrays: Mapping[str, np.ndarray], *keys: str
) -> Iterator[tuple[int, str, np.ndarray, dict[str, list[np.ndarray]]]]:
  """Number, name and frames of each clip, and the answers of each source."""
  number = 0
  while f'frames_{number}' in arrays:
    prefix = f'{keys[0]}_{number}/'
    sources = [k.removeprefix(prefix) for k in arrays if k.startswith(prefix)]
    answers = {
      source: [arrays[f'{key}_{number}/{source}'] for key in keys]
      for source in sources
    }
    name = str(arrays[f'name_{number}'])
    yield number, name, arrays[f'frames_{number}'], answers
    number += 1


def _sheet_and_film(
  picture: str, title: str, drawn: Mapping[str, np.ndarray]
) -> dict[str, Any]:
  return {
    picture: draw_tracks(drawn, title),
    f'{picture}_film': Film(side_by_side(drawn)),
  }
