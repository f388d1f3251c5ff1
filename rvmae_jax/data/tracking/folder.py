"""Your own video: frames or a file, and labels of its first frame or more."""

import os
import re
from collections.abc import Sequence

import numpy as np

from rvmae_jax.data.decoding import IMAGE_SUFFIXES, image_files
from rvmae_jax.data.layout import contents
from rvmae_jax.data.text import plain_name, read_cells, read_json
from rvmae_jax.data.tracking.layout import match_masks
from rvmae_jax.data.tracking.videos import TrackedVideo


class TrackedFolder:
  """One video, and where its labels lie.

  Labels are one of:

    mask.png     objects of the first frame
    masks/       a mask for any frames, the first among them; named as the
                 frames are, or by a frame's number (12.png) for a video file
    points.csv   a header frame,keypoint,x,y and a row for each that is visible;
                 or a table of DeepLabCut (scorer, bodyparts, coords), whose
                 rows are matched to frames by the image's name
    points.json  {"0": {"nose": [x, y], ...}, "12": {...}}

  Frames are counted from 0, pixels are those of the video. What has no label is
  tracked all the same.

  Args:
    path: a video file, or a folder of images in order of their names.
    labels: file or folder, see above.
    size: (height, width) of the frames that the network sees.

  Raises:
    FileNotFoundError: no labels, or none of the first frame.
    ValueError: labels that cannot be read.
  """

  top_k = 7

  def __init__(
    self, path: str, labels: str, size: tuple[int, int] = (480, 880)
  ):
    self.size = tuple(size)
    suffix = os.path.splitext(labels)[1].lower()
    if not os.path.exists(labels):
      above = os.path.dirname(labels) or '.'
      raise FileNotFoundError(
        f'folder: no labels {labels!r}. Found {contents(above)} in {above!r}.'
      )
    self.kind = 'objects'
    if os.path.isdir(labels):
      found = _masks(path, labels)
    elif suffix in IMAGE_SUFFIXES:
      found = {0: labels}
    elif suffix in ('.csv', '.json'):
      self.kind = 'keypoints'
      read = _read_csv if suffix == '.csv' else _read_json
      found = _arrays(read(labels, path))
    else:
      raise ValueError(
        f'folder: labels={labels!r} must be a mask ({" ".join(IMAGE_SUFFIXES)})'
        ', a folder of masks, or keypoints (.csv .json).'
      )
    if 0 not in found:
      raise FileNotFoundError(
        f'folder: {labels!r} labels frames {sorted(found)[:6]} and not frame 0,'
        ' where tracking begins.'
      )
    name = os.path.splitext(os.path.basename(os.path.normpath(path)))[0]
    self._video = TrackedVideo(name, path, found)

  def __len__(self) -> int:
    return 1

  def __getitem__(self, index: int) -> TrackedVideo:
    return (self._video,)[index]


Keypoints = dict[int, dict[str, tuple[float, float]]]


def _masks(path: str, labels: str) -> dict[int, str]:
  if os.path.isdir(path):
    return match_masks('folder', path, labels)
  masks = {}
  for file in image_files(labels):
    number = re.search(r'(\d+)\D*$', os.path.basename(file).rpartition('.')[0])
    if number:
      masks[int(number[1])] = file
  return masks


def _arrays(frames: Keypoints) -> dict[int, np.ndarray]:
  """Frame -> [K, 2]; keypoints in order of their first mention."""
  names = list(dict.fromkeys(n for points in frames.values() for n in points))
  nowhere = (np.nan, np.nan)
  return {
    frame: np.array([points.get(name, nowhere) for name in names], float)
    for frame, points in frames.items()
  }


def _read_json(labels: str, path: str) -> Keypoints:
  del path  # Frames are numbered.
  frames = read_json(labels)
  try:
    return {
      int(frame): {
        name: (float(x), float(y)) for name, (x, y) in points.items()
      }
      for frame, points in frames.items()
    }
  except (AttributeError, TypeError, ValueError) as error:
    raise ValueError(
      f'folder: {labels!r} must hold {{"0": {{"nose": [x, y]}}}}: {error}.'
    ) from error


def _read_csv(labels: str, path: str) -> Keypoints:
  columns = ('frame', 'keypoint', 'x', 'y')
  rows = read_cells(labels, ('scorer', *columns))
  header = [plain_name(cell) for cell in rows[0][1]] if rows else []
  if header[:1] == ['scorer']:
    return _read_deeplabcut(labels, rows, path)
  if not {*columns} <= {*header}:
    raise ValueError(
      f'folder: {labels!r} has the columns {header[:6]}; looked for '
      'frame,keypoint,x,y or for a table of DeepLabCut, which begins with '
      '"scorer".'
    )
  frames: Keypoints = {}
  for number, row in rows[1:]:
    cells = dict(zip(header, row))
    try:
      points = frames.setdefault(int(cells['frame']), {})
      points[cells['keypoint']] = float(cells['x']), float(cells['y'])
    except (KeyError, ValueError) as error:
      raise ValueError(
        f'folder: line {number} of {labels!r} is not {",".join(columns)}: '
        f'{row} ({type(error).__name__}: {error}).'
      ) from error
  return dict(sorted(frames.items()))


def _read_deeplabcut(
  labels: str, rows: Sequence[tuple[int, list[str]]], path: str
) -> Keypoints:
  """Rows of `labeled-data/img01.png,x,y,x,y,...` below three of names.

  With a fourth, `individuals`, a keypoint is called `ann/nose`. A likelihood
  after x and y is left out.
  """
  head = {plain_name(cells[0]): cells for _, cells in rows[:4]}
  coords = [plain_name(cell) for cell in head.get('coords', ())]
  places = [i for i, cell in enumerate(coords) if cell == 'x']
  is_whole = places and all(coords[i + 1 : i + 2] == ['y'] for i in places)
  owners = head.get('individuals')
  named = [head[name] for name in ('bodyparts', 'individuals') if name in head]
  if (
    'bodyparts' not in head
    or not is_whole
    or min(map(len, named)) <= places[-1]
  ):
    found = [cells[:6] for _, cells in rows[: 4 if owners else 3]]
    raise ValueError(
      f'folder: {labels!r} must begin with the rows scorer, individuals (if '
      'there are several), bodyparts and coords, which has x and y for each '
      f'point that the others name; found {found}.'
    )
  if not os.path.isdir(path):
    raise ValueError(
      'folder: a table of DeepLabCut names images, so the video must be a '
      f'folder of images, not {path!r}.'
    )
  names = {
    i: (f'{owners[i]}/' if owners else '') + head['bodyparts'][i]
    for i in places
  }
  numbers = {os.path.basename(f): i for i, f in enumerate(image_files(path))}
  frames: Keypoints = {}
  for number, cells in rows[4 if owners else 3 :]:
    # The image is one column, or three that join to its path.
    frame = numbers.get(os.path.basename('/'.join(cells[: places[0]])))
    if frame is None:
      continue
    cells += [''] * (len(coords) - len(cells))
    try:
      frames[frame] = {
        name: (float(cells[i]), float(cells[i + 1]))
        if cells[i] and cells[i + 1]
        else (np.nan, np.nan)
        for i, name in names.items()
      }
    except ValueError as error:
      raise ValueError(
        f'folder: line {number} of {labels!r} has a coordinate that is no '
        f'number: {error}.'
      ) from error
  return frames
