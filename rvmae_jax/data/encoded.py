"""Frames of an encoded video by index, exact to the frame.

Frame i is the i-th that decoding from the start of the file gives. The file is
demuxed once, without decoding, into a table of its packets, and each frame is
known by the packet that it comes from. Where the times of the packets leave no
doubt, they tell the order of the frames. Elsewhere (raw streams, joined or
damaged files, two frames at one time, AVI with B-frames) the file is decoded
once to see what comes out.

A read seeks to the last key frame that is shown no later than the wanted frame
and decodes from there, so that it costs a group of pictures and not a film.
"""

import bisect
import dataclasses
import hashlib
import itertools
import os
import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import av
import numpy as np
from av.video.frame import PictureType
from av.video.reformatter import VideoReformatter

from rvmae_jax.data.display import orientation, to_rgb
from rvmae_jax.data.packets import Packets, is_url
from rvmae_jax.data.readers import (
  IMAGES_PER_SECOND,
  Reader,
  VideoError,
  check_pixels,
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
    num_frames: frames to be shown.
    duration_s: from the first frame to the end of the last.
    start_s: presentation time of the first frame.
    rotation_degrees: counterclockwise; the readers apply it.
    is_mirrored: left and right are swapped after rotation, by the readers too.
    pixel_aspect: width of a pixel by its height; the readers keep pixels as
      they are stored, see `display`.
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
  is_mirrored: bool
  pixel_aspect: float


class _Entry(NamedTuple):
  """Where decoding may start: it gives the frames from `index` on.

  Attributes:
    index: of a frame.
    position: of its packet among those of the stream, in decoding order.
    seeks: whether to try to seek to it.
  """

  index: int
  position: int
  seeks: bool = True


_START = _Entry(0, 0, seeks=False)

# Orders of frames that took a full decode: file -> positions of packets. A
# process opens its files over and over; the oldest go first.
_DECODED_ORDERS: dict[tuple, list[int | None]] = {}
_NUM_DECODED_ORDERS = 10_000
_ORDERS_LOCK = threading.Lock()  # A loader's threads share them.


class EncodedReader(Reader):
  """Frames of an encoded video: a path or URL, or the bytes of a file.

  A frame that the decoder marks as damaged raises VideoError, and so do those
  after it up to the next key frame, which build on it. Damage that the decoder
  patches up without a mark is shown as any player shows it.
  """

  def __init__(
    self, path: str, source: str | bytes, num_threads: int = 1, **trim
  ):
    self.path = path
    self._convert = VideoReformatter()
    with video_errors(path):
      self._packets = Packets(path, source, num_threads)
      times_s = self._index()
    super().__init__(path, times_s, **trim)

  @property
  def slow_because(self) -> str:
    if self._doubt:
      return f'{self._doubt}: the whole file is decoded to open it'
    reason = self._packets.in_order_because
    return f'{reason}: it is read from the start' if reason else ''

  def info(self) -> VideoInfo:
    """What the container and the first frame say."""
    with video_errors(self.path):
      frame = self._video_frame(self._first)
    turned = orientation(frame)
    stream = self._packets.stream
    fps = float(stream.average_rate or stream.guessed_rate or 0)
    return VideoInfo(
      container=self._packets.container.format.name,
      codec=stream.codec_context.name,
      pixel_format=frame.format.name,
      width=frame.width,
      height=frame.height,
      fps=fps,
      num_frames=self.num_frames,
      duration_s=float(self.timestamps_s[-1]) + (1 / fps if fps else 0.0),
      start_s=self._start_s + float(self._times_s[self._first]),
      rotation_degrees=turned.degrees,
      is_mirrored=turned.is_mirrored,
      pixel_aspect=float(stream.sample_aspect_ratio or 1),
    )

  def close(self) -> None:
    self._packets.close()

  # ------------------------------------------------------------ which frames

  def _index(self) -> np.ndarray:
    """Finds the frames and where decoding may start.

    Returns:
      When each frame is shown, in seconds from the first.
    """
    packets = self._packets
    self._seekable = [_Entry(0, 0)]
    self._index_of: dict[int, int] = {}
    self._is_counted = False
    self._wanted = -1
    self._shown = np.inf
    shown = [*itertools.compress(itertools.count(), packets.is_shown)]
    self._doubt = 'a part of it is damaged or missing'
    if True not in packets.is_corrupt:
      self._doubt = _doubt(packets, [packets.pts[i] for i in shown])
    # Frames on the way to the wanted one that nothing builds on need not be
    # decoded. Only H.264 marks them without exceptions.
    codec = packets.stream.codec.name
    self._skips = codec == 'h264' and not self._doubt
    if self._doubt:
      order = self._decoded_order()
      self._is_counted = len({*order} - {None}) < len(order)
    else:
      order = sorted(shown, key=packets.pts.__getitem__)
      order = self._without_lost_head(order)
    if not self._is_counted:
      self._index_of = {position: i for i, position in enumerate(order)}
      self._seekable += self._key_entries()
    return self._shown_at(order)

  def _decoded_order(self) -> list[int | None]:
    """Positions of the packets of all frames, by decoding all of them."""
    source = _source_key(self._packets.source)
    order = _DECODED_ORDERS.get(source)
    # With threads an error may take other frames along.
    self._packets.set_threads(1)
    if order is None:
      order = [frame.pts for frame in self._decode(_START)]
      if source is not None:
        with _ORDERS_LOCK:
          _DECODED_ORDERS[source] = order
          while len(_DECODED_ORDERS) > _NUM_DECODED_ORDERS:
            del _DECODED_ORDERS[next(iter(_DECODED_ORDERS))]
    return order

  def _without_lost_head(self, order: list[int]) -> list[int]:
    """Leaves out frames at the start whose key frame was cut off.

    What is stored before the first key frame, or shown before it, may need one
    that is not there; whether it comes is seen by decoding up to there.
    """
    pts, is_key = self._packets.pts, self._packets.is_key
    first = is_key.index(True) if True in is_key else len(is_key)
    # A key frame that is hidden may lack a time; those shown have one.
    start = pts[first] if first in order else -np.inf
    doubtful = {i for i in order if i < first or pts[i] < start}
    if not doubtful:
      return order
    came = set()
    for frame in self._decode(_START):
      came.add(frame.pts)
      if frame.pts not in doubtful:
        break
    return [i for i in order if i in came or i not in doubtful]

  def _key_entries(self) -> Iterator[_Entry]:
    """Key frames whose predecessors in the file are all shown before them."""
    is_key = self._packets.is_key
    indices = [self._index_of.get(i, -1) for i in range(len(is_key))]
    latest = [*itertools.accumulate(indices, max)]
    for position in itertools.compress(range(len(is_key)), is_key):
      if position and indices[position] > latest[position - 1]:
        yield _Entry(indices[position], position)

  def _shown_at(self, order: Sequence[int | None]) -> np.ndarray:
    """When frames are shown: their packets' times, corrected never to fall."""
    pts = self._packets.pts
    rate = self._packets.stream.guessed_rate or IMAGES_PER_SECOND
    tick = self._packets.stream.time_base
    ticks = []
    if not self._is_counted:
      ticks = [pts[i] for i in order]
      if None not in ticks and ticks != sorted(ticks):
        stored = [pts[i] for i in sorted(order)]
        if stored == sorted(stored):
          ticks = stored  # Decoding times: give them to the frames in order.
    if not ticks or None in ticks:
      known = [i for i, time in enumerate(ticks) if time is not None]
      if not known:
        self._start_s = 0.0
        self._times_s = np.arange(len(order)) / float(rate)
        return self._times_s
      ticks = np.interp(range(len(order)), known, [ticks[i] for i in known])
    steps = np.diff(np.asarray(ticks, np.float64))
    if (steps < 0).any():
      # Where times go back, as in joined files, the frames go on.
      forward = steps[steps > 0] if (steps > 0).any() else 1 / rate / tick
      steps[steps < 0] = np.median(np.asarray(forward, np.float64))
    self._start_s = float(ticks[0] * tick)
    # Ticks are whole numbers: only here are times rounded.
    since_first = np.concatenate([[0.0], np.cumsum(steps)])
    self._times_s = since_first * tick.numerator / tick.denominator
    return self._times_s

  # ------------------------------------------------------------ frames

  def _frame(self, index: int) -> np.ndarray:
    frame = self._video_frame(index)
    check_pixels(self.path, frame.width, frame.height)
    return to_rgb(frame, self._convert)

  def _video_frame(self, index: int) -> av.VideoFrame:
    entries = self._entries()
    at = bisect.bisect(entries, index, key=lambda entry: entry.index) - 1
    entry = entries[at]
    # Going on beats seeking, except backwards or over a key frame.
    if index <= self._shown or entry.position > self._fed + 1:
      self._start(entry)
    frame = self._advance(index)
    if frame is None and self._entry_now != (first := self._entries()[0]):
      # The key frame was not enough (gradual refresh): take all before it too.
      self._start(first)
      frame = self._advance(index)
    if frame is None:
      raise VideoError(self.path, f'frame {index} cannot be decoded')
    return frame

  def _entries(self) -> list[_Entry]:
    """Where decoding may start, as far as is known by now."""
    return [_START] if self._packets.in_order_because else self._seekable

  def _start(self, entry: _Entry) -> None:
    """Lets decoding begin at an entry."""
    self._entry_now = entry
    self._shown = self._fed = -1
    self._frames = self._indexed_frames(entry)

  def _advance(self, index: int) -> av.VideoFrame | None:
    """Decodes up to frame `index`; None if it does not come."""
    self._wanted = index
    for shown, frame in self._frames:
      self._shown = shown
      if shown >= index:
        return frame if shown == index else None
    self._shown = np.inf
    return None

  def _indexed_frames(
    self, entry: _Entry
  ) -> Iterator[tuple[int, av.VideoFrame | None]]:
    """Yields (index, frame) in presentation order; None for a damaged one."""
    self._damaged = np.inf  # What is stored from here on builds on damage.
    for count, frame in enumerate(self._decode(entry)):
      position = count if self._is_counted else frame.pts
      index = count if self._is_counted else self._index_of.get(position)
      if index is None:
        continue
      if position == entry.position != 0 and _builds_on_others(frame):
        reason = 'frames marked as key frames depend on other frames'
        self._packets.in_order_because = reason
        return
      if frame.key_frame and position > self._damaged:
        self._damaged = np.inf
      if frame.is_corrupt:
        self._damaged = min(self._damaged, position)
      if position < self._damaged:
        yield index, frame
      elif entry.position:
        return  # Decoding from the start may do better.
      else:
        yield index, None

  def _decode(self, entry: _Entry) -> Iterator[av.VideoFrame]:
    """Yields all frames from an entry; their `pts` tell the packets' positions.

    Frames that are shown before the entry build on others before it, and no
    frame builds on them: they are left out.
    """
    has_begun, was_early = False, None
    for position, packet in self._packets.read(entry.position, entry.seeks):
      self._fed = position
      index = self._index_of.get(position, np.inf)
      if index < entry.index:
        continue
      if self._skips and (index < self._wanted) is not was_early:
        was_early = index < self._wanted
        skipped = 'NONREF' if was_early else 'DEFAULT'
        self._packets.stream.codec_context.skip_frame = skipped
      packet.pts = position
      try:
        frames = packet.decode()
      except av.FFmpegError:
        # At the start of a cut file frames lack the key frame they build on.
        if has_begun or packet.is_keyframe:
          self._damaged = position
        continue
      has_begun = has_begun or bool(frames)
      yield from frames
    yield from self._packets.stream.decode(None)  # Those that wait.


def _doubt(packets: Packets, pts: Sequence[int | None]) -> str:
  """Why the times `pts` do not give the order of frames; '' if they do."""
  dts = [time for time in packets.dts if time is not None]
  if None in pts:
    return 'frames have no times'
  if len({*pts}) < len(pts):
    return 'two frames have the same time'
  if dts != sorted(dts):
    return 'timestamps go backwards, as where files were joined'
  if not packets.stream.codec_context.has_b_frames or len(pts) < 2:
    return ''
  # With B-frames, times of display rise and fall, and times of decoding only
  # rise. AVI holds the latter alone; Matroska does not say which it holds.
  container = packets.container.format.name
  is_one = container == 'matroska,webm' or all(
    dts in (None, pts) for dts, pts in zip(packets.dts, packets.pts)
  )
  if container == 'avi' or (is_one and pts == sorted(pts)):
    return 'timestamps do not give the order in which frames are shown'
  return ''


def _builds_on_others(frame: av.VideoFrame) -> bool:
  """Whether the decoder says that a frame is no key frame."""
  predicted = (PictureType.P, PictureType.B)
  return not frame.key_frame and PictureType(frame.pict_type) in predicted


def _source_key(source: str | bytes) -> tuple | None:
  """What tells files apart within a process; None of a URL."""
  if isinstance(source, bytes):
    return (hashlib.blake2b(source).digest(),)
  if is_url(source):
    return None
  stat = os.stat(source)
  return os.path.abspath(source), stat.st_size, stat.st_mtime_ns
