"""Frames of an encoded video by index, exact to the frame.

The file is demuxed once, without decoding, into the presentation timestamps of
its frames. A read then seeks to the last key frame that is shown no later than
the wanted frame and decodes from there, so that it costs a group of pictures
and not a film.
"""

import bisect
import contextlib
import dataclasses
import io
import itertools
import math
import os
from collections.abc import Iterator
from typing import NamedTuple

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from rvmae_jax.data.readers import (
  IMAGES_PER_SECOND,
  Reader,
  VideoError,
  video_errors,
)


@dataclasses.dataclass(frozen=True)
class VideoInfo:
  """What a container and its first frame say about a video.

  Attributes:
    container: ffmpeg's name, such as 'mov,mp4,m4a,3gp,3g2,mj2'.
    codec: name of ffmpeg's decoder, such as 'h264'.
    pixel_format: such as 'yuv420p'.
    width, height: as stored, before rotation.
    fps: average rate; 0 if unknown.
    num_frames: frames to be shown, counted by demuxing.
    duration_s: from the first frame to the end of the last.
    start_s: presentation time of the first frame.
    rotation_degrees: counterclockwise; the readers apply it.
  """

  container: str
  codec: str
  pixel_format: str
  width: int
  height: int
  fps: float
  num_frames: int
  duration_s: float
  start_s: float
  rotation_degrees: int


class _Entry(NamedTuple):
  """Where decoding may start: it gives all frames shown at `pts` or later."""

  pts: float
  position: int  # Among the packets of the stream, in decoding order.
  seek_to: int | None  # None: the container has no times to seek to.


# Metadata may be cut off within a character. From version 19 on PyAV keeps such
# bytes as surrogates; before, it fails unless told to keep them.
_KEEP_METADATA = {'metadata_errors': 'surrogateescape'}
if int(av.__version__.partition('.')[0]) >= 19:
  _KEEP_METADATA = {}


def open_container(source: str | io.IOBase) -> av.container.InputContainer:
  """Opens a video file, whatever bytes its metadata hold.

  Args:
    source: a path or an open file.

  Raises:
    av.FFmpegError: it is no file that FFmpeg reads.
  """
  return av.open(source, **_KEEP_METADATA)


def video_stream(
  container: av.container.InputContainer,
) -> av.video.stream.VideoStream | None:
  """The first video stream that is no cover picture, None without one."""
  cover = av.stream.Disposition.attached_pic
  videos = container.streams.video
  return next((s for s in videos if not s.disposition & cover), None)


class EncodedReader(Reader):
  """Frames of an encoded video: a path, or the bytes of a file.

  A frame is known by its presentation timestamp. Where the container does not
  tell those (raw streams, AVI with B-frames), decoded frames are counted from
  the start of the file instead: exact as well, but slow far into a long file.

  A frame that the decoder marks as damaged raises VideoError, and so do those
  after it up to the next key frame, which build on it. Damage that the decoder
  patches up without a mark is shown as any player shows it.
  """

  def __init__(
    self, path: str, source: str | bytes, num_threads: int = 1, **trim
  ):
    self.path = path
    self._source = source
    self._num_threads = num_threads
    self._container = None
    self._convert = VideoReformatter()
    with video_errors(path):
      self._open()
      self._index()
    ticks = np.array(self._pts, np.float64)
    tick_s = self._stream.time_base
    times_s = ticks * tick_s.numerator / tick_s.denominator
    super().__init__(path, times_s, **trim)

  def info(self) -> VideoInfo:
    """What the container and the first frame say."""
    with video_errors(self.path):
      frame = self._video_frame(self._first)
    fps = float(self._stream.average_rate or self._stream.guessed_rate or 0)
    return VideoInfo(
      container=self._container.format.name,
      codec=self._stream.codec_context.name,
      pixel_format=frame.format.name,
      width=frame.width,
      height=frame.height,
      fps=fps,
      num_frames=self.num_frames,
      duration_s=float(self.timestamps_s[-1]) + (1 / fps if fps else 0.0),
      start_s=float(self._pts[self._first] * self._stream.time_base),
      rotation_degrees=frame.rotation,
    )

  def close(self) -> None:
    if self._container is not None:
      self._container.close()

  def _open(self) -> None:
    """Opens the file, again if need be, at its first packet."""
    self.close()
    is_bytes = isinstance(self._source, bytes)
    if not (len(self._source) if is_bytes else os.path.getsize(self._source)):
      raise VideoError(self.path, 'the file is empty')
    self._container = open_container(
      io.BytesIO(self._source) if is_bytes else self._source
    )
    self._stream = video_stream(self._container)
    if self._stream is None:
      raise VideoError(self.path, 'no video stream')
    if self._stream.codec_context is None:
      raise VideoError(
        self.path,
        'no decoder for its codec in this FFmpeg; convert it, to H.264 for '
        'example',
      )
    self._stream.codec_context.thread_count = self._num_threads
    self._stream.codec_context.thread_type = 'AUTO'

  def _index(self) -> None:
    """Demuxes the file: when frames are shown, where decoding may start."""
    shown, entries, self._position = [], [], {}
    for position, packet in enumerate(self._packets()):
      pts, dts = packet.pts, packet.dts
      self._position[dts, pts] = position
      # The last packet of a cut-off file is corrupt, an edit list hides some.
      if not (packet.is_corrupt or packet.is_discard):
        shown.append(pts)
      # Frames stored after a key frame but shown before it may need the key
      # frame before, hence an entry is found by its `pts`.
      seek_to = pts if dts is None else dts
      if position == 0:
        entries.append(_Entry(-math.inf, position, seek_to))
      elif packet.is_keyframe and not (packet.is_corrupt or pts is None):
        entries.append(_Entry(pts, position, seek_to))
    times = sorted({*shown} - {None})
    is_avi = self._container.format.name == 'avi'
    self._counted = len(times) < len(shown) or bool(
      is_avi and self._stream.codec_context.has_b_frames
    )
    if len(times) < len(shown):
      rate = self._stream.guessed_rate or IMAGES_PER_SECOND
      ticks = 1 / (rate * self._stream.time_base)
      times = [round(i * ticks) for i in range(len(shown))]
    self._pts = times
    self._index_of = {pts: i for i, pts in enumerate(times)}
    self._entries = entries[:1] if self._counted else sorted(entries)
    # Frames on the way to the wanted one that nothing builds on need not be
    # decoded. Only H.264 marks them without exceptions.
    self._skips = self._stream.codec.name == 'h264' and not self._counted
    self._shown = math.inf

  def _frame(self, index: int) -> np.ndarray:
    frame = self._video_frame(index)
    rgb = self._convert.reformat(frame, format='rgb24', threads=1).to_ndarray()
    return np.rot90(rgb, round(frame.rotation / 90))

  def _video_frame(self, index: int) -> av.VideoFrame:
    after = (self._pts[index], math.inf)
    entry = self._entries[bisect.bisect(self._entries, after) - 1]
    # Going on beats seeking, except backwards or over a key frame.
    if index <= self._shown or entry.position > self._fed + 1:
      self._start(entry)
    frame = self._advance(index)
    if frame is None and self._entry.position:
      # The key frame was not enough (gradual refresh): take all before it too.
      self._start(self._entries[0])
      frame = self._advance(index)
    if frame is None:
      raise VideoError(self.path, f'frame {index} cannot be decoded')
    return frame

  def _start(self, entry: _Entry) -> None:
    """Lets decoding begin at an entry."""
    self._entry = entry
    self._shown = self._fed = -1
    self._frames = self._decode(entry)

  def _advance(self, index: int) -> av.VideoFrame | None:
    """Decodes up to frame `index`; None if it does not come."""
    self._wanted_pts = self._pts[index]
    for shown, frame in self._frames:
      self._shown = shown
      if shown >= index:
        return frame if shown == index else None
    self._shown = math.inf
    return None

  def _decode(self, entry: _Entry) -> Iterator[tuple[int, av.VideoFrame]]:
    """Yields (index, frame) in presentation order, up to the first damage."""
    for count, frame in enumerate(self._decode_packets(entry)):
      if frame.is_corrupt:
        return
      index = count if self._counted else self._index_of.get(frame.pts)
      if index is not None:
        yield index, frame

  def _decode_packets(self, entry: _Entry) -> Iterator[av.VideoFrame]:
    """Yields frames up to the first packet that does not decode."""
    for position, packet in self._packets_from(entry):
      self._fed = position
      if packet.is_corrupt:
        break
      if packet.pts is not None and packet.pts < entry.pts:
        continue  # It builds on frames before the entry, and nothing on it.
      if self._skips:
        early = packet.pts < self._wanted_pts
        self._stream.codec_context.skip_frame = 'NONREF' if early else 'DEFAULT'
      try:
        frames = packet.decode()
      except av.FFmpegError:
        return  # With frame threads, waiting frames may build on this one.
      yield from frames
    yield from self._stream.decode(None)  # Those that wait for their turn.

  def _packets_from(self, entry: _Entry) -> Iterator[tuple[int, av.Packet]]:
    """Yields (position, packet) in decoding order."""
    landed = math.inf
    if entry.seek_to is not None:
      with contextlib.suppress(av.FFmpegError, StopIteration):
        self._container.seek(entry.seek_to, stream=self._stream)
        packets = self._packets()
        first = next(packets)
        landed = self._position.get((first.dts, first.pts), math.inf)
    if landed > entry.position:
      # This container does not seek well: read it from its start.
      self._open()
      packets = self._packets()
      first, landed = next(packets), 0
    for position, packet in enumerate(
      itertools.chain([first], packets), landed
    ):
      if position >= entry.position:
        yield position, packet

  def _packets(self) -> Iterator[av.Packet]:
    return (p for p in self._container.demux(self._stream) if p.size)
