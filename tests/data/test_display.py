"""Frames look as players show them: colours by the formulas, and upright."""

import struct
from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter
from PIL import Image

from rvmae_jax.data import readers
from rvmae_jax.data.decoding import VideoError, image_files, open_record, probe
from rvmae_jax.data.display import to_rgb
from rvmae_jax.data.frames import read_frames, read_live
from tests.data import small_videos

# Weights of red and blue in the luma of a matrix, and its number in FFmpeg.
MATRICES = {'bt601': (0.299, 0.114, 5), 'bt709': (0.2126, 0.0722, 1)}
_LIMITED, _FULL = 1, 2
_SIDE = 8  # Of the squares that have a colour each.


def rgb_by_formula(y, u, v, matrix, is_full, bits):
  """ITU-R BT.601 and BT.709: integers [H, W] to RGB [H, W, 3] of 0 to 255."""
  red, blue, _ = MATRICES[matrix]
  scale = 2 ** (bits - 8)
  if is_full:
    luma, chroma = y / (256 * scale - 1), 256 * scale - 1
  else:
    luma, chroma = (y / scale - 16) / 219, 224 * scale
  pb, pr = (u - 128 * scale) / chroma, (v - 128 * scale) / chroma
  r = luma + 2 * (1 - red) * pr
  b = luma + 2 * (1 - blue) * pb
  g = (luma - red * r - blue * b) / (1 - red - blue)
  return (255 * np.stack([r, g, b], -1)).round().clip(0, 255)


def raw_frame(pixel_format, bits):
  """A frame of random squares, and the values of its planes by square."""
  rng = np.random.default_rng(0)
  frame = av.VideoFrame(64, 48, pixel_format)
  squares = []
  for number, plane in enumerate(frame.planes):
    low, high = (100, 156) if number else (60, 190)
    values = rng.integers(low, high, (48 // _SIDE, 64 // _SIDE))
    values = values * 2 ** (bits - 8)
    squares.append(values)
    rows = np.repeat(values, plane.height * _SIDE // 48, 0)
    rows = np.repeat(rows, plane.width * _SIDE // 64, 1)
    dtype = np.dtype('u1' if bits == 8 else '<u2')
    lines = np.zeros((plane.height, plane.line_size // dtype.itemsize), dtype)
    lines[:, : plane.width] = rows
    plane.update(lines.tobytes())
  return frame, squares


@pytest.mark.parametrize('matrix', MATRICES)
@pytest.mark.parametrize('is_full', [False, True])
@pytest.mark.parametrize(
  ('pixel_format', 'bits'),
  [
    *(('yuv420p', 8), ('yuv422p', 8), ('yuv444p', 8), ('yuv420p10le', 10)),
    *(('yuv444p10le', 10), ('yuv420p12le', 12), ('gray', 8), ('gray10le', 10)),
  ],
)
def test_colours_follow_the_formulas(pixel_format, bits, is_full, matrix):
  frame, squares = raw_frame(pixel_format, bits)
  frame.colorspace = MATRICES[matrix][2]
  frame.color_range = _FULL if is_full else _LIMITED
  neutral = np.full_like(squares[0], 2 ** (bits - 1))
  planes = squares if len(squares) == 3 else [squares[0], neutral, neutral]
  expected = rgb_by_formula(*planes, matrix, is_full, bits)
  centre = np.s_[_SIDE // 2 :: _SIDE, _SIDE // 2 :: _SIDE]
  found = to_rgb(frame, VideoReformatter())[centre]
  assert np.abs(found - expected).max() <= 4
  assert np.abs(found - expected).mean() <= 2.2


@pytest.mark.parametrize('pixel_format', ['yuv420p', 'gray'])
def test_unstated_colours_are_those_of_ffmpeg(pixel_format):
  frame, squares = raw_frame(pixel_format, 8)
  centre = np.s_[_SIDE // 2 :: _SIDE, _SIDE // 2 :: _SIDE]
  found = to_rgb(frame, VideoReformatter())[centre]
  if pixel_format == 'gray':
    expected = squares[0][..., None]
  else:
    expected = rgb_by_formula(*squares, 'bt601', False, 8)
  assert np.abs(found - expected).max() <= 4


def test_colours_are_those_that_the_file_states(tmp_path):
  """Two files of the same planes, and only the marks of the stream differ."""
  means = {}
  for matrix, is_full in (('bt601', False), ('bt709', False), ('bt709', True)):
    path = small_videos.write(
      tmp_path / f'{matrix}_{is_full}.mkv',
      *('ffv1', 'yuv444p'),
      numbers=[0],
      colorspace=MATRICES[matrix][2],
      color_range=_FULL if is_full else _LIMITED,
    )
    with av.open(str(path)) as container:
      frame = next(container.decode(video=0))
    planes = [p.astype(int) for p in frame.to_ndarray()]
    expected = rgb_by_formula(*planes, matrix, is_full, 8)
    with open_record({'path': str(path), 'label': -1}) as reader:
      found = reader.read([0])[0]
    assert np.abs(found - expected).max() <= 2
    means[matrix, is_full] = found.mean()
  assert len({*means.values()}) > 1


# ---------------------------------------------------------------- upright

QUADRANTS = np.zeros((32, 64, 3), np.uint8)
QUADRANTS[:16, :32], QUADRANTS[:16, 32:] = (255, 0, 0), (0, 255, 0)
QUADRANTS[16:, :32], QUADRANTS[16:, 32:] = (0, 0, 255), 255

# Display matrix (a, b, c, d), what is shown, degrees, mirrored.
ORIENTATIONS = {
  'none': ((1, 0, 0, 1), QUADRANTS, 0, False),
  'turned_left': ((0, -1, 1, 0), np.rot90(QUADRANTS), 90, False),
  'turned_over': ((-1, 0, 0, -1), QUADRANTS[::-1, ::-1], 180, False),
  'turned_right': ((0, 1, -1, 0), np.rot90(QUADRANTS, 3), -90, False),
  'left_right': ((-1, 0, 0, 1), QUADRANTS[:, ::-1], 0, True),
  'upside_down': ((1, 0, 0, -1), QUADRANTS[::-1], 180, True),
  'transposed': ((0, 1, 1, 0), QUADRANTS.swapaxes(0, 1), -90, True),
  'anti_transposed': (
    *((0, -1, -1, 0), QUADRANTS[::-1, ::-1].swapaxes(0, 1), 90, True),
  ),
}


@pytest.fixture(scope='module')
def unturned(tmp_path_factory):
  """An .mp4 of QUADRANTS."""
  path = tmp_path_factory.mktemp('display') / 'unturned.mp4'
  with av.open(str(path), 'w') as container:
    stream = container.add_stream('libx264rgb', rate=25, options={'crf': '1'})
    stream.width, stream.height, stream.pix_fmt = 64, 32, 'rgb24'
    for _ in range(3):
      frame = av.VideoFrame.from_ndarray(QUADRANTS, format='rgb24')
      container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
  return path.read_bytes()


def with_matrix(mp4, a, b, c, d):
  """The same file with another display matrix in its track header."""
  mp4 = bytearray(mp4)
  header = mp4.index(b'tkhd') + 4
  start = header + 4 + (32 if mp4[header] else 20) + 16
  matrix = (a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
  mp4[start : start + 36] = struct.pack('>9i', *matrix)
  return bytes(mp4)


@pytest.mark.parametrize('name', ORIENTATIONS)
def test_frames_are_turned_and_mirrored(name, unturned, tmp_path):
  matrix, expected, degrees, is_mirrored = ORIENTATIONS[name]
  path = tmp_path / 'a.mp4'
  path.write_bytes(with_matrix(unturned, *matrix))
  record = {'path': str(path), 'label': -1}
  as_bytes = {**record, 'video': path.read_bytes()}
  frames = [
    next(read_frames(str(path))),
    next(read_frames(as_bytes)),
    next(read_live(str(path))),  # As of a camera.
  ]
  for frame in frames:
    assert frame.shape == expected.shape
    assert np.abs(frame.astype(int) - expected).max() < 30
  info = probe(str(path))
  assert (info.rotation_degrees, info.is_mirrored) == (degrees, is_mirrored)
  assert (info.width, info.height) == (64, 32)


def test_pixels_that_are_not_square_stay_as_stored(tmp_path):
  path = small_videos.write(
    tmp_path / 'a.mp4',
    *('libx264', 'yuv420p'),
    sample_aspect_ratio=Fraction(4, 3),
  )
  assert probe(str(path)).pixel_aspect == pytest.approx(4 / 3)
  record = {'path': str(path), 'label': -1}
  for frames in (
    *(read_frames(str(path)), read_live(str(path))),
    read_frames({**record, 'video': path.read_bytes()}),
  ):
    assert next(frames).shape == (small_videos.SIZE, small_videos.SIZE, 3)


# ---------------------------------------------------------------- pictures

RAMP = np.arange(0, 256, 4, dtype=np.uint8).reshape(8, 8)
GREY = np.repeat(RAMP[..., None], 3, -1)


def palette():
  image = Image.fromarray(RAMP)
  image.putpalette([v for i in range(256) for v in (255 - i, i, i // 2)])
  return image


PICTURES = {
  'grey': (lambda: Image.fromarray(RAMP), GREY),
  '16_bit': (lambda: Image.fromarray(RAMP.astype(np.uint16) * 257), GREY),
  'lower_byte': (
    lambda: Image.fromarray(RAMP.astype(np.uint16) * 256 + 255),
    GREY,
  ),
  'palette': (palette, np.stack([255 - RAMP, RAMP, RAMP // 2], -1)),
  'black_white': (
    lambda: Image.fromarray(RAMP >= 128),
    np.where(GREY >= 128, 255, 0),
  ),
  'grey_alpha': (lambda: Image.fromarray(RAMP).convert('LA'), GREY),
  'alpha': (
    lambda: Image.fromarray(np.concatenate([GREY, GREY[..., :1] // 2], -1)),
    GREY,
  ),
}


@pytest.mark.parametrize('name', PICTURES)
def test_every_kind_of_picture_shows_its_colours(name, tmp_path):
  make, expected = PICTURES[name]
  make().save(tmp_path / '0.png')
  content = (tmp_path / '0.png').read_bytes()
  record = {'path': str(tmp_path), 'label': -1}
  for stored in (record, {**record, 'jpegs': [content]}):
    with open_record(stored) as reader:
      np.testing.assert_array_equal(reader.read([0])[0], expected)
  # FFmpeg reads the same picture alike, but rounds.
  live = next(read_live(str(tmp_path / '0.png')))
  np.testing.assert_allclose(live.astype(int), expected, atol=1)


def test_numbers_in_names_count_as_numbers(tmp_path):
  names = ['frame_1', 'frame_2', 'frame_10', 'frame_11', 'frame_b', 'g01', 'g1']
  for name in reversed(names):
    Image.new('L', (4, 4)).save(tmp_path / f'{name}.png')
  found = image_files(str(tmp_path))
  assert found == [str(tmp_path / f'{name}.png') for name in names]


def test_huge_pictures_are_refused_before_they_are_decoded(
  tmp_path, monkeypatch
):
  Image.new('1', (8192, 8192)).save(tmp_path / '0.png')
  with open_record({'path': str(tmp_path), 'label': -1}) as reader:
    monkeypatch.setattr(Image.Image, 'convert', None)
    with pytest.raises(VideoError, match='8192 x 8192 = 67108864 pixels; at'):
      reader.read([0])
  video = small_videos.write(tmp_path / 'a.mp4', 'libx264', 'yuv420p')
  monkeypatch.setattr(readers, 'MAX_PIXELS', small_videos.SIZE**2 - 1)
  with pytest.raises(VideoError, match='64 x 64 = 4096 pixels; at most 4095'):
    open_record({'path': str(video), 'label': -1})
  with pytest.raises(VideoError, match='at most 4095'):
    next(read_live(str(video)))
