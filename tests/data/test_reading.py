"""A frame read by itself is the one that decoding in order gives.

In every container and codec that this FFmpeg writes, cut, joined and mistimed;
from files, bytes, folders, shards and servers.
"""

import io

import av
import numpy as np
import pytest

from rvmae_jax.data.decoding import VideoError, open_record
from rvmae_jax.data.encoded import EncodedReader
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


def assert_reads_like_plain(record, plain, num_random=8):
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

  with open_record(record) as reader:
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
  assert_reads_like_plain(record | {'video': path.read_bytes()}, plain, 2)
