"""How a decoded frame is shown: its colours, and which way up.

Colours follow the matrix and the range that the stream states; without a matrix
they are BT.601's, without a range limited, as FFmpeg has them. Transparency is
left out. Frames are turned and mirrored by the display matrix.

Pixels that are not square stay as they are stored, as in decord, OpenCV and
TorchCodec: no frame is resampled, and labels in pixels keep their places.
`tools/doctor` names such videos.
"""

from typing import NamedTuple

import av
import numpy as np
from av.sidedata.sidedata import Type
from av.video.reformatter import VideoReformatter

_LIMITED_RANGE = 1  # AVCOL_RANGE_MPEG


class Orientation(NamedTuple):
  """What makes a stored frame upright.

  Attributes:
    quarter_turns: counterclockwise, 0 to 3.
    is_mirrored: left and right are swapped after turning.
  """

  quarter_turns: int = 0
  is_mirrored: bool = False

  @property
  def degrees(self) -> int:
    """The turn counterclockwise: -90, 0, 90 or 180."""
    return (0, 90, 180, -90)[self.quarter_turns]


def orientation(frame: av.VideoFrame) -> Orientation:
  """Reads the display matrix of a frame, to the nearest quarter turn."""
  matrix = frame.side_data.get(Type.DISPLAYMATRIX)
  if matrix is None:
    return Orientation()
  # Row vectors: (x, y) is shown at (a x + c y, b x + d y).
  a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()
  if abs(a) + abs(d) >= abs(b) + abs(c):
    turns = 2 if d < 0 else 0
  else:
    turns = 1 if b < 0 else 3
  return Orientation(turns, a * d - b * c < 0)


def to_rgb(frame: av.VideoFrame, converter: VideoReformatter) -> np.ndarray:
  """The frame as it is shown, [H, W, 3] uint8; a view to be copied.

  Args:
    frame: as decoded.
    converter: of the video; keeps tables between frames of one format.
  """
  plane = converter.reformat(frame, format='rgb24', threads=1).planes[0]
  height, width, line = plane.height, plane.width, plane.line_size
  rows = np.frombuffer(plane, np.uint8, height * line).reshape(height, line)
  # [H, line] -> [H, W, 3]: lines are padded at their end
  rgb = rows[:, : 3 * width].reshape(height, width, 3)
  if frame.format.name.startswith('gray') and (
    int(frame.color_range) == _LIMITED_RANGE
  ):
    rgb = _FULL_OF_LIMITED[rgb]  # FFmpeg takes grey to be of full range.
  turns, is_mirrored = orientation(frame)
  rgb = np.rot90(rgb, turns)
  return rgb[:, ::-1] if is_mirrored else rgb


# Black is 16 and white 235.
_FULL_OF_LIMITED = (
  ((np.arange(256) - 16) * 255 / 219).round().clip(0, 255).astype(np.uint8)
)
