"""Small videos of every kind, each frame carrying its number as blocks."""

import contextlib
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction

import av
import numpy as np
import pytest

from rvmae_jax.data.packets import open_container

SIZE = 64
NUM_FRAMES = 48
_BITS = 6
_BLOCK = SIZE // _BITS


def picture(number: int) -> np.ndarray:
  """A frame [64, 64, 3] uint8: six blocks, light for 1, over a moving ramp."""
  ramp = np.arange(SIZE) * 3 + 2 * number
  frame = np.broadcast_to((ramp % 200)[:, None, None], (SIZE, SIZE, 3))
  frame = frame.astype(np.uint8)
  for bit in range(_BITS):
    light = 215 if number >> bit & 1 else 40
    frame[8:56, _BLOCK * bit : _BLOCK * (bit + 1)] = light
  return frame


def number(frame: np.ndarray) -> int:
  """What the blocks of a frame say, whatever became of its colours."""
  blocks = [
    frame[20:44, _BLOCK * bit + 3 : _BLOCK * (bit + 1) - 3].mean() > 127
    for bit in range(_BITS)
  ]
  return sum(1 << bit for bit, is_light in enumerate(blocks) if is_light)


def write(
  path: pathlib.Path,
  encoder: str,
  pixel_format: str,
  options: dict[str, str] | None = None,
  container_options: dict[str, str] | None = None,
  numbers: Iterable[int] = range(NUM_FRAMES),
  **fields,
) -> pathlib.Path:
  """Writes frames, 25 a second; skips where this FFmpeg cannot.

  Args:
    path: of the file; its suffix is the container.
    encoder, pixel_format, options: FFmpeg's.
    container_options: of the muxer.
    numbers: of the frames.
    **fields: set on the codec's context, such as `color_range`.
  """
  try:
    av.Codec(encoder, 'w')
  except (av.FFmpegError, ValueError):
    pytest.skip(f'this FFmpeg does not encode with {encoder}')
  if encoder == 'libx265':
    params = 'log-level=none:pools=none:frame-threads=1'
    given = (options or {}).get('x265-params', '')
    options = {**(options or {}), 'x265-params': f'{params}:{given}'}
  with (
    _own_priority(),
    av.open(str(path), 'w', options=container_options or {}) as container,
  ):
    stream = container.add_stream(encoder, rate=25, options=options or {})
    stream.width = stream.height = SIZE
    stream.pix_fmt = pixel_format
    if 'crf' not in (options or {}):
      stream.bit_rate = 4_000_000
    stream.codec_context.thread_count = 1
    for name, value in fields.items():
      setattr(stream.codec_context, name, value)
    for i in numbers:
      frame = av.VideoFrame.from_ndarray(picture(i), format='rgb24')
      container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
  return path


@contextlib.contextmanager
def _own_priority():
  """Gives the thread its scheduling back.

  Where root encodes AV1, SVT-AV1 makes the calling thread a real-time one. What
  it starts then, a process that hangs for a test, say, would stop all others.
  """
  if not hasattr(os, 'sched_getscheduler'):
    yield
    return
  policy, param = os.sched_getscheduler(0), os.sched_getparam(0)
  try:
    yield
  finally:
    os.sched_setscheduler(0, policy, param)


def remux(
  source: pathlib.Path,
  path: pathlib.Path,
  change: Callable[[list[av.Packet]], list[av.Packet]] = lambda packets: (
    packets
  ),
  container_options: dict[str, str] | None = None,
) -> pathlib.Path:
  """Writes the packets of a file into another, changed on the way."""
  with (
    open_container(str(source)) as reading,
    av.open(str(path), 'w', options=container_options or {}) as writing,
  ):
    stream = reading.streams.video[0]
    copy = writing.add_stream_from_template(stream)
    packets = change([p for p in reading.demux(stream) if p.size])
    for packet in packets:
      packet.stream = copy
      writing.mux(packet)
  return path


def retimed(
  packets: list[av.Packet], times_ms: Iterable[int | None]
) -> list[av.Packet]:
  """Gives packets other times, of display and of decoding alike."""
  for packet, time_ms in zip(packets, times_ms, strict=True):
    packet.pts = packet.dts = time_ms
    packet.duration = 40
    packet.time_base = Fraction(1, 1000)
  return packets


def decode_all(path: pathlib.Path) -> Iterator[av.VideoFrame]:
  """Yields all frames of a plain decode that skips what fails."""
  with open_container(str(path)) as container:
    stream = container.streams.video[0]
    # Threads lose frames at an error, or patch them up in their own way.
    stream.codec_context.thread_count = 1
    for packet in container.demux(stream):
      try:
        yield from packet.decode()
      except av.FFmpegError:
        continue
