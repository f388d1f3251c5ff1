import numpy as np
import pytest

from rvmae_jax.data.augmentation.crop import (
  CentreCrop,
  MultiScaleCrop,
  RandomResizedCrop,
)


def _crops(draw_crop, height, width, num=500):
  rng = np.random.default_rng(0)
  return [draw_crop(height, width, rng) for _ in range(num)]


def _boxes(draw_crop, height, width, num=500):
  return np.array([c.box for c in _crops(draw_crop, height, width, num)])


def test_boxes_keep_area_ratio_and_frame():
  left, top, right, bottom = _boxes(RandomResizedCrop((64, 64)), 120, 160).T
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
  left, top, right, bottom = _boxes(RandomResizedCrop((32, 128)), 100, 400).T
  stretch = ((right - left) / (bottom - top)) / 4
  assert stretch.min() >= 0.75 - 1e-9
  assert stretch.max() <= 1.25 + 1e-9


def test_what_does_not_fit_is_cut_from_the_centre():
  # 10 x 1000: a box of 30 % of the area and a ratio near 1 never fits. The
  # largest box of ratio 1.25 is 10 high and 12.5 wide.
  boxes = _boxes(RandomResizedCrop((64, 64)), 10, 1000, num=3)
  np.testing.assert_allclose(boxes, [[493.75, 0, 506.25, 10]] * 3)


@pytest.mark.parametrize('crop', [RandomResizedCrop, MultiScaleCrop])
def test_flip_mirrors_half_of_the_clips_or_none(crop):
  flips = sum(c.flip for c in _crops(crop((8, 8), flip=True), 9, 9, 400))
  assert abs(flips - 200) < 40  # four standard deviations
  assert not any(c.flip for c in _crops(crop((8, 8), flip=False), 9, 9))


def test_multi_scale_boxes_have_neighbouring_scales_and_13_places():
  # The largest square of 100 x 140 is 100 wide.
  left, top, right, bottom = _boxes(MultiScaleCrop((8, 8)), 100, 140, 3000).T
  sides = np.stack([right - left, bottom - top], axis=-1).round(6)
  scales = [100, 87.5, 75, 66]
  expected = {
    (scales[i], scales[j]) for i in range(4) for j in range(4) if abs(i - j) < 2
  }
  assert set(map(tuple, sides)) == expected
  assert len(expected) == 10
  # Shares of the space that is left; a box as high as the frame has none.
  is_lower = sides[:, 1] < 100
  places = np.stack(
    [left / (140 - sides[:, 0]), top / np.maximum(100 - sides[:, 1], 1)],
    axis=-1,
  )
  places = {tuple(place) for place in places[is_lower].round(6)}
  nine = {(x, y) for x in (0, 0.5, 1) for y in (0, 0.5, 1)}
  assert places == nine | {(x, y) for x in (0.25, 0.75) for y in (0.25, 0.75)}


def test_multi_scale_boxes_have_the_ratio_of_the_result():
  crop = MultiScaleCrop((10, 20), scales=(0.5,))
  left, top, right, bottom = _boxes(crop, 100, 160).T
  np.testing.assert_allclose(right - left, 80)
  np.testing.assert_allclose(bottom - top, 40)


def test_evaluation_cuts_the_centre():
  # 40 x 80 -> 20 x 20: the centre square is columns 20..59, halved.
  frames = np.zeros((1, 40, 80, 3), np.uint8)
  frames[..., 0] = np.arange(80)
  crop = CentreCrop((20, 20))(40, 80)
  assert (crop.box, crop.flip) == ((20, 0, 60, 40), False)
  np.testing.assert_allclose(
    crop.move_frames(frames)[0, 5, 1:-1, 0],
    20.5 + 2 * np.arange(1, 19),
    atol=1,
  )


@pytest.mark.parametrize('shape', [(1, 1), (1, 300), (95, 171)])
@pytest.mark.parametrize(
  'crop', [RandomResizedCrop, MultiScaleCrop, CentreCrop]
)
def test_odd_frames_work(crop, shape):
  drawn = crop((16, 16))(*shape, np.random.default_rng(0))
  frames = drawn.move_frames(np.zeros((1, *shape, 3), np.uint8))
  assert frames.shape == (1, 16, 16, 3)


@pytest.mark.parametrize(
  ('crop', 'arguments', 'message'),
  [
    (RandomResizedCrop, {'area': (0.5, 0.3)}, 'crop.area'),
    (RandomResizedCrop, {'area': (0.5, 1.3)}, 'whole frame'),
    (RandomResizedCrop, {'ratio': (0.0, 1.0)}, 'crop.ratio'),
    (RandomResizedCrop, {'size': (0, 8)}, 'crop.size'),
    (MultiScaleCrop, {'scales': ()}, 'crop.scales'),
    (MultiScaleCrop, {'scales': (1.0, 1.2)}, 'crop.scales'),
    (CentreCrop, {'size': (0, 8)}, 'crop.size'),
  ],
)
def test_senseless_settings_are_refused(crop, arguments, message):
  with pytest.raises(ValueError, match=message):
    crop(**{'size': (8, 8), **arguments})
