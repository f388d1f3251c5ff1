"""Every frame by its index, whatever the container; or an error that says why.

Made videos show the number of the frame as a grey level, so that a wrong frame
is seen at once; real ones are compared with a plain decode from the start.
"""

import csv
import fractions
import io
import pathlib
import pickle
import time

import av
import numpy as np
import pytest
from PIL import Image

from rvmae_jax.data.decoding import VideoError, open_record, probe
from tests.data.small_videos import decode_all

NUM_FRAMES = 40
GREYS = 20 + 5 * np.arange(NUM_FRAMES)

_OPEN_GOP = {'x264-params': 'open-gop=1:keyint=12:bframes=3'}
_REFRESH = {'x264-params': 'intra-refresh=1:keyint=12'}
_GOP = {'g': '10', 'bf': '2'}

# name -> file suffix, encoder, options, pixel format
MADE = {
  'b_frames': ('mp4', 'libx264', _GOP, 'yuv420p'),
  'open_gop': ('mkv', 'libx264', _OPEN_GOP, 'yuv420p'),
  'gradual_refresh': ('mp4', 'libx264', _REFRESH, 'yuv420p'),
  'avi_without_display_times': ('avi', 'libx264', _GOP, 'yuv420p'),
  'raw_stream_without_times': ('h264', 'libx264', _GOP, 'yuv420p'),
  'transport_stream': ('ts', 'libx264', _GOP, 'yuv420p'),
  'program_stream': ('mpg', 'mpeg2video', {'bf': '2', 'qmax': '2'}, 'yuv420p'),
  'ten_bits': ('mp4', 'libx264', _GOP, 'yuv420p10le'),
  'full_chroma': ('mp4', 'libx264', _GOP, 'yuv444p'),
  'vp8_hidden_frames': ('webm', 'libvpx', {'auto-alt-ref': '1'}, 'yuv420p'),
  'images_in_gif': ('gif', 'gif', {}, 'rgb8'),
}


def _make(
  path, codec='libx264', options=_GOP, pixel_format='yuv420p', pts=None
):
  """Writes a video whose frame i is grey GREYS[i]; pts are in milliseconds."""
  with av.open(str(path), 'w') as container:
    stream = container.add_stream(codec, rate=25, options=options)
    stream.width, stream.height, stream.pix_fmt = 64, 48, pixel_format
    if pts is not None:
      stream.codec_context.time_base = fractions.Fraction(1, 1000)
    for i in range(NUM_FRAMES):
      grey = np.full((48, 64, 3), GREYS[i], np.uint8)
      frame = av.VideoFrame.from_ndarray(grey)
      if pts is not None:
        frame.pts, frame.time_base = pts[i], fractions.Fraction(1, 1000)
      container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
  return str(path)


def _greys(frames):
  """The number that each frame shows, as an index."""
  return np.rint((frames.mean((1, 2, 3)) - 20) / 5).astype(int).tolist()


@pytest.mark.parametrize('name', MADE)
def test_a_frame_is_found_by_its_index(name, tmp_path):
  suffix, *encoder = MADE[name]
  path = _make(tmp_path / f'video.{suffix}', *encoder)
  order = np.random.default_rng(0).permutation(NUM_FRAMES)
  with open_record({'path': path, 'label': -1}) as reader:
    assert reader.num_frames == NUM_FRAMES
    at_random = np.concatenate([reader.read([i]) for i in order])
    in_order = reader.read(range(NUM_FRAMES))
  assert _greys(in_order) == list(range(NUM_FRAMES))
  # GIF colours are coarse; elsewhere the same frame is the same to the bit.
  np.testing.assert_array_equal(at_random, in_order[order])


def test_any_order_and_repeats_come_in_one_read(tmp_path):
  path = _make(tmp_path / 'video.mp4')
  with open_record({'path': path, 'label': -1}, num_threads=2) as reader:
    assert _greys(reader.read([30, 2, 30, 39])) == [30, 2, 30, 39]


def test_variable_rate_and_late_start_keep_their_times(tmp_path):
  pts = 500 + np.cumsum(np.arange(NUM_FRAMES) % 7 * 10 + 10)
  path = _make(tmp_path / 'video.mkv', pts=pts.tolist())
  with open_record({'path': path, 'label': -1}) as reader:
    np.testing.assert_allclose(
      reader.timestamps_s, (pts - pts[0]) / 1000, atol=1e-9
    )
    assert reader.timestamps_s.dtype == np.float64
    assert _greys(reader.read([5, 38])) == [5, 38]


def test_bytes_are_read_like_the_file(tmp_path):
  path = _make(tmp_path / 'video.mp4')
  video = pathlib.Path(path).read_bytes()
  with open_record({'path': 'shard/7', 'label': -1, 'video': video}) as reader:
    assert _greys(reader.read([33, 11])) == [33, 11]


def test_only_frames_between_start_and_end_exist(tmp_path):
  path = _make(tmp_path / 'video.mp4')  # 25 frames a second.
  record = {'path': path, 'label': -1, 'start_s': 0.4, 'end_s': 0.8}
  with open_record(record) as reader:
    assert reader.num_frames == 10
    assert reader.timestamps_s[0] == 0
    assert _greys(reader.read([0, 9])) == [10, 19]
    with pytest.raises(IndexError, match='frames 0 to 9'):
      reader.read([10])


def test_a_trim_beyond_the_end_says_where_the_end_is(tmp_path):
  path = _make(tmp_path / 'video.mp4')
  with pytest.raises(VideoError, match=r'from 9 s to 10 s.* at 1\.56 s'):
    open_record({'path': path, 'label': -1, 'start_s': 9.0, 'end_s': 10.0})


def test_decoded_frames_and_images_are_read_alike(tmp_path):
  frames = np.random.default_rng(0).integers(0, 256, (5, 6, 7, 3), np.uint8)
  images = []
  for i, frame in enumerate(frames):
    Image.fromarray(frame).save(tmp_path / f'{i:03d}.png')
    images.append((tmp_path / f'{i:03d}.png').read_bytes())
  times = [0.0, 0.1, 0.2, 0.4, 0.8]
  for extra in (
    {'frames': frames, 'timestamps_s': times},
    {'jpegs': images, 'timestamps_s': times},
    {},
  ):
    with open_record({'path': str(tmp_path), 'label': 3, **extra}) as reader:
      np.testing.assert_array_equal(reader.read([4, 0, 4]), frames[[4, 0, 4]])
      expected = times if extra else np.arange(5) / 30
      np.testing.assert_allclose(reader.timestamps_s, expected)


def test_what_is_no_video_says_so(tmp_path):
  silent = io.BytesIO()
  with av.open(silent, 'w', format='wav') as container:
    stream = container.add_stream('pcm_s16le', rate=8000)
    sound = av.AudioFrame.from_ndarray(
      np.zeros((1, 800), np.int16), 's16', 'mono'
    )
    sound.sample_rate = 8000
    container.mux(stream.encode(sound))
  cases = {
    'empty.mp4': (b'', 'the file is empty'),
    'text.mp4': (b'not a video at all' * 99, 'Invalid data'),
    'sound.mp4': (silent.getvalue(), 'no video stream'),
  }
  for name, (content, reason) in cases.items():
    (tmp_path / name).write_bytes(content)
    with pytest.raises(VideoError, match=f'{name}: {reason}'):
      open_record({'path': str(tmp_path / name), 'label': -1})
  with pytest.raises(VideoError, match=r'gone\.mp4: No such file'):
    open_record({'path': str(tmp_path / 'gone.mp4'), 'label': -1})
  (tmp_path / 'folder').mkdir()
  with pytest.raises(VideoError, match='folder: no frames'):
    open_record({'path': str(tmp_path / 'folder'), 'label': -1})
  record = {'path': 'x', 'label': -1, 'jpegs': [b'no image']}
  with open_record(record) as reader, pytest.raises(VideoError, match='x: '):
    reader.read([0])


def test_a_codec_without_a_decoder_is_named(tmp_path):
  path = pathlib.Path(_make(tmp_path / 'a.mp4'))
  path.write_bytes(path.read_bytes().replace(b'avc1', b'zzzz'))
  with pytest.raises(VideoError, match='no decoder for its codec'):
    open_record({'path': str(path), 'label': -1})


def _noise_png():
  file = io.BytesIO()
  noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
  Image.fromarray(noise).save(file, 'png')
  return file.getvalue()


def test_a_damaged_png_is_a_bad_video():
  image = _noise_png()
  second = image.index(b'IDAT', image.index(b'IDAT') + 1)
  image = image[:second] + b'\0\1\2\3' + image[second + 4 :]
  reader = open_record({'path': 'a', 'label': -1, 'jpegs': [image]})
  with pytest.raises(
    VideoError, match=r'a: holds a damaged image: broken PNG file'
  ):
    reader.read([0])


def test_an_image_of_too_many_pixels_is_a_bad_video(monkeypatch):
  monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 256 * 256 // 2 - 1)
  reader = open_record({'path': 'a', 'label': -1, 'jpegs': [_noise_png()]})
  with pytest.raises(VideoError, match='65536 pixels'):
    reader.read([0])


def test_an_error_survives_pickling():
  error = pickle.loads(pickle.dumps(VideoError('a.mp4', 'broken')))
  assert (error.path, error.reason, str(error)) == (
    'a.mp4',
    'broken',
    'a.mp4: broken',
  )


def _rows(shared_dir, *folders):
  with open(shared_dir / 'data/facts.csv', newline='') as file:
    rows = list(csv.DictReader(file))
  return [row for row in rows if row['path'].startswith(folders)]


def _assert_like_a_plain_decode(path, num_samples=5):
  """Reads frames in random order and compares them to the bit."""
  with open_record({'path': str(path), 'label': -1}) as reader:
    rng = np.random.default_rng(0)
    indices = rng.permutation(reader.num_frames)[:num_samples]
    indices = [*indices.tolist(), reader.num_frames - 1, 0]
    frames = {i: reader.read([i])[0] for i in indices}
    num_frames = reader.num_frames
  count = 0
  for count, frame in enumerate(decode_all(path), 1):
    if count - 1 in frames:
      plain = np.rot90(frame.to_ndarray(format='rgb24'), frame.rotation // 90)
      np.testing.assert_array_equal(frames[count - 1], plain)
  assert count == num_frames


# It has a test of its own below.
_DAMAGED = 'edge_cases/trikonasana_20250127135303_bitflips.mp4'


def test_what_is_found_in_real_files_agrees_with_a_full_decode(shared_dir):
  for row in _rows(shared_dir, ''):
    path = str(shared_dir / 'data' / row['path'])
    if row['error'] == 'UnicodeDecodeError':  # Only metadata is cut off.
      assert probe(path).num_frames > 0
    elif row['error']:
      with pytest.raises(VideoError) as caught:
        open_record({'path': path, 'label': -1})
      assert caught.value.path == path
    else:
      info = probe(path)
      for key in ('container', 'codec', 'pixel_format'):
        assert getattr(info, key) == row[key]
      for key in ('width', 'height', 'rotation_degrees'):
        assert getattr(info, key) == int(row[key])
      assert info.fps == pytest.approx(float(row['fps']))
      # A plain loop ends at the cut and loses two frames that wait for it.
      lost = 2 if 'faststart_truncated60' in path else 0
      assert info.num_frames == int(row['decoded_frames']) + lost


def test_odd_real_files_give_the_frames_of_a_full_decode(shared_dir):
  for row in _rows(shared_dir, 'clips_misc/torchcodec', 'edge_cases'):
    if row['path'] != _DAMAGED and not row['error']:
      _assert_like_a_plain_decode(shared_dir / 'data' / row['path'])


@pytest.mark.slow
def test_other_real_files_give_the_frames_of_a_full_decode(shared_dir):
  rows = _rows(shared_dir, 'clips_misc', 'wlasl15', 'yoga6', 'mirror')
  for row in rows[::4]:
    if not row['error']:
      _assert_like_a_plain_decode(shared_dir / 'data' / row['path'])


def test_cut_off_metadata_is_no_reason_to_refuse(shared_dir):
  for name in ('fine/21878.mp4', 'help/27216.mp4'):
    _assert_like_a_plain_decode(shared_dir / 'data/wlasl15' / name)


def test_damaged_frames_are_refused_and_sound_ones_given(shared_dir):
  path = shared_dir / 'data' / _DAMAGED
  plain = list(decode_all(path))
  first_bad = next(i for i, frame in enumerate(plain) if frame.is_corrupt)
  with open_record({'path': str(path), 'label': -1}) as reader:
    assert reader.num_frames == len(plain) == 339
    for i in (first_bad - 1, 3):
      np.testing.assert_array_equal(
        reader.read([i])[0], plain[i].to_ndarray(format='rgb24')
      )
    with pytest.raises(
      VideoError, match=f'frame {first_bad} cannot be decoded'
    ):
      reader.read([0, first_bad])
    with pytest.raises(VideoError, match='frame 338 cannot be decoded'):
      reader.read([338])
    assert len(reader.read([2])) == 1


def test_a_rotated_video_stands_upright(shared_dir):
  path = shared_dir / 'data/clips_misc/torchcodec/nasa_13013_rotated.mp4'
  with open_record({'path': str(path), 'label': -1}) as reader:
    assert reader.read([0]).shape == (1, 480, 270, 3)
  assert (probe(path).width, probe(path).height) == (480, 270)


def test_a_late_frame_of_a_long_file_is_not_decoded_from_the_start(shared_dir):
  path = shared_dir / 'data/edge_cases/long_loop.mp4'
  start_s = time.perf_counter()
  assert sum(1 for _ in decode_all(path)) == 9730
  full_s = time.perf_counter() - start_s
  with open_record({'path': str(path), 'label': -1}) as reader:
    reader.read([0])
    start_s = time.perf_counter()
    reader.read([9700])
    assert time.perf_counter() - start_s < full_s / 4
