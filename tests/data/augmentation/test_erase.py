import numpy as np
import pytest

from rvmae_jax.data.augmentation.erase import Erase


def _boxes(erase, height, width, num=300):
  """Top, left, height and width of the boxes erased from black frames."""
  rng = np.random.default_rng(0)
  frames = np.zeros((2, height, width, 3), np.uint8)
  boxes = []
  for _ in range(num):
    rows, columns = np.nonzero(erase(frames, rng)[0].any(axis=-1))
    top, left = rows.min(), columns.min()
    boxes.append((top, left, np.ptp(rows) + 1, np.ptp(columns) + 1))
  return np.array(boxes)


def test_boxes_keep_area_and_ratio_and_reach_all_edges():
  top, left, height, width = _boxes(Erase(probability=1), 80, 100).T
  share = height * width / 8000
  assert share.min() > 0.018
  assert share.max() < 0.345
  ratio = height / width
  assert 0.28 < ratio.min() < 0.4
  assert 2.5 < ratio.max() < 3.6
  assert (top.min(), left.min()) == (0, 0)
  assert (top + height).max() == 80
  assert (left + width).max() == 100


def test_the_noise_is_one_still_picture_of_all_values():
  frames = np.full((3, 64, 64, 3), 7, np.uint8)
  erase = Erase(area=(0.3, 0.3), ratio=(1, 1), probability=1)
  result = erase(frames, np.random.default_rng(0))
  np.testing.assert_array_equal(result, np.repeat(result[:1], 3, axis=0))
  box = result[0][(result[0] != 7).any(axis=-1)]
  assert len(box) == round(np.sqrt(0.3 * 64 * 64)) ** 2 == 35**2
  assert (box.min(), box.max()) == (0, 255)
  assert abs(box.mean() - 127.5) < 5  # four standard deviations of the mean


def test_a_box_that_never_fits_erases_nothing():
  frames = np.zeros((1, 4, 400, 3), np.uint8)
  erase = Erase(area=(0.3, 0.3), ratio=(1, 1), probability=1)
  assert erase(frames, np.random.default_rng(0)) is frames


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [({'area': (0.3, 0.1)}, 'area='), ({'ratio': (0, 1)}, 'ratio=')],
)
def test_senseless_settings_are_refused(arguments, message):
  with pytest.raises(ValueError, match=message):
    Erase(**arguments)
