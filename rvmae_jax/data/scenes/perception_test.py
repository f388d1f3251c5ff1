"""Perception Test: points and boxes of staged videos (arXiv 2305.13786).

PATH/all_valid.json       name -> {metadata, point_tracking, object_tracking}
PATH/videos/NAME.mp4

The JSON of a task may hold that task alone. Points come every frame, y before
x, and are hidden in frames that are not listed; boxes come about every second.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rvmae_jax.data.layout import contents, files_ending
from rvmae_jax.data.scenes.videos import BoxVideo, PointVideo
from rvmae_jax.data.text import read_json


class _PerceptionTest:
  """Videos of an annotation file that have tracks of a task.

  Args:
    path: folder of the annotations.
    annotations: JSON file in that folder, or a path; '' takes the only one.
    videos: folder in that folder, or a path.

  Raises:
    FileNotFoundError: no such file; shows what was looked for and found.
    ValueError: the file holds something else, or no tracks.
  """

  task = ''

  def __init__(self, path: str, annotations: str = '', videos: str = 'videos'):
    self._file = os.path.join(path, annotations or _only_json(path))
    self._folder = os.path.join(path, videos)
    if not os.path.isfile(self._file) or not os.path.isdir(self._folder):
      raise FileNotFoundError(
        f'perception_test: looked for the file {self._file!r} and the folder '
        f'{self._folder!r}. Found {contents(path)} in {path!r}.'
      )
    content = read_json(self._file)
    self._videos = _with_tracks(self._file, content, self.task)

  def __len__(self) -> int:
    return len(self._videos)

  def _fill(
    self,
    index: int,
    values: int,
    read: Callable[[Mapping[str, Any]], np.ndarray],
  ) -> tuple[str, str, np.ndarray]:
    """Name, file and tracks [N, T, values] of a video, NaN where not listed."""
    name, content = self._videos[index]
    tracks = content[self.task]
    path = os.path.join(self._folder, f'{name}.mp4')
    if not os.path.isfile(path):
      raise FileNotFoundError(
        f'perception_test: no {path!r}. Found {contents(self._folder)}.'
      )
    num_frames = int(content['metadata']['num_frames'])
    filled = np.full((len(tracks), num_frames, values), np.nan, np.float32)
    for number, track in enumerate(tracks):
      where = (
        f'perception_test: track {track.get("id", number)} of {name!r} in '
        f'{self._file!r}'
      )
      try:
        frames, listed = np.asarray(track['frame_ids'], int), read(track)
      except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
          f'{where} cannot be read ({type(error).__name__}: {error}); it has '
          f'{sorted(track)}.'
        ) from error
      if listed.shape != (len(frames), values):
        raise ValueError(
          f'{where} has {len(frames)} frames and values {list(listed.shape)}; '
          f'looked for [{len(frames)}, {values}].'
        )
      if frames.size and not 0 <= frames.min() <= frames.max() < num_frames:
        raise ValueError(
          f'{where} names frames {frames.min()} to {frames.max()} of a video '
          f'of {num_frames}.'
        )
      filled[number, frames] = listed
    return name, path, filled


class PerceptionTestPoints(_PerceptionTest):
  """Videos with points; arguments and errors are those of `_PerceptionTest`."""

  task = 'point_tracking'

  def __getitem__(self, index: int) -> PointVideo:
    # y and x of all frames -> x and y of each
    name, path, points = self._fill(
      index, 2, lambda track: np.asarray(track['points'], float)[::-1].T
    )
    return PointVideo(name, path, points, ~np.isnan(points).any(-1))


class PerceptionTestBoxes(_PerceptionTest):
  """Videos with boxes; arguments and errors are those of `_PerceptionTest`."""

  task = 'object_tracking'

  def __getitem__(self, index: int) -> BoxVideo:
    # x1, y1, x2, y2 -> y1, x1, y2, x2
    order = [1, 0, 3, 2]
    return BoxVideo(
      *self._fill(
        index,
        4,
        lambda track: np.asarray(track['bounding_boxes'], float)[:, order],
      )
    )


def _only_json(path: str) -> str:
  if not os.path.isdir(path):
    raise FileNotFoundError(f'perception_test: no folder {path!r}.')
  names = files_ending('perception_test', path, '.json')
  if len(names) > 1:
    raise ValueError(
      f'perception_test: {path!r} has {", ".join(names)}; say which by '
      '`annotations`.'
    )
  return names[0]


def _with_tracks(
  file: str, content: Any, task: str
) -> list[tuple[str, Mapping[str, Any]]]:
  found = f'a {type(content).__name__}'
  if isinstance(content, Mapping):
    videos = [
      (name, video)
      for name, video in content.items()
      if isinstance(video, Mapping)
      and video.get(task)
      and 'num_frames' in video.get('metadata', {})
    ]
    if videos:
      return videos
    first = next(iter(content.values()), None)
    keys = sorted(first) if isinstance(first, Mapping) else first
    found = f'{len(content)} entries, the first with {keys!r}'
  raise ValueError(
    f'perception_test: looked in {file!r} for videos by name, with metadata '
    f'(num_frames) and {task}; found {found}.'
  )
