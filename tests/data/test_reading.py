"""A frame read by itself is the one that decoding in order gives.

In every container and codec that this FFmpeg writes, cut, joined and mistimed;
from files, bytes, folders, shards and servers.
"""

import contextlib
import functools
import http.server
import os
import pathlib
import threading

import av
import numpy as np
import pytest
from PIL import Image

from rvmae_jax.data.decoding import VideoError, open_record
from rvmae_jax.data.encoded import EncodedReader
from rvmae_jax.data.encoding import Encoding, encode_record
from rvmae_jax.data.frames import read_frames
from rvmae_jax.data.packets import Packets
from tests.data import small_videos
from tests.data.small_videos import NUM_FRAMES

_B = {'g': '12', 'bf': '2', 'preset': 'ultrafast'}
_P = {'g': '12', 'bf': '0', 'preset': 'ultrafast'}
_MPEG_B = {'g': '12', 'bf': '2'}
_MPEG_P = {'g': '12', 'bf': '0'}
_VPX = {'g': '12', 'deadline': 'realtime', 'cpu-used': '8'}
_AV1 = {'g': '12', 'preset': '13', 'svtav1-params': 'lp=1'}
_HEVC = {'preset': 'ultrafast', 'x265-params': 'keyint=12:bframes=2'}
_YUV, _JPEG = 'yuv420p', 'yuvj420p'

# Suffix, encoder, pixel format, options.
PAIRS = {
  f'{suffix}-{encoder}-{name}': (suffix, encoder, pixel_format, options)
  for suffix, encoder, pixel_format, name, options in (
    *(
      (suffix, 'libx264', _YUV, 'b', _B)
      for suffix in ('mp4', 'mov', 'mkv', 'avi', 'flv', 'ts', 'mpg', 'h264')
    ),
    *(
      ('mp4', 'libx264', _YUV, f'gop{gop}', {**_B, 'g': str(gop)})
      for gop in (1, 2, 3, 250)
    ),
    ('avi', 'libx264', _YUV, 'no_b', _P),
    ('mkv', 'libx264', _YUV, 'no_b', _P),
    ('mp4', 'libx264', _YUV, 'open', {**_B, 'x264-params': 'open-gop=1'}),
    ('mkv', 'libx264', _YUV, 'refresh', {**_P, 'intra-refresh': '1'}),
    ('mp4', 'libx264', 'yuv420p10le', '10_bit', _B),
    ('mp4', 'libx264', 'yuv444p', '444', _B),
    ('mp4', 'libx264', 'gray', 'grey', _B),
    ('mp4', 'libx264rgb', 'rgb24', 'rgb', _B),
    *(
      (suffix, 'libx265', _YUV, 'b', _HEVC)
      for suffix in ('mp4', 'mkv', 'ts', 'hevc')
    ),
    (
      *('mp4', 'libx265', _YUV, 'open'),
      {**_HEVC, 'x265-params': 'keyint=12:bframes=3:open-gop=1'},
    ),
    ('mp4', 'libx265', 'yuv420p12le', '12_bit', _HEVC),
    *(
      (suffix, 'libsvtav1', _YUV, 'gop12', _AV1)
      for suffix in ('mp4', 'mkv', 'webm')
    ),
    ('mp4', 'libsvtav1', 'yuv420p10le', '10_bit', {**_AV1, 'crf': '20'}),
    *(
      (suffix, 'libvpx', _YUV, 'gop12', _VPX)
      for suffix in ('webm', 'mkv', 'avi', 'ogg')
    ),
    ('webm', 'libvpx', 'yuva420p', 'alpha', {**_VPX, 'auto-alt-ref': '0'}),
    *(
      (suffix, 'libvpx-vp9', _YUV, 'gop12', _VPX)
      for suffix in ('webm', 'mp4', 'mkv')
    ),
    ('webm', 'libvpx-vp9', _YUV, 'hidden', {'g': '48', 'lag-in-frames': '16'}),
    *(
      (suffix, encoder, _YUV, 'b', _MPEG_B)
      for encoder in ('mpeg1video', 'mpeg2video')
      for suffix in ('mpg', 'ts', 'mkv', 'mp4')
    ),
    ('avi', 'mpeg2video', _YUV, 'b', _MPEG_B),
    ('ts', 'mpeg2video', _YUV, 'no_b', _MPEG_P),
    *(
      (suffix, 'mpeg4', _YUV, 'b', _MPEG_B)
      for suffix in ('avi', 'mp4', 'mov', 'mkv', 'ts')
    ),
    ('avi', 'mpeg4', _YUV, 'no_b', _MPEG_P),
    *(
      (suffix, 'msmpeg4', _YUV, 'gop12', {'g': '12', 'mbd': '2'})
      for suffix in ('avi', 'mkv')
    ),
    ('wmv', 'wmv2', _YUV, 'gop12', {'g': '12'}),
    ('flv', 'flv', _YUV, 'gop12', {'g': '12'}),
    *((s, 'mjpeg', _JPEG, 'intra', {}) for s in ('avi', 'mov', 'mkv')),
    ('avi', 'huffyuv', 'yuv422p', 'intra', {}),
    ('avi', 'ffvhuff', 'rgb24', 'intra', {}),
    *((s, 'ffv1', _YUV, 'gop12', {'g': '12'}) for s in ('avi', 'mkv')),
    ('mkv', 'ffv1', 'gray16le', 'grey_16_bit', {}),
    ('avi', 'rawvideo', _YUV, 'intra', {}),
    ('mov', 'rawvideo', 'rgb24', 'intra', {}),
    ('mkv', 'rawvideo', _YUV, 'intra', {}),
    ('avi', 'png', 'rgb24', 'intra', {}),
    ('mov', 'png', 'rgba', 'alpha', {}),
    ('mov', 'png', 'rgb48be', '16_bit', {}),
    ('nut', 'png', 'gray16be', 'grey_16_bit', {}),
    ('mov', 'qtrle', 'rgb24', 'gop12', {'g': '12'}),
    ('mov', 'prores_ks', 'yuv422p10le', 'intra', {}),
    ('gif', 'gif', 'rgb8', 'whole', {}),
    ('ogv', 'libtheora', _YUV, 'gop12', {'g': '12'}),
  )
}


@pytest.fixture(scope='module')
def videos(tmp_path_factory):
  """Videos of PAIRS by name: (path, frames of a plain decode)."""
  folder, made = tmp_path_factory.mktemp('videos'), {}

  def video(name):
    if name not in made:
      suffix, encoder, pixel_format, options = PAIRS[name]
      path = folder / f'{name}.{suffix}'
      small_videos.write(path, encoder, pixel_format, options)
      made[name] = path, plain_frames(path)
    return made[name]

  return video


def plain_frames(path):
  """What FFmpeg itself gives: [(RGB, whether it is marked as damaged)]."""
  return [
    (frame.to_ndarray(format='rgb24'), frame.is_corrupt)
    for frame in small_videos.decode_all(path)
  ]


def assert_reads_like_plain(record, plain, num_random=8, num_threads=1):
  """Random, backward and repeated reads give the frames of a plain decode."""
  rng = np.random.default_rng(len(plain))
  last = len(plain) - 1
  indices = [*rng.permutation(len(plain))[:num_random].tolist(), last, 0]

  def check(reader, asked):
    try:
      frames = reader.read(asked)
    except VideoError:
      assert any(plain[i][1] for i in range(max(asked) + 1)), asked
      return
    for i, frame in zip(asked, frames, strict=True):
      np.testing.assert_array_equal(frame, plain[i][0], f'frame {i}')

  with open_record(record, num_threads) as reader:
    assert reader.num_frames == len(plain)
    assert (np.diff(reader.timestamps_s) >= 0).all()
    for i in indices:
      check(reader, [i])
    check(reader, [last, last // 2, last])
    slow_because = reader.slow_because
  for i in indices[:2]:  # A reader of its own finds each by a seek.
    with open_record(record) as reader:
      check(reader, [i])
  return slow_because


@pytest.mark.parametrize('name', PAIRS)
def test_every_frame_of_every_container_and_codec(name, videos):
  path, plain = videos(name)
  numbers = [small_videos.number(frame) for frame, _ in plain]
  assert numbers == list(range(NUM_FRAMES))
  record = {'path': str(path), 'label': -1}
  assert_reads_like_plain(record, plain)
  record['video'] = path.read_bytes()
  assert_reads_like_plain(record, plain, num_random=2, num_threads=2)


@pytest.mark.skipif(
  not hasattr(os, 'sched_getscheduler'), reason='Linux has such policies'
)
def test_making_videos_does_not_change_how_the_process_is_scheduled(tmp_path):
  before = os.sched_getscheduler(0)
  small_videos.write(tmp_path / 'a.mp4', 'libsvtav1', _YUV, _AV1)
  assert os.sched_getscheduler(0) == before


def test_enough_pairs_are_tried():
  encoders = {encoder for _, encoder, *_ in PAIRS.values()}
  there = encoders & av.codecs_available
  pairs = {(s, e) for s, e, *_ in PAIRS.values() if e in there}
  assert len(pairs) >= 40


# Read in order, or decoded once to be opened; all other pairs seek.
_SLOW = {
  *('avi-libx264-b', 'avi-mpeg2video-b', 'avi-mpeg4-b', 'h264-libx264-b'),
  *('hevc-libx265-b', 'mpg-libx264-b', 'mpg-mpeg2video-b'),
}


def test_what_cannot_be_sought_says_why(videos):
  for name in ('h264-libx264-b', 'avi-mpeg4-b', 'mp4-libx264-b'):
    with open_record({'path': str(videos(name)[0]), 'label': -1}) as reader:
      assert bool(reader.slow_because) == (name in _SLOW), name


def _from(start):
  return lambda packets: packets[start:]


def _from_key(number):
  def cut(packets):
    keys = [i for i, packet in enumerate(packets) if packet.is_keyframe]
    return packets[keys[number] :]

  return cut


def _earlier_by(num_frames):
  def shift(packets):
    for packet in packets:
      ticks = round(num_frames / 25 / packet.time_base)
      packet.pts, packet.dts = packet.pts - ticks, packet.dts - ticks
    return packets

  return shift


def _times_of_decoding(packets):
  for packet in packets:
    packet.pts = packet.dts
  return packets


def _doubled_time(packets):
  times = [40 * i for i in range(len(packets))]
  times[45] = times[44]
  return small_videos.retimed(packets, times)


def _gap(packets):
  return small_videos.retimed(
    packets, [40 * i + 9000 * (i >= 30) for i in range(len(packets))]
  )


def _all_keys(packets):
  for packet in packets:
    packet.is_keyframe = True
  return packets


def _hide_fifth(packets):
  """VP8: what the header calls hidden is decoded and not shown."""
  for packet in packets[5::7]:
    content = bytearray(packet)
    content[0] &= ~0x10
    packet.update(bytes(content))
  return packets


_FRAGMENTS = {'movflags': 'frag_keyframe+empty_moov+default_base_moof'}

# Name -> pair, suffix, change of packets, options of the container.
REMUXED = {
  'fragments': ('mp4-libx264-b', 'mp4', list, _FRAGMENTS),
  'index_first': ('mp4-libx264-b', 'mp4', list, {'movflags': 'faststart'}),
  'mkv_without_index': ('mkv-libx264-b', 'mkv', list, {'live': '1'}),
  'edit_list': ('mp4-libx264-b', 'mp4', _earlier_by(5), {}),
  'negative_times': (
    *('mp4-libx264-b', 'ts', _earlier_by(9)),
    {'avoid_negative_ts': 'disabled', 'muxdelay': '0'},
  ),
  'late_start': ('mp4-libx264-b', 'mkv', _earlier_by(-90000), {}),
  'times_of_decoding': ('mp4-libx264-b', 'mp4', _times_of_decoding, {}),
  'times_of_decoding_mkv': ('mp4-libx264-b', 'mkv', _times_of_decoding, {}),
  'doubled_time': ('avi-libx264-no_b', 'mkv', _doubled_time, {}),
  'gap': ('avi-libx264-no_b', 'mkv', _gap, {}),
  'cut_front_ts': ('ts-libx264-b', 'ts', _from(7), {}),
  'cut_front_mkv': ('mkv-libx264-b', 'mkv', _from(7), {}),
  'cut_front_mp4': ('mp4-libx264-b', 'mp4', _from(7), {}),
  'cut_front_mpeg2_ts': ('ts-mpeg2video-b', 'ts', _from(7), {}),
  'cut_front_mpeg2_ps': ('mpg-mpeg2video-b', 'mpg', _from(7), {}),
  'cut_front_mpeg4_avi': ('avi-mpeg4-b', 'avi', _from(7), {}),
  'cut_front_hevc': ('ts-libx265-b', 'ts', _from(7), {}),
  'cut_front_vp8': ('webm-libvpx-gop12', 'webm', _from(7), {}),
  'open_gop_ts': ('ts-mpeg2video-b', 'ts', _from_key(2), {}),
  'open_gop_mkv': ('ts-mpeg2video-b', 'mkv', _from_key(2), {}),
  'open_gop_ps': ('mpg-mpeg2video-b', 'mpg', _from_key(2), {}),
  'open_gop_h264': ('mp4-libx264-open', 'mkv', _from_key(2), {}),
  'open_gop_hevc': ('mp4-libx265-open', 'mkv', _from_key(2), {}),
  'all_keys_h264': ('mp4-libx264-b', 'mp4', _all_keys, {}),
  'all_keys_mpeg4': ('avi-mpeg4-no_b', 'avi', _all_keys, {}),
  'all_keys_vp9': ('webm-libvpx-vp9-gop12', 'webm', _all_keys, {}),
  'hidden_vp8': ('webm-libvpx-gop12', 'webm', _hide_fifth, {}),
}


@pytest.mark.parametrize('name', REMUXED)
def test_every_frame_of_what_was_cut_or_mistimed(name, videos, tmp_path):
  pair, suffix, change, options = REMUXED[name]
  path = tmp_path / f'{name}.{suffix}'
  small_videos.remux(videos(pair)[0], path, change, options)
  plain = plain_frames(path)
  assert len(plain) > 20
  assert_reads_like_plain({'path': str(path), 'label': -1}, plain)


def _cut_end(path, tmp_path):
  content = path.read_bytes()
  return content[: len(content) * 7 // 10]


def _without_avi_index(path, tmp_path):
  content = path.read_bytes()
  return content[: content.rindex(b'idx1')]


def _joined(path, tmp_path):
  return path.read_bytes() * 2


def _lost_packets(path, tmp_path):
  content = path.read_bytes()
  middle = len(content) // 188 // 2 * 188
  return content[:middle] + content[middle + 5 * 188 :]


# Name -> pair, change of bytes.
CHANGED = {
  **{
    f'cut_end_{pair}': (pair, _cut_end)
    for pair in (
      *('ts-libx264-b', 'mkv-libx264-b', 'avi-mpeg4-b', 'flv-libx264-b'),
      *('mpg-mpeg2video-b', 'h264-libx264-b', 'webm-libvpx-vp9-gop12'),
      *('gif-gif-whole', 'ogg-libvpx-gop12'),
      *('hevc-libx265-b', 'wmv-wmv2-gop12', 'mkv-ffv1-gop12'),
    )
  },
  **{
    f'joined_{pair}': (pair, _joined)
    for pair in (
      *('ts-libx264-b', 'ts-mpeg2video-b', 'mpg-mpeg2video-b'),
      *('h264-libx264-b', 'hevc-libx265-b', 'mkv-libx264-b', 'flv-libx264-b'),
    )
  },
  'avi_without_index': ('avi-libx264-no_b', _without_avi_index),
  'avi_b_without_index': ('avi-mpeg4-b', _without_avi_index),
  'lost_packets_ts': ('ts-libx264-b', _lost_packets),
  'lost_packets_mpeg2': ('ts-mpeg2video-b', _lost_packets),
}


@pytest.mark.parametrize('name', CHANGED)
def test_every_frame_of_what_was_broken_off_or_joined(name, videos, tmp_path):
  pair, change = CHANGED[name]
  source = videos(pair)[0]
  path = tmp_path / f'{name}{source.suffix}'
  path.write_bytes(change(source, tmp_path))
  plain = plain_frames(path)
  assert len(plain) > 10
  assert_reads_like_plain({'path': str(path), 'label': -1}, plain)


# ---------------------------------------------------------------- other ways


class _Files(http.server.SimpleHTTPRequestHandler):
  """Files of a folder, and parts of them where the server knows of those."""

  protocol_version = 'HTTP/1.1'
  knows_ranges = True

  def do_GET(self):
    content = pathlib.Path(self.translate_path(self.path)).read_bytes()
    asked = self.headers.get('Range', '') if self.knows_ranges else ''
    start = int(asked.removeprefix('bytes=').partition('-')[0] or 0)
    if start >= len(content):
      self.send_error(416)
      return
    self.send_response(206 if asked else 200)
    if asked:
      last = len(content) - 1
      self.send_header('Content-Range', f'bytes {start}-{last}/{last + 1}')
    self.send_header('Accept-Ranges', 'bytes' if self.knows_ranges else 'none')
    self.send_header('Content-Length', str(len(content) - start))
    self.send_header('Connection', 'close')
    self.end_headers()
    with contextlib.suppress(ConnectionError):  # Enough was read.
      self.wfile.write(content[start:])

  def log_message(self, *_):
    pass


@pytest.fixture(params=[True, False], ids=['ranges', 'no_ranges'])
def serve(request, monkeypatch):
  """Serves a folder: folder -> address."""
  monkeypatch.setenv('no_proxy', '127.0.0.1')
  monkeypatch.setattr(_Files, 'knows_ranges', request.param)
  with contextlib.ExitStack() as servers:

    def start(folder):
      handler = functools.partial(_Files, directory=str(folder))
      server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
      servers.callback(server.server_close)
      servers.callback(server.shutdown)
      thread = threading.Thread(target=server.serve_forever, args=[0.01])
      thread.start()
      return f'http://127.0.0.1:{server.server_port}'

    yield start


@pytest.mark.parametrize(
  'name', ['mkv-libx264-b', 'ts-mpeg2video-b', 'avi-mpeg4-b', 'gif-gif-whole']
)
def test_every_frame_from_a_server(name, videos, serve):
  path, plain = videos(name)
  url = f'{serve(path.parent)}/{path.name}'
  assert_reads_like_plain({'path': url, 'label': -1}, plain, num_random=3)
  assert len(list(read_frames(url, stride=12))) == NUM_FRAMES // 12


def test_what_a_server_lacks_is_named(videos, serve):
  folder = videos('gif-gif-whole')[0].parent
  url = f'{serve(folder)}/nowhere/a.mp4'
  with pytest.raises(VideoError, match='nowhere'):
    open_record({'path': url, 'label': -1})


@pytest.mark.parametrize(
  'name', ['avi-mpeg4-b', 'mpg-mpeg2video-b', 'h264-libx264-b']
)
@pytest.mark.parametrize('codec', ['h264', 'jpeg'])
def test_every_frame_goes_into_shards(name, codec, videos):
  path, _ = videos(name)
  record = {'path': str(path), 'label': -1}
  record, num_frames = encode_record(
    record, Encoding(codec=codec, short_side=0)
  )
  assert num_frames == NUM_FRAMES
  with open_record(record) as reader:
    for i in (40, 3, 47, 0, 3):
      assert small_videos.number(reader.read([i])[0]) == i


def test_every_frame_of_a_folder(tmp_path):
  for i in range(NUM_FRAMES):
    image = Image.fromarray(small_videos.picture(i))
    image.save(tmp_path / f'frame_{i + 1}.png')
  with open_record({'path': str(tmp_path), 'label': -1}) as reader:
    frames = reader.read([*range(NUM_FRAMES), 3, 3])
  assert [small_videos.number(f) for f in frames] == [*range(NUM_FRAMES), 3, 3]


def test_times_of_one_frame_do_not_change_those_of_others(videos, tmp_path):
  """Frame 45 has the time of 44; between 1.2 and 9 s there is nothing."""
  source = videos('avi-libx264-no_b')[0]

  def change(packets):
    packets = _gap(packets)
    packets[45].pts = packets[45].dts = packets[44].pts
    return packets

  path = small_videos.remux(source, tmp_path / 'a.mkv', change)
  record = {'path': str(path), 'label': -1}
  with pytest.raises(VideoError, match=r'no frames from 1\.2 s to 2 s'):
    open_record({**record, 'start_s': 1.2, 'end_s': 2.0})
  with open_record({**record, 'start_s': 10.2, 'end_s': 10.6}) as reader:
    frames = reader.read(range(reader.num_frames))
  assert [small_videos.number(f) for f in frames] == list(range(30, 40))


def test_times_of_joined_files_go_on(videos, tmp_path):
  source = videos('ts-libx264-b')[0]
  path = tmp_path / 'a.ts'
  path.write_bytes(source.read_bytes() * 2)
  with open_record({'path': str(path), 'label': -1}) as reader:
    np.testing.assert_allclose(
      reader.timestamps_s, np.arange(2 * NUM_FRAMES) / 25, atol=1e-3
    )


def test_a_file_is_decoded_once_to_find_its_frames(videos, monkeypatch):
  path, _ = videos('avi-mpeg4-b')
  record = {'path': str(path), 'label': -1}
  with open_record(record) as reader:
    times_s = reader.timestamps_s
  monkeypatch.setattr(EncodedReader, '_decode', None)
  with open_record(record) as reader:
    np.testing.assert_array_equal(reader.timestamps_s, times_s)
  path.touch()  # Another file, for all that one knows.
  with pytest.raises(TypeError):
    open_record(record)


def test_a_seek_that_leads_astray_halfway_is_noticed(videos, monkeypatch):
  path, plain = videos('mkv-libx264-b')
  known = Packets._known

  def astray(self, position):
    for number, packet in enumerate(known(self, position)):
      if number == 3:
        return
      yield packet

  monkeypatch.setattr(Packets, '_known', astray)
  record = {'path': str(path), 'label': -1}
  assert 'seeks do not land' in assert_reads_like_plain(record, plain)
