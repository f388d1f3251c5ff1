"""Faces in videos: found, followed from frame to frame, and hidden.

The detectors are the Haar cascades that come with OpenCV 4 (Viola and Jones,
2001; extra [faces]): nothing is downloaded. They look for upright faces, from
the front and from either side, and miss others; how many: docs/privacy.md.
"""

import dataclasses
import math
import types
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from rvmae_jax.data.decoding import open_record
from rvmae_jax.data.opencv import import_opencv
from rvmae_jax.data.records import Record

# A detection continues a face if it follows the last one within this time and
# the IoU of both boxes is at least this.
_MAX_GAP_S = 2.0
_MIN_OVERLAP = 0.2
# How long a face stays hidden before it is first found and after the last time.
_HOLD_S = 0.5
# Cascades find eyes, nose and mouth: what is hidden reaches as much further, in
# widths and heights, on each side.
_MARGIN = 0.25
# Frames searched per second of video: the search takes most of the time.
_SEARCHES_PER_S = 10
# Frames are searched at this short side at most, and for faces of this size.
_SEARCH_PIXELS = 480
_MIN_PIXELS = 20
# Neighbouring detections that make a face; higher values miss more faces.
_MIN_NEIGHBOURS = 3
_ADVICE = 'To hide faces: pip install "rvmae_jax[faces]".'
# A hidden face is so many blots wide and high.
_BLOTS = 5

# Left, top, right, bottom, in pixels.
Box = tuple[float, float, float, float]


@dataclasses.dataclass(frozen=True)
class Faces:
  """What is to be hidden in a video.

  Attributes:
    number: of faces; one that is lost from sight and found again counts twice.
    boxes: of each frame.
  """

  number: int
  boxes: list[list[Box]]

  @property
  def num_frames(self) -> int:
    """How many frames have something to hide."""
    return sum(map(bool, self.boxes))


class FaceDetector:
  """Finds faces in one frame at a time.

  Raises:
    ImportError: OpenCV is not installed, or is one without cascades.
  """

  def __init__(self):
    cv2 = _opencv()
    if not hasattr(cv2, 'CascadeClassifier'):
      raise ImportError(
        f'OpenCV {cv2.__version__} comes without a face detector; version 4 '
        f'has one. {_ADVICE}'
      )
    # Each of the first two finds faces that the other misses.
    *self._front, self._side = (
      cv2.CascadeClassifier(f'{cv2.data.haarcascades}haarcascade_{name}.xml')
      for name in ('frontalface_alt2', 'frontalface_default', 'profileface')
    )

  def __call__(self, frame: np.ndarray) -> list[Box]:
    """The faces in a frame [H,W,3] uint8."""
    cv2 = _opencv()
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    scale = min(1.0, _SEARCH_PIXELS / min(grey.shape))
    grey = cv2.resize(
      grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA
    )
    # Brighter where it is dark: else faces in shade and dark skin are missed.
    grey = np.round(np.sqrt(255.0 * grey)).astype(np.uint8)
    width = grey.shape[1]
    mirrored = np.ascontiguousarray(grey[:, ::-1])
    cascades = (*self._front, self._side)
    found = [(*box,) for cascade in cascades for box in _search(cascade, grey)]
    # The cascade knows one profile; the other is its mirror image.
    found += [
      (width - x - w, y, w, h) for x, y, w, h in _search(self._side, mirrored)
    ]
    boxes = [np.divide((x, y, x + w, y + h), scale) for x, y, w, h in found]
    return [tuple(map(float, box)) for box in boxes]


def _opencv() -> types.ModuleType:
  return import_opencv(_ADVICE)


def _search(cascade, grey: np.ndarray) -> Sequence[Sequence[int]]:
  return cascade.detectMultiScale(
    grey,
    scaleFactor=1.1,
    minNeighbors=_MIN_NEIGHBOURS,
    minSize=(_MIN_PIXELS, _MIN_PIXELS),
  )


def find_faces(record: Record, max_seconds: float = 0.0) -> Faces:
  """The faces in a video; see `follow`.

  Args:
    record: of the video.
    max_seconds: look at the start only; 0 looks at all frames.

  Raises:
    VideoError: a frame cannot be decoded.
    ImportError: see `FaceDetector`.
  """
  detect = FaceDetector()
  with open_record(record) as reader:
    times_s = reader.timestamps_s
    times_s = times_s[times_s < (max_seconds or math.inf)]
    # The first frame in each interval.
    intervals = np.floor(times_s * _SEARCHES_PER_S + 1e-6)
    is_searched = np.diff(intervals, prepend=-1) > 0
    found = (
      detect(reader.read([i])[0]) if is_searched[i] else []
      for i in range(len(times_s))
    )
    return follow(found, times_s)


def follow(
  found: Iterable[Sequence[Box]], timestamps_s: Sequence[float]
) -> Faces:
  """Faces of a video from those that were found in its frames.

  A box continues a face if it lies over its last one and is of a like size. In
  between, a face is where a straight line puts it; before the first and after
  the last time it stays where it is for half a second.

  Args:
    found: the boxes in each frame.
    timestamps_s: of the frames.
  """
  tracks = []  # Of each face: (number of the frame, box), in order.
  for number, boxes in enumerate(found):
    for box in boxes:
      near = [
        track
        for track in tracks
        if timestamps_s[number] - timestamps_s[track[-1][0]] <= _MAX_GAP_S
        and _overlap(track[-1][1], box) >= _MIN_OVERLAP
      ]
      if not near:
        tracks.append([(number, box)])
        continue
      track = max(near, key=lambda track: _overlap(track[-1][1], box))
      if track[-1][0] == number:  # Found by several cascades.
        box = _union(track.pop()[1], box)
      track.append((number, box))
  hidden = [[] for _ in timestamps_s]
  for track in tracks:
    for number, box in _filled(track, timestamps_s):
      hidden[number].append(box)
  return Faces(len(tracks), hidden)


def _overlap(one: Box, other: Box) -> float:
  """Intersection over union."""
  width, height = (
    max(0.0, min(one[i + 2], other[i + 2]) - max(one[i], other[i]))
    for i in (0, 1)
  )
  areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
  return width * height / (sum(areas) - width * height)


def _union(one: Box, other: Box) -> Box:
  return (*map(min, one[:2], other[:2]), *map(max, one[2:], other[2:]))


def _filled(track, timestamps_s) -> Iterator[tuple[int, Box]]:
  """(number of the frame, box) of every frame in which a face is hidden."""
  times = np.asarray(timestamps_s)
  seen_s = times[[number for number, _ in track]]
  first, end = np.searchsorted(
    times, (seen_s[0] - _HOLD_S, np.nextafter(seen_s[-1] + _HOLD_S, np.inf))
  )
  sides = np.transpose([box for _, box in track])
  boxes = np.stack(
    [np.interp(times[first:end], seen_s, side) for side in sides], axis=-1
  )
  for number, box in zip(range(first, end), boxes.tolist()):
    yield number, tuple(box)


def hide(frame: np.ndarray, boxes: Sequence[Box]) -> np.ndarray:
  """The frame [H,W,3] uint8 with what is in the boxes blurred beyond repair.

  Boxes are enlarged by a margin. Each becomes a few blots of its mean colours:
  a blur that only weighs neighbours could be undone.
  """
  cv2 = _opencv()
  frame = frame.copy()
  for left, top, right, bottom in boxes:
    width, height = right - left, bottom - top
    rows = slice(
      max(0, round(top - _MARGIN * height)), round(bottom + _MARGIN * height)
    )
    columns = slice(
      max(0, round(left - _MARGIN * width)), round(right + _MARGIN * width)
    )
    region = frame[rows, columns]
    blots = cv2.resize(region, (_BLOTS, _BLOTS), interpolation=cv2.INTER_AREA)
    frame[rows, columns] = cv2.resize(blots, region.shape[1::-1])
  return frame
