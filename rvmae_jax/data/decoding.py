"""Opens the video of a record, wherever and however it is stored."""

import os
import re

from rvmae_jax.data.encoded import EncodedReader, VideoInfo
from rvmae_jax.data.readers import (
  ArrayReader,
  ImageReader,
  Reader,
  VideoError,
  video_errors,
)
from rvmae_jax.data.records import Record

__all__ = ['Reader', 'VideoError', 'VideoInfo', 'open_record', 'probe']

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp')


def open_record(record: Record, num_threads: int = 1) -> Reader:
  """Opens the video of a record; use it in a `with` statement.

  Args:
    record: see records.py.
    num_threads: of the video decoder.

  Raises:
    VideoError: there is no video that can be read; it names path and reason.
  """
  path = record['path']
  trim = {k: record[k] for k in ('start_s', 'end_s') if k in record}
  times = record.get('timestamps_s')
  if 'video' in record:
    return EncodedReader(path, record['video'], num_threads, **trim)
  if 'jpegs' in record:
    return ImageReader(path, record['jpegs'], times, **trim)
  if 'frames' in record:
    return ArrayReader(path, record['frames'], times, **trim)
  if os.path.isdir(path):
    with video_errors(path):
      images = image_files(path)
    return ImageReader(path, images, times, **trim)
  return EncodedReader(path, path, num_threads, **trim)


def probe(source: str | os.PathLike | bytes) -> VideoInfo:
  """Describes an encoded video; decodes no more than its first frame.

  Args:
    source: a path, or the bytes of a file.

  Raises:
    VideoError: it cannot be opened, or its first frame cannot be decoded.
  """
  if isinstance(source, bytes):
    reader = EncodedReader('(bytes)', source)
  else:
    reader = EncodedReader(os.fspath(source), os.fspath(source))
  with reader:
    return reader.info()


def image_files(folder: str) -> list[str]:
  """The image files of a folder, in order of their names.

  Numbers count as numbers: `frame_2.png` comes before `frame_11.png`.
  """
  return [
    os.path.join(folder, name)
    for name in sorted(os.listdir(folder), key=_natural)
    if name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith('.')
  ]


def _natural(name: str) -> tuple[list[str | int], str]:
  """A key that sorts the digits in a name as numbers."""
  # Text and digits in turn, text first, so that like is compared with like.
  parts = re.split(r'(\d+)', name)
  return [int(p) if p.isdecimal() else p for p in parts], name
