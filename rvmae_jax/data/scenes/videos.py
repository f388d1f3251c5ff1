"""What datasets of scenes hold: videos, and what is known of all their frames.

Places are shares of the frame, 0..1 from the left and from the top: they stay
the same when frames are resized. Depth is in metres.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from PIL import Image

from rvmae_jax.data.frames import Video
from rvmae_jax.data.readers import video_errors


@dataclasses.dataclass(frozen=True)
class PointVideo:
  """A video, and points that are followed through it.

  Attributes:
    name: tells it from the others; may hold slashes.
    video: what `frames.read_frames` takes.
    points: [N, T, 2] float32 x and y; anything where not visible.
    visible: [N, T] bool.
  """

  name: str
  video: Video
  points: np.ndarray
  visible: np.ndarray

  def __post_init__(self):
    if (*self.visible.shape, 2) != self.points.shape:
      raise ValueError(
        f'{self.name}: points are [N, T, 2] and visible [N, T]; found '
        f'{list(self.points.shape)} and {list(self.visible.shape)}.'
      )


@dataclasses.dataclass(frozen=True)
class BoxVideo:
  """A video, and boxes that are followed through it.

  Attributes:
    name: tells it from the others; may hold slashes.
    video: what `frames.read_frames` takes.
    boxes: [N, T, 4] float32 y1, x1, y2, x2; NaN where a box is not there, or
      not known.
  """

  name: str
  video: Video
  boxes: np.ndarray


@dataclasses.dataclass(frozen=True)
class DepthVideo:
  """A video, and how far away everything in its frames is.

  Attributes:
    name: tells it from the others; may hold slashes.
    video: what `frames.read_frames` takes.
    maps: of each frame, [H, W] float32 metres, NaN where there is no truth; or
      the path of a 16-bit grey image, where that is 0.
    metres_per_step: of such images.
  """

  name: str
  video: Video
  maps: Sequence[str | np.ndarray]
  metres_per_step: float = 1e-3

  def depth(
    self, frame: int, size: tuple[int, int] | None = None
  ) -> np.ndarray:
    """The depth map of a frame.

    Args:
      frame: its number.
      size: (height, width) that the whole map is brought to by taking the
        nearest place, since a mean over an edge is nowhere; None keeps its own.

    Returns:
      [H, W] float32 in metres, NaN where there is no truth.

    Raises:
      VideoError: the image cannot be read.
      ValueError: it is no 16-bit grey image.
    """
    depth = self.maps[frame]
    if isinstance(depth, str):
      depth = _read_depth(depth, self.metres_per_step)
    if size is None or depth.shape == tuple(size):
      return depth
    rows, columns = (
      (np.arange(new) + 0.5) * old // new for old, new in zip(depth.shape, size)
    )
    return depth[rows.astype(int)[:, None], columns.astype(int)]


def _read_depth(path: str, metres_per_step: float) -> np.ndarray:
  with video_errors(path), Image.open(path) as image:
    mode, steps = image.mode, np.asarray(image)
  # What PIL calls 16 bits has changed over its versions.
  if not mode.startswith('I'):
    raise ValueError(
      f'{path} has mode {mode}; a depth map is a 16-bit grey image (I;16).'
    )
  depth = steps.astype(np.float32) * np.float32(metres_per_step)
  return np.where(steps > 0, depth, np.float32(np.nan))
