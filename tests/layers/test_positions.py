import jax
import jax.numpy as jnp
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


def test_a_resized_table_keeps_places_where_they_were():
  """Means of a table that rises evenly, and the table itself, stay."""
  rows = np.repeat(np.arange(4.0), 4)[:, None]  # [16, 1]
  large = positions.resize_table(rows, (4, 4), (8, 8)).reshape(8, 8)
  assert large.mean() == pytest.approx(rows.mean(), abs=1e-5)
  # Half a cell apart, but for the edge, beyond which nothing is known.
  np.testing.assert_allclose(np.diff(large[2:6, 3]), 0.5, atol=0.05)
  same = positions.resize_table(rows, (4, 4), (4, 4))
  np.testing.assert_array_equal(same, rows)


def test_width_of_sincos_2d_is_checked():
  with pytest.raises(ValueError, match='divisible by 4, not 6'):
    positions.sincos_2d((2, 2), 6)


def test_order_of_image_maes_table():
  """First the columns' sines, then their cosines, then the rows'."""
  table = positions.sincos_2d_xy((2, 3), 8).reshape(2, 3, 8)
  # Frequencies 1 and 1 / 100; place (row 1, column 2).
  angles = [2, 0.02, 1, 0.01]
  want = [
    *np.sin(angles[:2]),
    *np.cos(angles[:2]),
    *np.sin(angles[2:]),
    *np.cos(angles[2:]),
  ]
  np.testing.assert_allclose(table[1, 2], want, rtol=1e-6)


def clip_positions(grid, **fields):
  module = positions.ClipPositions(width=8, **fields)
  return module.init_with_output(jax.random.key(0), grid)[0]


def test_tokens_of_a_clip_are_numbered_through():
  prefix, table = clip_positions((2, 2, 3), kind='sincos_1d')
  assert prefix.shape == (0, 8)
  np.testing.assert_array_equal(table, positions.sincos_1d(12, 8))


@pytest.mark.parametrize('kind', positions.CLIP_POSITIONS)
def test_per_frame_positions_tell_no_time(kind):
  _, table = clip_positions((3, 2, 2), kind=kind, per_frame=True)
  table = table.reshape(3, 4, 8)
  np.testing.assert_array_equal(table, np.broadcast_to(table[:1], (3, 4, 8)))
  assert len(np.unique(table[0], axis=0)) == 4


def test_time_is_added_to_places():
  _, table = clip_positions((3, 2, 2), kind='sincos_2d')
  table = table.reshape(3, 4, 8)
  want = positions.sincos_1d(3, 8)[2] - positions.sincos_1d(3, 8)[0]
  np.testing.assert_allclose(table[2, 1] - table[0, 1], want, atol=1e-6)


def test_learned_tables_fit_other_grids():
  module = positions.ClipPositions(
    'learned', 8, num_prefix=1, learned_grid=(2, 4, 4)
  )
  variables = module.init(jax.random.key(0), (2, 4, 4))
  shapes = jax.tree.map(jnp.shape, variables['params'])
  assert shapes == {'places': (17, 8), 'times': (2, 8)}
  prefix, table = module.apply(variables, (4, 2, 8))
  assert prefix.shape == (1, 8)
  assert table.shape == (4 * 2 * 8, 8)


def test_unknown_clip_positions_are_answered():
  with pytest.raises(ValueError, match="Unknown position 'rope'"):
    clip_positions((1, 2, 2), kind='rope')
