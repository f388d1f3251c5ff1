"""Fixed position tables. They are constants, not parameters."""

import jax
import jax.numpy as jnp
import numpy as np

# RVM's table is made for this grid and resized for any other.
NATIVE_GRID = (16, 16)


def sincos_1d(num_positions: int, width: int, base: float = 1e4) -> np.ndarray:
  """Sines on even, cosines on odd dimensions; [num_positions, width] float32.

  Source: Attention is all you need, section 3.5, over a flattened index as RVM
  and VideoMAE use it.
  """
  exponent = 2 * (np.arange(width) // 2) / width
  angle = np.arange(num_positions)[:, None] / base**exponent
  table = np.where(np.arange(width) % 2, np.cos(angle), np.sin(angle))
  return table.astype(np.float32)


def sincos_2d(
  grid: tuple[int, int], width: int, base: float = 1e4
) -> np.ndarray:
  """Half of the dimensions tell the row, half the column; [h*w, width].

  On small grids a small base keeps neighbours apart: at base 10000 the
  positions of a 4x4 grid are nearly equal.

  Raises:
    ValueError: the width is not a multiple of 4.
  """
  if width % 4:
    raise ValueError(f'sincos_2d needs a width divisible by 4, not {width}.')
  height, columns = grid
  row = np.repeat(sincos_1d(height, width // 2, base), columns, axis=0)
  column = np.tile(sincos_1d(columns, width // 2, base), (height, 1))
  return np.concatenate([row, column], axis=1)


def resized_sincos(grid: tuple[int, int], width: int) -> jax.Array:
  """RVM's encoder table: flattened 16x16, resized bicubically; [h*w, width]."""
  table = sincos_1d(NATIVE_GRID[0] * NATIVE_GRID[1], width)
  if grid == NATIVE_GRID:
    return jnp.asarray(table)
  table = table.reshape(*NATIVE_GRID, width)  # [16, 16, D]
  table = jax.image.resize(table, (*grid, width), 'bicubic')
  return table.reshape(-1, width)  # [h*w, D]
