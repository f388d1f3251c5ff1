"""All frames of a video in order, one at a time: a film fits as a clip does."""

import math
import os
from collections.abc import Iterator

import numpy as np

from rvmae_jax.data.augmentation.geometry import resize
from rvmae_jax.data.decoding import open_record
from rvmae_jax.data.readers import Reader
from rvmae_jax.data.records import NO_LABEL, Record

Video = str | os.PathLike | Record


def read_frames(
  video: Video,
  size: tuple[int, int] | None = None,
  stride: int = 1,
  start_s: float = 0.0,
  end_s: float | None = None,
) -> Iterator[np.ndarray]:
  """Yields frames [H, W, 3] uint8; no more than one of them is held.

  Args:
    video: a video file, a folder of images in order of their names, or a
      record; a record's own trim is what `start_s` and `end_s` replace.
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
      frames = reader.read([index])
      if size is not None and frames.shape[1:3] != tuple(size):
        height, width = frames.shape[1:3]
        frames = resize(frames, tuple(size), (0, 0, width, height))
      yield frames[0]


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


def _open(video: Video, start_s: float, end_s: float | None) -> Reader:
  """A reader of the frames between two times."""
  if isinstance(video, str | os.PathLike):
    video = {'path': os.fspath(video), 'label': NO_LABEL}
  trim = {}
  if start_s or end_s is not None:
    trim = {'start_s': start_s, 'end_s': math.inf if end_s is None else end_s}
  return open_record(video | trim)
