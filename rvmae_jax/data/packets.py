"""Packets of an encoded video: demuxed into a table, then read from anywhere.

A packet is believed to be the one in the table only if it is the same to the
bit: a seek that lands elsewhere is noticed, and the file is read in order.
"""

import collections
import contextlib
import functools
import io
import itertools
import os
import zlib
from collections.abc import Iterator

import av

from rvmae_jax.data.readers import VideoError, check_pixels

# Metadata may be cut off within a character. From version 19 on PyAV keeps such
# bytes as surrogates; before, it fails unless told to keep them.
_KEEP_METADATA = {'metadata_errors': 'surrogateescape'}
if int(av.__version__.partition('.')[0]) >= 19:
  _KEEP_METADATA = {}

# Seconds that a server may be silent, while opening and while reading.
_TIMEOUT_S = 30.0

# A little more than a group of pictures usually has.
_PACKETS_BACK = 16


def open_container(source: str | io.IOBase) -> av.container.InputContainer:
  """Opens a video file, whatever bytes its metadata hold.

  Args:
    source: a path, a URL or an open file.

  Raises:
    av.FFmpegError: it is no file that FFmpeg reads.
  """
  if isinstance(source, str) and is_url(source):
    return av.open(source, timeout=_TIMEOUT_S, **_KEEP_METADATA)
  return av.open(source, **_KEEP_METADATA)


def is_url(path: str) -> bool:
  """Whether a name is an address such as https://HOST/FILE."""
  return '://' in path


def video_stream(
  container: av.container.InputContainer,
) -> av.video.stream.VideoStream | None:
  """The first video stream that is no cover picture, None without one."""
  cover = av.stream.Disposition.attached_pic
  videos = container.streams.video
  return next((s for s in videos if not s.disposition & cover), None)


class Packets:
  """The packets of a file's video stream, known by their position.

  Args:
    path: names the video in errors.
    source: a path or URL, or the bytes of a file.
    num_threads: of the decoder.

  Attributes:
    container, stream: PyAV's, of the file as it is open now.
    pts, dts: of all packets in decoding order, None where there is none.
    is_key, is_shown, is_corrupt: of all packets.
    in_order_because: why only reading from the start is to be trusted; '' as
      long as seeks are.

  Raises:
    VideoError: the file has no video stream that can be decoded.
  """

  def __init__(self, path: str, source: str | bytes, num_threads: int):
    self.path, self.source = path, source
    self._num_threads = num_threads
    self.container = None
    self.in_order_because = ''
    self._open()
    is_vp8 = self.stream.codec_context.name == 'vp8'
    rows = [
      (
        packet.pts,
        packet.dts,
        _identity(packet),
        packet.is_keyframe,
        not (packet.is_discard or (is_vp8 and _is_hidden_vp8(packet))),
        packet.is_corrupt,
      )
      for packet in self._demuxed()
    ]
    # Each a tuple in decoding order.
    (
      self.pts,
      self.dts,
      self._identities,
      self.is_key,
      self.is_shown,
      self.is_corrupt,
    ) = zip(*rows) if rows else [()] * 6

  def __len__(self) -> int:
    return len(self.pts)

  def close(self) -> None:
    """Closes the file."""
    if self.container is not None:
      self.container.close()

  def set_threads(self, count: int) -> None:
    """Lets the decoder have so many threads from now on."""
    self.stream.codec_context.thread_count = self._num_threads = count

  def read(self, start: int, seeks: bool) -> Iterator[tuple[int, av.Packet]]:
    """Yields (position, packet) in decoding order, from a position on.

    It ends early if a seek turns out to be wrong after some packets were given:
    reopening the file would reset the decoder, which has to start again.
    """
    position = start
    for time in self._times_to_seek(start) if seeks else ():
      with contextlib.suppress(av.FFmpegError):
        self.container.seek(time, stream=self.stream)
        for packet in self._known(position):
          yield position, packet
          position += 1
      if position > start or position == len(self):
        break
    if position < len(self):
      # It does not seek, or leads astray: read it in order.
      if position:
        self.in_order_because = 'seeks do not land where they should'
      if position > start:
        return
      self._open()
      yield from itertools.islice(enumerate(self._demuxed()), position, None)

  def _open(self) -> None:
    """Opens the file, again if need be, at its first packet."""
    self.close()
    source = self.source
    if not _num_bytes(source):
      raise VideoError(self.path, 'the file is empty')
    self.container = open_container(
      io.BytesIO(source) if isinstance(source, bytes) else source
    )
    self.stream = video_stream(self.container)
    if self.stream is None:
      raise VideoError(self.path, 'no video stream')
    codec = self.stream.codec_context
    if codec is None:
      raise VideoError(
        self.path,
        'no decoder for its codec in this FFmpeg; convert it, to H.264 for '
        'example',
      )
    check_pixels(self.path, codec.width, codec.height)
    codec.thread_count = self._num_threads
    codec.thread_type = 'AUTO'

  def _times_to_seek(self, position: int) -> list[int]:
    """Times to seek to, one after the other, until one serves."""
    # MPEG program streams give other times to the first packets after a seek:
    # if the packet is not found, seek to one well before it.
    positions = (position, max(0, position - _PACKETS_BACK))
    times = [
      self.pts[i] if self.dts[i] is None else self.dts[i] for i in positions
    ]
    return [t for t in dict.fromkeys(times) if t is not None]

  @functools.cached_property
  def _position_of(self) -> dict[tuple, int]:
    """Positions of the packets that are like no other, by identity."""
    counts = collections.Counter(self._identities)
    positions = enumerate(self._identities)
    return {key: i for i, key in positions if counts[key] == 1}

  def _known(self, position: int) -> Iterator[av.Packet]:
    """Yields packets from `position` on, as long as they are the right ones."""
    at = None
    for packet in self._demuxed():
      identity = _identity(packet)
      if at is None or identity != self._identities[at]:
        at = self._position_of.get(identity)  # Not known at once after a seek.
      if at is None:
        continue
      if at > position:
        return
      if at == position:
        yield packet
        position += 1
      at += 1
      if at == len(self):
        return

  def _demuxed(self) -> Iterator[av.Packet]:
    return (p for p in self.container.demux(self.stream) if p.size)


def _identity(packet: av.Packet) -> tuple[int | None, int, int]:
  """Tells a packet from others by its time, size and content."""
  return packet.pts, packet.size, zlib.crc32(packet)


def _is_hidden_vp8(packet: av.Packet) -> bool:
  """Whether a picture is there only for others to build on."""
  return not memoryview(packet)[0] & 0x10  # The bit show_frame.


def _num_bytes(source: str | bytes) -> int:
  """Size of a file; 1 for a URL, whose size is not requested."""
  if isinstance(source, bytes):
    return len(source)
  return 1 if is_url(source) else os.path.getsize(source)
