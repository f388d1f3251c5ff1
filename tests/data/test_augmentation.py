import numpy as np
import pytest
from PIL import Image

from rvmae_jax.data.augmentation import (
  CentreCrop,
  RandomResizedCrop,
  centre_box,
  make_transforms,
  random_flip,
  resize,
)


def _gradient(height: int, width: int, num_frames: int = 1) -> np.ndarray:
  """Red grows to the right, green downwards; all frames alike."""
  frames = np.zeros((num_frames, height, width, 3), np.uint8)
  frames[..., 0] = np.arange(width)
  frames[..., 1] = np.arange(height)[:, None]
  return frames


def _boxes(size, height, width, area=(0.3, 1.0), ratio=(0.75, 1.25), num=500):
  crop = RandomResizedCrop(size, area, ratio)
  rng = np.random.default_rng(0)
  return np.array([crop.draw_box(height, width, rng) for _ in range(num)])


def test_all_frames_of_a_clip_are_treated_alike():
  frames = _gradient(60, 80, num_frames=8)
  rng = np.random.default_rng(0)
  for _ in range(20):
    result = frames
    for transform in make_transforms((32, 32), train=True):
      result = transform(result, rng)
    assert result.shape == (8, 32, 32, 3)
    np.testing.assert_array_equal(result, np.tile(result[:1], (8, 1, 1, 1)))


def test_boxes_keep_area_ratio_and_frame():
  left, top, right, bottom = _boxes((64, 64), 120, 160).T
  width, height = right - left, bottom - top
  assert min(left.min(), top.min()) >= 0
  assert right.max() <= 160 + 1e-9
  assert bottom.max() <= 120 + 1e-9
  ratio = width / height
  assert 0.75 - 1e-9 <= ratio.min() < 0.8
  assert 1.2 < ratio.max() <= 1.25 + 1e-9
  share = width * height / (120 * 160)
  assert 0.3 - 1e-9 <= share.min() < 0.33
  # Nothing above 1.25 * 120 * 120 pixels fits with an allowed ratio.
  assert 0.85 < share.max() <= 0.9375 + 1e-9


def test_the_ratio_is_relative_to_that_of_the_result():
  left, top, right, bottom = _boxes((32, 128), 100, 400).T
  stretch = ((right - left) / (bottom - top)) / 4
  assert stretch.min() >= 0.75 - 1e-9
  assert stretch.max() <= 1.25 + 1e-9


def test_what_does_not_fit_is_cut_from_the_centre():
  # 10 x 1000: a box of 30 % of the area and a ratio near 1 never fits. The
  # largest box of ratio 1.25 is 10 high and 12.5 wide.
  boxes = _boxes((64, 64), 10, 1000, num=3)
  np.testing.assert_allclose(boxes, [[493.75, 0, 506.25, 10]] * 3)


def test_flip_mirrors_half_of_the_clips():
  frames = _gradient(4, 6)
  rng = np.random.default_rng(0)
  flips = 0
  for _ in range(400):
    flipped = random_flip(frames, rng)
    is_flip = flipped[0, 0, 0, 0] == 5
    np.testing.assert_array_equal(
      flipped, frames[:, :, ::-1] if is_flip else frames
    )
    flips += is_flip
  assert abs(flips - 200) < 40  # four standard deviations


def test_flip_can_be_switched_off():
  assert random_flip in make_transforms((8, 8), train=True)
  assert random_flip not in make_transforms((8, 8), flip=False, train=True)


def test_evaluation_cuts_the_centre():
  # 40 x 80 -> 20 x 20: the centre square is columns 20..59, halved.
  result = CentreCrop((20, 20))(_gradient(40, 80))
  assert result.shape == (1, 20, 20, 3)
  np.testing.assert_allclose(
    result[0, 5, 1:-1, 0], 20.5 + 2 * np.arange(1, 19), atol=1
  )
  assert centre_box(40, 80, 1.0) == (20, 0, 60, 40)
  assert centre_box(40, 80, 4.0) == (0, 10, 80, 30)


def test_a_frame_of_the_right_size_is_left_as_it_is():
  frames = np.random.default_rng(0).integers(0, 256, (2, 16, 24, 3), np.uint8)
  np.testing.assert_array_equal(CentreCrop((16, 24))(frames), frames)


def test_resize_is_pillows_antialiased_bicubic():
  frames = np.random.default_rng(0).integers(0, 256, (1, 30, 50, 3), np.uint8)
  box = (3.25, 1.5, 41.0, 28.75)
  expected = Image.fromarray(frames[0]).resize((10, 8), Image.BICUBIC, box)
  np.testing.assert_array_equal(resize(frames, (8, 10), box)[0], expected)


def test_shrinking_does_not_alias():
  # A checkerboard of single pixels is grey when seen from afar.
  board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
  frames = np.repeat(board[None, ..., None], 3, axis=-1)
  result = CentreCrop((8, 8))(frames)
  assert np.abs(result.astype(int) - 127.5).max() < 3


@pytest.mark.parametrize('shape', [(1, 1), (1, 300), (95, 171)])
def test_odd_frames_work(shape):
  for train in (True, False):
    for transform in make_transforms((16, 16), train=train)[:1]:
      frames = transform(_gradient(*shape), np.random.default_rng(0))
      assert frames.shape == (1, 16, 16, 3)


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ({'area': (0.5, 0.3)}, 'crop.area'),
    ({'area': (0.5, 1.3)}, 'whole frame'),
    ({'ratio': (0.0, 1.0)}, 'crop.ratio'),
    ({'size': (0, 8)}, 'crop.size'),
  ],
)
def test_senseless_settings_are_refused(arguments, message):
  with pytest.raises(ValueError, match=message):
    make_transforms(**{'size': (8, 8), **arguments}, train=True)
