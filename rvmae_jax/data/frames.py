"""All frames of a video in order, one at a time, in constant memory."""

import math
import os
from collections.abc import Iterator, Mapping, Sequence

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from rvmae_jax.data.augmentation.geometry import resize
from rvmae_jax.data.decoding import VideoError, open_record
from rvmae_jax.data.display import to_rgb
from rvmae_jax.data.readers import Reader, check_pixels
from rvmae_jax.data.records import NO_LABEL, Record

Video = str | os.PathLike | Record

# After which a live source that sends nothing counts as broken.
_SILENCE_S = 30.0


def read_frames(
  video: Video,
  size: tuple[int, int] | None = None,
  stride: int = 1,
  start_s: float = 0.0,
  end_s: float | None = None,
) -> Iterator[np.ndarray]:
  """Yields frames [H, W, 3] uint8; no more than one of them is held.

  Args:
    video: a video file or its URL, a folder of images in order of their names,
      or a record; a record's own trim is what `start_s` and `end_s` replace.
    size: (height, width) that whole frames are resized to, bicubic and
      antialiased, whatever their shape; None keeps them.
    stride: every so many frames, from the first.
    start_s, end_s: only frames with start_s <= time < end_s, in seconds after
      the first frame; None is the end of the video.

  Raises:
    ValueError: the stride is not positive.
    VideoError: the video cannot be read; it names path and reason.
  """
  if stride < 1:
    raise ValueError(f'stride={stride} must be at least 1.')
  with _open(video, start_s, end_s) as reader:
    for index in range(0, reader.num_frames, stride):
      yield _resized(reader.read([index]), size)[0]


def read_clip(
  video: Video, indices: Sequence[int], size: tuple[int, int] | None = None
) -> np.ndarray:
  """Some frames of a video, [n, H, W, 3] uint8.

  Args:
    video: as for `read_frames`.
    indices: of the frames, in order.
    size: as for `read_frames`.

  Raises:
    VideoError: the video cannot be read; it names path and reason.
  """
  with _open(video, 0.0, None) as reader:
    return _resized(reader.read(indices), size)


def frame_times_s(
  video: Video,
  stride: int = 1,
  start_s: float = 0.0,
  end_s: float | None = None,
) -> np.ndarray:
  """When the frames of `read_frames` are shown; decodes nothing.

  Args:
    video, stride, start_s, end_s: as for `read_frames`.

  Returns:
    [n] float64 in seconds, counted from the first of these frames. Images have
    no times of their own and are taken to be 30 a second.

  Raises:
    VideoError: the video cannot be read; it names path and reason.
  """
  with _open(video, start_s, end_s) as reader:
    return reader.timestamps_s[::stride]


def path_of(video: Video) -> str:
  """The file, URL or folder that a video is, or what its record says."""
  return os.fspath(video['path'] if isinstance(video, Mapping) else video)


def _open(video: Video, start_s: float, end_s: float | None) -> Reader:
  """A reader of the frames between two times."""
  if isinstance(video, str | os.PathLike):
    video = {'path': os.fspath(video), 'label': NO_LABEL}
  trim = {}
  if start_s or end_s is not None:
    trim = {'start_s': start_s, 'end_s': math.inf if end_s is None else end_s}
  return open_record(video | trim)


def read_live(
  url: str, size: tuple[int, int] | None = None
) -> Iterator[np.ndarray]:
  """Yields frames [H, W, 3] uint8 of a source that cannot be sought, as sent.

  Args:
    url: what FFmpeg opens: `rtsp://...`, a pipe, a camera (`/dev/video0`).
    size: as for `read_frames`.

  Raises:
    VideoError: it cannot be opened, breaks off, or sends nothing for half a
      minute; it names URL and reason.
  """
  is_camera = url.startswith('/dev/video')
  converter = VideoReformatter()
  try:
    with av.open(
      url, format='v4l2' if is_camera else None, timeout=_SILENCE_S
    ) as container:
      for frame in container.decode(video=0):
        check_pixels(url, frame.width, frame.height)
        rgb = np.ascontiguousarray(to_rgb(frame, converter))
        yield _resized(rgb[None], size)[0]
  except (av.FFmpegError, OSError, IndexError) as error:
    raise VideoError(url, f'cannot be read as a live video: {error}') from error


def _resized(frames: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
  """Whole frames [n, H, W, 3] at another size."""
  height, width = frames.shape[1:3]
  if size is None or (height, width) == tuple(size):
    return frames
  return resize(frames, tuple(size), (0, 0, width, height))
