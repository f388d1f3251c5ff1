"""Position tables: fixed ones, which are constants, and learned ones."""

import flax.linen as nn
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
  return resize_table(table, NATIVE_GRID, grid)


def resize_table(
  table: jax.Array | np.ndarray,
  made_for: tuple[int, int],
  grid: tuple[int, int],
) -> jax.Array:
  """A table of one grid, bicubically resized for another: [N, D] -> [h*w, D].

  Places keep their share of the frame, so that a network trained on one grid
  finds on another the positions that it knows.
  """
  table = jnp.asarray(table)
  if tuple(grid) == tuple(made_for):
    return table
  width = table.shape[-1]
  table = table.reshape(*made_for, width)  # [N, D] -> [h', w', D]
  table = jax.image.resize(table, (*grid, width), 'bicubic')
  return table.reshape(-1, width)  # [h*w, D]


def sincos_2d_xy(
  grid: tuple[int, int], width: int, base: float = 1e4
) -> np.ndarray:
  """`sincos_2d` in the order of dimensions that ImageMAE has; [h*w, width].

  Columns before rows, and for each all sines before all cosines.
  """
  table = sincos_2d(grid, width, base)
  row, column = np.split(table, 2, axis=1)
  parts = [half[:, odd::2] for half in (column, row) for odd in (0, 1)]
  return np.concatenate(parts, axis=1)


CLIP_POSITIONS = ('sincos_1d', 'sincos_2d', 'learned')


class ClipPositions(nn.Module):
  """What tells the tokens of a clip their place and time.

  Attributes:
    kind: 'sincos_1d' numbers all tokens through, as VideoMAE does; 'sincos_2d'
      tells the place as ImageMAE does, plus 1-D sin-cos over time; 'learned'
      has a table of places and one of times, as TimeSformer does.
    width: D.
    num_prefix: tokens before the grid; only 'learned' gives them a position.
    per_frame: each time slot stands alone and is told no time.
    base: of 'sincos_2d'; see `sincos_2d`.
    learned_grid: (t, h, w) of learned tables; other grids are interpolated.
  """

  kind: str
  width: int
  num_prefix: int = 0
  per_frame: bool = False
  base: float = 1e4
  learned_grid: tuple[int, int, int] = (8, 14, 14)

  @nn.compact
  def __call__(self, grid: tuple[int, int, int]) -> tuple[jax.Array, jax.Array]:
    """Tables of the prefix [P, D] and of a grid (t, h, w), [t*h*w, D].

    Raises:
      ValueError: an unknown kind.
    """
    t, h, w = grid
    prefix = jnp.zeros((self.num_prefix, self.width))
    if self.kind == 'sincos_1d':
      if not self.per_frame:
        return prefix, jnp.asarray(sincos_1d(t * h * w, self.width))
      places = jnp.asarray(sincos_1d(h * w, self.width))
    elif self.kind == 'sincos_2d':
      places = jnp.asarray(sincos_2d_xy((h, w), self.width, self.base))
    elif self.kind == 'learned':
      prefix, places = self._learned_places((h, w))
    else:
      raise ValueError(
        f'Unknown position {self.kind!r}; use one of {CLIP_POSITIONS}.'
      )
    if self.per_frame:
      times = jnp.zeros((t, self.width))
    elif self.kind == 'learned':
      times = self._learned_times(t)
    else:
      times = jnp.asarray(sincos_1d(t, self.width))
    # [t, 1, D] + [h*w, D] -> [t, h*w, D] -> [t*h*w, D]
    return prefix, (times[:, None] + places).reshape(-1, self.width)

  def _learned_places(
    self, grid: tuple[int, int]
  ) -> tuple[jax.Array, jax.Array]:
    _, h, w = self.learned_grid
    table = self.param(
      'places',
      nn.initializers.normal(0.02),
      (self.num_prefix + h * w, self.width),
    )
    prefix, places = jnp.split(table, [self.num_prefix])
    return prefix, resize_table(places, (h, w), grid)

  def _learned_times(self, num_slots: int) -> jax.Array:
    table = self.param(
      'times', nn.initializers.zeros, (self.learned_grid[0], self.width)
    )
    if num_slots == len(table):
      return table
    return jax.image.resize(table, (num_slots, self.width), 'linear')
