"""TAP-Vid: points of real and rendered videos, as pickles (arXiv 2211.03726).

PATH/tapvid_davis.pkl              name -> video
PATH/tapvid_rgb_stacking.pkl       a list of videos
PATH/0000_of_0010.pkl ...          Kinetics: lists of videos

A video is {'video': [T, H, W, 3] uint8 or a list of JPEGs, 'points': [N, T, 2]
x and y in 0..1, 'occluded': [N, T] bool}.
"""

import itertools
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from rvmae_jax.data import plain_pickle
from rvmae_jax.data.layout import files_ending
from rvmae_jax.data.records import NO_LABEL
from rvmae_jax.data.scenes.videos import PointVideo

_KEYS = ('video', 'points', 'occluded')


class TapVid:
  """Videos of one pickle, or of all in a folder.

  A pickle is read as a whole, and the last one is kept: take videos in order.

  Args:
    path: of a pickle, or of a folder with some.

  Raises:
    FileNotFoundError: there is no pickle; shows what was found.
    ValueError: another layout; says what was looked for and what was found; or
      a pickle that asks for more than arrays, see `plain_pickle`.
  """

  def __init__(self, path: str):
    path = os.fspath(path)
    self._files = [path]
    if not os.path.isfile(path):
      folder = path if os.path.isdir(path) else os.path.dirname(path) or '.'
      names = files_ending('tap_vid', folder, '.pkl')
      if folder != path:
        raise FileNotFoundError(
          f'tap_vid: no {path!r}. There is {", ".join(names)}.'
        )
      self._files = [os.path.join(path, name) for name in names]
    self._names: list[tuple[str, int]] = []
    self._open = '', []
    for file in self._files:
      self._names += [(file, i) for i in range(len(self._read(file)))]

  def __len__(self) -> int:
    return len(self._names)

  def __getitem__(self, index: int) -> PointVideo:
    file, number = self._names[index]
    name, content = self._read(file)[number]
    return _video(file, name, content)

  def _read(self, file: str) -> list[tuple[str, Any]]:
    """Videos of a pickle with their names."""
    if self._open[0] != file:
      self._open = '', []  # Two of them might not fit into memory.
      self._open = file, _named(file, plain_pickle.read(file))
    return self._open[1]


def _named(file: str, content: Any) -> list[tuple[str, Any]]:
  if isinstance(content, Mapping):
    return [(str(name), video) for name, video in content.items()]
  if isinstance(content, list | tuple):
    stem = os.path.splitext(os.path.basename(file))[0]
    return [(f'{stem}/{i:04d}', video) for i, video in enumerate(content)]
  raise ValueError(
    f'tap_vid: {file!r} holds a {type(content).__name__}; looked for a dict of '
    'videos by name, or a list of them.'
  )


def _video(file: str, name: str, content: Any) -> PointVideo:
  where = f'tap_vid: video {name!r} of {file!r}'
  if not isinstance(content, Mapping) or not set(_KEYS) <= set(content):
    found = (
      sorted(map(str, content))
      if isinstance(content, Mapping)
      else f'a {type(content).__name__}'
    )
    raise ValueError(f'{where} must have {", ".join(_KEYS)}; found {found}.')
  frames = content['video']
  points = np.asarray(content['points'], np.float32)
  occluded = np.asarray(content['occluded'], bool)
  tracks = occluded.shape[0] if occluded.ndim else 0
  if (
    points.shape != (tracks, len(frames), 2)
    or occluded.shape != points.shape[:2]
  ):
    raise ValueError(
      f'{where} has {len(frames)} frames, points {list(points.shape)} and '
      f'occluded {list(occluded.shape)}; looked for [N, T, 2] and [N, T].'
    )
  visible = ~occluded
  seen = points[visible]
  if seen.size and not (seen.min() >= -0.5 and seen.max() <= 1.5):
    raise ValueError(
      f'{where} has visible points from {seen.min():g} to {seen.max():g}; '
      'looked for shares of the frame, 0 to 1.'
    )
  record = {'path': f'{file}/{name}', 'label': NO_LABEL}
  if len(frames) and isinstance(frames[0], bytes):
    record['jpegs'] = list(frames)
  else:
    record['frames'] = _frames(where, frames)
  return PointVideo(name, record, points, visible)


def _frames(where: str, frames: Any) -> np.ndarray:
  shapes = {np.shape(frame) for frame in itertools.islice(frames, 2)}
  frames = np.asarray(frames) if len(shapes) == 1 else np.empty(0)
  if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8:
    raise ValueError(
      f'{where} has frames {list(frames.shape)} {frames.dtype}; looked for '
      '[T, H, W, 3] uint8, or a list of JPEGs.'
    )
  return frames
