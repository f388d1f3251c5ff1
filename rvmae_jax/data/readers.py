"""Readers of videos: frames by index, whatever holds them."""

import abc
import contextlib
import io
import math
from collections.abc import Iterator, Sequence

import av
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

# Images without timestamps are taken to be this far apart.
IMAGES_PER_SECOND = 30.0
# Of a frame; 8K (7680 x 4320) has fewer. Each takes 100 MB once decoded.
MAX_PIXELS = 2**25


class VideoError(Exception):
  """A video that cannot be read, with the reason."""

  def __init__(self, path: str, reason: str):
    super().__init__(path, reason)
    self.path = path
    self.reason = reason

  def __str__(self) -> str:
    return f'{self.path}: {self.reason}'


def check_pixels(path: str, width: int, height: int) -> None:
  """Refuses frames that would take too much memory.

  Raises:
    VideoError: a frame has more than MAX_PIXELS pixels.
  """
  if width * height > MAX_PIXELS:
    raise VideoError(
      path,
      f'frames of {width} x {height} = {width * height} pixels; at most '
      f'{MAX_PIXELS} are read: scale it down',
    )


@contextlib.contextmanager
def video_errors(path: str) -> Iterator[None]:
  """Turns the errors of PyAV, PIL and the file system into VideoError."""
  try:
    yield
  except UnidentifiedImageError as error:
    raise VideoError(path, 'holds an image that PIL cannot read') from error
  # Of damaged PNG files, and of images of too many pixels.
  except (SyntaxError, Image.DecompressionBombError) as error:
    raise VideoError(path, f'holds a damaged image: {error}') from error
  except (av.FFmpegError, OSError) as error:
    raise VideoError(path, error.strerror or str(error)) from error


class Reader(abc.ABC):
  """Frames of one video; a context manager.

  Args:
    path: names the video in errors.
    timestamps_s: of all frames, rising.
    start_s, end_s: only frames with start_s <= time < end_s exist for this
      reader; counted from the first frame.

  Attributes:
    num_frames: how many frames there are.
    timestamps_s: [num_frames] float64 in presentation order; the first is 0.
    slow_because: why it cannot be read fast, '' if it can. Some reasons show
      only when frames are read.

  Raises:
    VideoError: there are no frames, or none between start_s and end_s.
  """

  slow_because = ''

  def __init__(
    self,
    path: str,
    timestamps_s: Sequence[float] | np.ndarray,
    start_s: float = 0.0,
    end_s: float = math.inf,
  ):
    self.path = path
    times = np.asarray(timestamps_s, np.float64)
    if not times.size:
      raise VideoError(path, 'no frames')
    times = times - times[0]
    first, end = (int(i) for i in np.searchsorted(times, [start_s, end_s]))
    if first >= end:
      raise VideoError(
        path,
        f'no frames from {start_s:g} s to {end_s:g} s; '
        f'the last of {times.size} is at {times[-1]:g} s',
      )
    self._first = first
    self.timestamps_s = times[first:end] - times[first]
    self.num_frames = end - first

  def read(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
    """The frames with these indices.

    Args:
      indices: at least one; any order, repeats allowed.

    Returns:
      [len(indices), H, W, 3] uint8 RGB, turned and mirrored as the video asks.

    Raises:
      VideoError: a frame cannot be decoded.
      IndexError: an index is negative or not below `num_frames`.
    """
    indices = np.asarray(indices, np.int64)
    if indices.min() < 0 or indices.max() >= self.num_frames:
      raise IndexError(
        f'{self.path} has frames 0 to {self.num_frames - 1}; '
        f'asked for {indices.tolist()}.'
      )
    # Rising and without repeats, so that a decoder only ever goes forward.
    wanted, inverse = np.unique(indices, return_inverse=True)
    frames = None
    for number, index in enumerate(wanted):
      with video_errors(self.path):
        frame = self._frame(self._first + int(index))
      if frames is None:
        frames = np.empty((len(indices), *frame.shape), np.uint8)
      if frame.shape != frames.shape[1:]:
        raise VideoError(self.path, 'the size of the frames changes')
      for place in np.flatnonzero(inverse == number):
        frames[place] = frame
    return frames

  @abc.abstractmethod
  def _frame(self, index: int) -> np.ndarray:
    """Frame `index` of the untrimmed video, [H, W, 3] uint8."""

  def close(self) -> None:  # noqa: B027, most readers hold nothing open
    """Closes what is open; nothing can be read afterwards."""

  def __enter__(self):
    return self

  def __exit__(self, *_) -> None:
    self.close()


class ArrayReader(Reader):
  """Frames that are decoded already, [T, H, W, 3] uint8."""

  def __init__(self, path: str, frames: np.ndarray, timestamps_s=None, **trim):
    super().__init__(path, _times(frames, timestamps_s), **trim)
    self._frames = frames

  def _frame(self, index: int) -> np.ndarray:
    return self._frames[index]


class ImageReader(Reader):
  """Frames that are images: their paths, or their encoded bytes."""

  def __init__(
    self, path: str, images: Sequence[str | bytes], timestamps_s=None, **trim
  ):
    super().__init__(path, _times(images, timestamps_s), **trim)
    self._images = images

  def _frame(self, index: int) -> np.ndarray:
    image = self._images[index]
    with Image.open(
      io.BytesIO(image) if isinstance(image, bytes) else image
    ) as opened:
      check_pixels(self.path, *opened.size)
      upright = ImageOps.exif_transpose(opened)
      if upright.mode.startswith('I'):  # Of 16 bits; PIL would cut at 255.
        upper = (np.asarray(upright) >> 8).astype(np.uint8)
        return np.repeat(upper[..., None], 3, -1)
      return np.asarray(upright.convert('RGB'))


def _times(frames, timestamps_s):
  if timestamps_s is None:
    return np.arange(len(frames)) / IMAGES_PER_SECOND
  return timestamps_s
