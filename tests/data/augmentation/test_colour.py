import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from rvmae_jax.data.augmentation import colour
from rvmae_jax.data.augmentation.colour import (
  Blur,
  ColourJitter,
  Grey,
  Solarise,
)


def _noise(*shape: int) -> np.ndarray:
  return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


class _Draws:
  """A generator whose numbers are given: `random` 0, `uniform` in turn."""

  def __init__(self, *uniform: float, order=(0, 1, 2, 3)):
    self.values = list(uniform)
    self.order = order
    self.ranges = []

  def random(self):
    return 0.0

  def permutation(self, count):
    return list(self.order)

  def uniform(self, low, high):
    self.ranges.append((low, high))
    return self.values.pop(0)


def test_frames_are_one_picture_and_back():
  frames = _noise(3, 4, 5, 3)
  image = colour.as_image(frames)
  assert image.size == (5, 12)
  np.testing.assert_array_equal(colour.as_frames(image, 3), frames)


def test_jitter_is_pillows_enhancement_in_the_order_drawn():
  frames = _noise(1, 8, 9, 3)
  draws = _Draws(1.3, 0.7, 1.1, 0.0, order=(2, 0, 1, 3))
  result = ColourJitter()(frames, draws)
  image = Image.fromarray(frames[0])
  image = ImageEnhance.Color(image).enhance(1.3)
  image = ImageEnhance.Brightness(image).enhance(0.7)
  image = ImageEnhance.Contrast(image).enhance(1.1)
  image = image.convert('HSV').convert('RGB')  # A turn of hue by nothing.
  np.testing.assert_array_equal(result[0], image)
  np.testing.assert_allclose(
    draws.ranges, [(0.8, 1.2), (0.6, 1.4), (0.6, 1.4), (-0.1, 0.1)]
  )


def test_factors_are_not_negative():
  draws = _Draws(1, 1, 1, 0)
  ColourJitter(brightness=1.5)(_noise(1, 2, 2, 3), draws)
  assert draws.ranges[0] == (0, 2.5)


def test_a_third_of_the_circle_turns_red_into_green():
  frames = np.zeros((2, 1, 2, 3), np.uint8)
  frames[..., 0] = 200
  result = ColourJitter(hue=0.5)(frames, _Draws(1, 1, 1, 1 / 3))
  np.testing.assert_array_equal(result[..., 1], 200)
  np.testing.assert_array_equal(result[..., [0, 2]], 0)


def test_contrast_pulls_all_frames_to_one_grey():
  # Frames of 0 and 200: halving the contrast goes towards 100 in both, where
  # each frame's own mean would change nothing.
  frames = np.zeros((2, 4, 4, 3), np.uint8)
  frames[1] = 200
  result = ColourJitter(contrast=0.5)(frames, _Draws(1, 0.5, 1, 0))
  np.testing.assert_array_equal(result[0], 50)
  np.testing.assert_array_equal(result[1], 150)


def test_all_orders_of_jitter_occur():
  jitter = ColourJitter(probability=1)
  orders = set()
  jitter.steps = [
    lambda image, rng, step=step: order.append(step) or image
    for step in range(4)
  ]
  rng = np.random.default_rng(0)
  for _ in range(300):
    order = []
    jitter(_noise(1, 2, 2, 3), rng)
    orders.add(tuple(order))
  assert len(orders) == 24


def test_grey_has_the_luma_weights():
  # 0.299 * 255 = 76, 0.587 * 255 = 150, 0.114 * 255 = 29.
  frames = 255 * np.eye(3, dtype=np.uint8)[None, None]  # red, green, blue
  result = Grey(probability=1)(frames, np.random.default_rng(0))
  expected = np.repeat([[76], [150], [29]], 3, axis=1)
  np.testing.assert_array_equal(result, expected[None, None])


def test_blur_is_pillows_frame_by_frame():
  frames = _noise(2, 12, 12, 3)
  result = Blur()(frames, _Draws(1.5))
  for frame, blurred in zip(frames, result):
    expected = Image.fromarray(frame).filter(ImageFilter.GaussianBlur(1.5))
    np.testing.assert_array_equal(blurred, expected)


def test_solarise_inverts_from_the_threshold_on():
  frames = np.array([0, 100, 127, 128, 200, 255], np.uint8)
  frames = np.tile(frames[None, None, :, None], (1, 1, 1, 3))
  rng = np.random.default_rng(0)
  result = Solarise(probability=1)(frames, rng)[0, 0, :, 0]
  assert result.tolist() == [0, 100, 127, 127, 55, 0]
  result = Solarise(threshold=200, probability=1)(frames, rng)[0, 0, :, 0]
  assert result.tolist() == [0, 100, 127, 128, 55, 0]


@pytest.mark.parametrize(
  ('make', 'message'),
  [
    (lambda: ColourJitter(brightness=-0.1), 'brightness=-0.1'),
    (lambda: ColourJitter(hue=0.6), 'hue=0.6'),
    (lambda: Blur(sigma=(2.0, 1.0)), r'sigma=\(2.0, 1.0\)'),
  ],
)
def test_senseless_settings_are_refused(make, message):
  with pytest.raises(ValueError, match=message):
    make()
