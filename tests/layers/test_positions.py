import numpy as np
import pytest

from rvmae_jax.layers import positions


def test_sincos_1d_by_hand():
  table = positions.sincos_1d(3, 4, base=100.0)
  # Angles of position 2: 2 / 100**0 = 2 and 2 / 100**(2/4) = 0.2.
  want = [np.sin(2), np.cos(2), np.sin(0.2), np.cos(0.2)]
  np.testing.assert_allclose(table[2], want, rtol=1e-6)


def test_sincos_2d_rows_then_columns():
  table = positions.sincos_2d((2, 3), 8, base=5.0).reshape(2, 3, 8)
  np.testing.assert_array_equal(table[0, 2, 4:], table[1, 2, 4:])
  np.testing.assert_array_equal(table[1, 0, :4], table[1, 2, :4])
  np.testing.assert_allclose(table[1, 2, 0], np.sin(1), rtol=1e-6)
  np.testing.assert_allclose(table[1, 2, 4], np.sin(2), rtol=1e-6)


def test_small_base_keeps_small_grids_apart():
  """The reason for `position_base`: at 10000 a 4x4 grid is nearly one place."""

  def nearest(base):
    table = positions.sincos_2d((4, 4), 128, base)
    distance = np.linalg.norm(table[:, None] - table[None], axis=-1)
    return distance[~np.eye(16, dtype=bool)].min()

  assert nearest(5.0) > 1.5 * nearest(1e4)


def test_native_grid_is_not_resized():
  np.testing.assert_array_equal(
    positions.resized_sincos((16, 16), 8), positions.sincos_1d(256, 8)
  )


def test_width_of_sincos_2d_is_checked():
  with pytest.raises(ValueError, match='divisible by 4, not 6'):
    positions.sincos_2d((2, 2), 6)
