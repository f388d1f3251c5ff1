import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from rvmae_jax.data.augmentation import make_augmentation
from rvmae_jax.data.augmentation.rand_augment import (
  COLOUR_CHANGES,
  GEOMETRIC_CHANGES,
  RandAugment,
)

CHANGES = {**COLOUR_CHANGES, **GEOMETRIC_CHANGES}
# Those that do something at strength 0 too.
_ALWAYS = {'auto_contrast', 'equalise', 'invert', 'posterise'}


def _noise(*shape: int) -> np.ndarray:
  return np.random.default_rng(0).integers(20, 220, shape, np.uint8)


@pytest.mark.parametrize('strength', [-1.0, -0.3, 0.3, 1.0])
@pytest.mark.parametrize('name', CHANGES)
def test_changes_treat_all_frames_alike(name, strength):
  frames = np.repeat(_noise(1, 20, 30, 3), 3, axis=0)
  result = CHANGES[name](frames, strength)
  assert (result.shape, result.dtype) == (frames.shape, np.uint8)
  np.testing.assert_array_equal(result, np.repeat(result[:1], 3, axis=0))
  assert (result != frames).any()


@pytest.mark.parametrize('name', sorted(set(CHANGES) - _ALWAYS))
def test_strength_zero_changes_nothing(name):
  frames = _noise(2, 20, 30, 3)
  np.testing.assert_array_equal(CHANGES[name](frames, 0.0), frames)


@pytest.mark.parametrize(
  ('name', 'strength', 'expected'),
  [
    ('invert', 0.5, ImageOps.invert),
    ('equalise', 0.5, ImageOps.equalize),
    ('auto_contrast', 0.5, ImageOps.autocontrast),
    ('posterise', -0.5, lambda image: ImageOps.posterize(image, 2)),
    ('solarise', -0.25, lambda image: ImageOps.solarize(image, 192)),
    (
      'brightness',
      -0.5,
      lambda image: ImageEnhance.Brightness(image).enhance(0.55),
    ),
    (
      'saturation',
      0.5,
      lambda image: ImageEnhance.Color(image).enhance(1.45),
    ),
    (
      'sharpness',
      1.0,
      lambda image: ImageEnhance.Sharpness(image).enhance(1.9),
    ),
    (
      'rotate',
      0.5,  # 15 degrees about the centre; Pillow counts counter-clockwise.
      lambda image: image.rotate(15, Image.BICUBIC, fillcolor=(124, 116, 104)),
    ),
  ],
)
def test_changes_are_those_of_pillow(name, strength, expected):
  frames = _noise(1, 21, 31, 3)
  result = CHANGES[name](frames, strength)
  np.testing.assert_array_equal(result[0], expected(Image.fromarray(frames[0])))


def test_lift_dark_adds_below_128():
  frames = np.array([10, 127, 128, 250], np.uint8)
  frames = np.tile(frames[None, None, :, None], (1, 1, 1, 3))
  result = CHANGES['lift_dark'](frames, -1.0)[0, 0, :, 0]
  assert result.tolist() == [120, 237, 128, 250]


def test_shifts_are_shares_of_the_frame():
  frames = _noise(1, 20, 40, 3)
  left = CHANGES['shift_x'](frames, 0.5)  # 0.225 * 40 = 9 pixels
  np.testing.assert_array_equal(left[:, :, :31], frames[:, :, 9:])
  assert (left[:, :, 31:] == (124, 116, 104)).all()
  down = CHANGES['shift_y'](frames, -1.0)  # 0.45 * 20 = 9 pixels
  np.testing.assert_array_equal(down[:, 9:], frames[:, :11])


def test_shear_leaves_the_centre_and_slants_the_rest():
  frames = np.zeros((1, 41, 41, 3), np.uint8)
  frames[:, :, 20] = 255  # an upright line
  sheared = CHANGES['shear_x'](frames, 1.0)[0, ..., 0]
  # Ten rows above the centre the source lies 3 columns to the left.
  assert sheared[[10, 20, 30]].argmax(axis=1).tolist() == [23, 20, 17]


def test_strengths_follow_the_magnitude():
  augment = RandAugment(num_changes=1, probability=1.0)
  strengths = []
  augment.changes = [lambda frames, s: strengths.append(s) or frames]
  rng = np.random.default_rng(0)
  for _ in range(2000):
    augment(None, rng)
  # Mean 0.7, standard deviation 0.05, both signs.
  size = np.abs(strengths)
  assert abs(size.mean() - 0.7) < 0.005
  assert abs(size.std() - 0.05) < 0.004
  assert abs(np.mean(np.sign(strengths))) < 0.09


def test_half_of_four_changes_are_applied_on_average():
  augment = RandAugment()
  counts = []
  augment.changes = [lambda frames, s: frames + 1]
  rng = np.random.default_rng(0)
  counts = [augment(0, rng) for _ in range(1000)]
  np.testing.assert_allclose(
    np.bincount(counts) / 1000, [1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16],
    atol=0.06,
  )  # fmt: skip


def test_geometry_can_be_left_out():
  assert len(RandAugment().changes) == 15
  assert RandAugment(geometric=False).changes == [*COLOUR_CHANGES.values()]


@pytest.mark.parametrize('geometric', [True, False])
def test_an_augmentation_tells_whether_the_crop_is_all_that_moves(geometric):
  augment = {'erase': {}, 'rand_augment': {'geometric': geometric}}
  augmentation = make_augmentation({'size': (8, 8)}, augment, train=True)
  assert augmentation.moves_pixels == geometric


@pytest.mark.parametrize(
  'arguments',
  [{'magnitude': 11}, {'magnitude_std': -1.0}, {'num_changes': 0}],
)
def test_senseless_settings_are_refused(arguments):
  ((name, value),) = arguments.items()
  with pytest.raises(ValueError, match=f'{name}={value}'):
    RandAugment(**arguments)
