"""Videos re-encoded for training: small frames, key frames close together."""

import dataclasses
import functools
import io
import itertools
import math
import pathlib
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
from PIL import Image

from rvmae_jax.data.decoding import Reader, VideoError, open_record
from rvmae_jax.data.faces import Faces, hide
from rvmae_jax.data.records import Record

# Fine enough for any frame rate, and what MPEG has always used.
TICKS_PER_SECOND = 90_000


@dataclasses.dataclass(frozen=True)
class Encoding:
  """How to encode.

  Attributes:
    codec: 'h264' (one .mp4) or 'jpeg' (one image a frame).
    short_side: of a frame in pixels, never enlarged; 0 keeps the size.
    gop: h264: frames from a key frame to the next; a random frame costs about
      half of them to decode.
    crf: h264: constant rate factor, lower is better; 18 looks like the input.
    quality: jpeg: 1 to 95.
    max_seconds: keep only the start; 0 keeps all.
  """

  codec: str = 'h264'
  short_side: int = 256
  gop: int = 12
  crf: int = 20
  quality: int = 90
  max_seconds: float = 0.0


def encode_record(
  record: Record, encoding: Encoding, faces: Faces | None = None
) -> tuple[Record, int]:
  """Decodes a video and encodes it anew; times of the frames are kept.

  Args:
    record: any; its `start_s` and `end_s` are applied.
    encoding: how.
    faces: to hide, of `faces.find_faces`.

  Returns:
    A record with `video` or `jpegs` inside, and its number of frames.

  Raises:
    VideoError: some frame cannot be decoded, or the frames not encoded.
    ValueError: an unknown codec.
  """
  encoders = {'h264': _encode_h264, 'jpeg': _encode_jpegs}
  if encoding.codec not in encoders:
    raise ValueError(
      f'codec={encoding.codec!r} is not one of {list(encoders)}.'
    )
  with open_record(record) as reader:
    times_s = reader.timestamps_s
    times_s = times_s[times_s < (encoding.max_seconds or math.inf)]
    size = _target_size(*reader.read([0]).shape[1:3], encoding)
    frames = _resized_frames(reader, len(times_s), size, faces)
    try:
      encoded = encoders[encoding.codec](frames, times_s, encoding)
    except VideoError:
      raise
    # Times and sizes that an encoder or its container does not take; which
    # error they give depends on both.
    except Exception as error:
      reason = f'cannot be encoded as {encoding.codec}: {error}'
      raise VideoError(record['path'], reason) from error
  kept = {k: record[k] for k in ('path', 'label', 'columns') if k in record}
  return {**kept, **encoded}, len(times_s)


def _resized_frames(
  reader: Reader,
  num_frames: int,
  size: tuple[int, int],
  faces: Faces | None,
) -> Iterator[Image.Image]:
  for index in range(num_frames):
    frame = reader.read([index])[0]
    if faces:
      frame = hide(frame, faces.boxes[index])
    image = Image.fromarray(frame)
    yield image.resize(size, Image.Resampling.BICUBIC)


def _target_size(
  height: int, width: int, encoding: Encoding
) -> tuple[int, int]:
  """Width and height with the short side asked for; even for h264."""
  scale = min(1.0, (encoding.short_side or math.inf) / min(height, width))
  step = 2 if encoding.codec == 'h264' else 1
  return tuple(
    max(step, round(side * scale / step) * step) for side in (width, height)
  )


@functools.cache
def repeatable_x264() -> dict[str, str]:
  """Options with which libx264 writes the same frames in the same bits.

  Its code for AVX-512 does not: once in 50 to 400 times, macroblock trees come
  out otherwise. What it has for AVX2 gives the bits of all other code.
  """
  try:
    has_avx512 = 'avx512' in pathlib.Path('/proc/cpuinfo').read_text()
  except OSError:  # Not Linux.
    has_avx512 = False
  return {'x264-params': 'asm=AVX2'} if has_avx512 else {}


def _encode_h264(
  frames: Iterator[Image.Image],
  times_s: np.ndarray,
  encoding: Encoding,
) -> dict:
  file = io.BytesIO()
  first = next(frames)
  rate = Fraction(30)
  if len(times_s) > 1:
    rate = Fraction((len(times_s) - 1) / times_s[-1]).limit_denominator(1001)
  with av.open(file, 'w', format='mp4') as container:
    stream = container.add_stream(
      'libx264',
      rate=rate,
      options={
        'crf': str(encoding.crf),
        'g': str(encoding.gop),
        **repeatable_x264(),
      },
    )
    # One thread: the machine does not matter, and shards run abreast.
    stream.codec_context.thread_count = 1
    stream.codec_context.time_base = Fraction(1, TICKS_PER_SECOND)
    stream.pix_fmt = 'yuv420p'
    stream.width, stream.height = first.size
    for image, time_s in zip(itertools.chain([first], frames), times_s):
      frame = av.VideoFrame.from_image(image)
      frame.pts = round(time_s * TICKS_PER_SECOND)
      frame.time_base = Fraction(1, TICKS_PER_SECOND)
      container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
  return {'video': file.getvalue()}


def _encode_jpegs(
  frames: Iterator[Image.Image],
  times_s: np.ndarray,
  encoding: Encoding,
) -> dict:
  jpegs = []
  for image in frames:
    file = io.BytesIO()
    image.save(file, 'JPEG', quality=encoding.quality)
    jpegs.append(file.getvalue())
  return {'jpegs': jpegs, 'timestamps_s': times_s.tolist()}
