"""Labels of a frame as soft labels of a patch grid, and back.

`MaskLabels` and `KeypointLabels` are made from the labels of the first frame.
Their `soft` is what is propagated, [h*w, C]; `read` makes of any frame's soft
labels what the dataset has: a mask, or keypoints, in pixels of its own frames.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

# Keypoints: spread in cells, and the number of cells that tell the place.
SIGMA_CELLS = 0.5
TOP_CELLS = 5


class MaskLabels:
  """Objects or parts: one channel for each value of the first mask.

  Args:
    first: [H, W] uint8, of any size.
    size: (height, width) of the frames that the network sees.
    grid: rows and columns of its patches.
  """

  def __init__(
    self, first: np.ndarray, size: tuple[int, int], grid: tuple[int, int]
  ):
    self.values = np.unique(first)
    self._own_size, self._size, self._grid = first.shape, size, grid
    one_hot = resize_mask(first, size)[..., None] == self.values  # [H, W, C]
    soft = jax.image.resize(
      one_hot.astype(np.float32),
      (*grid, len(self.values)),
      'linear',
      antialias=False,
    )
    self.soft = np.asarray(soft).reshape(-1, len(self.values))

  def read(self, soft: jax.Array) -> np.ndarray:
    """The likeliest value of each pixel, [H, W] uint8."""
    winners = _likeliest(soft, self._grid, self._size)
    return resize_mask(self.values[np.asarray(winners)], self._own_size)


class KeypointLabels:
  """Keypoints: one channel with a Gaussian for each of them.

  Args:
    first: [K, 2] x and y in pixels, NaN where a keypoint is not visible.
    own_size: (height, width) of the frames in which they are measured.
    grid: rows and columns of the network's patches.
  """

  def __init__(
    self, first: np.ndarray, own_size: tuple[int, int], grid: tuple[int, int]
  ):
    height, width = own_size
    self._columns = grid[1]
    self._cell = np.array([width / grid[1], height / grid[0]])
    # Centres of cells are at whole numbers.
    x, y = np.moveaxis(first / self._cell - 0.5, -1, 0)  # [K]
    rows, columns = np.indices(grid)[..., None]  # [h, w, 1]
    squared = (columns - x) ** 2 + (rows - y) ** 2  # [h, w, K]
    soft = np.exp(-squared / (2 * SIGMA_CELLS**2))
    # [h, w, K] -> [h*w, K]; what is not visible is nowhere.
    soft = np.nan_to_num(soft).reshape(-1, len(first))
    self.soft = soft.astype(np.float32)

  def read(self, soft: jax.Array) -> np.ndarray:
    """Weighted means of the likeliest cells, [K, 2]; NaN for what is lost."""
    soft = np.asarray(soft).T  # [K, h*w]
    count = min(TOP_CELLS, soft.shape[1])
    cells = np.argpartition(-soft, count - 1, axis=1)[:, :count]  # [K, 5]
    weights = np.take_along_axis(soft, cells, axis=1)[..., None]
    places = np.stack([cells % self._columns, cells // self._columns], axis=-1)
    total = weights.sum(1)
    lost = total <= 0
    mean = (weights * places).sum(1) / np.where(lost, 1, total)
    return np.where(lost, np.nan, (mean + 0.5) * self._cell)


def resize_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
  """[h, w] uint8 -> [H, W]: the nearest value."""
  if mask.shape == tuple(size):
    return mask
  resized = Image.fromarray(mask).resize(size[::-1], Image.Resampling.NEAREST)
  return np.asarray(resized)


@functools.partial(jax.jit, static_argnums=(1, 2))
def _likeliest(
  soft: jax.Array, grid: tuple[int, int], size: tuple[int, int]
) -> jax.Array:
  """The likeliest channel of each pixel, [H, W] uint8."""
  soft = soft.reshape(*grid, -1)  # [h*w, C] -> [h, w, C]
  enlarged = jax.image.resize(soft, (*size, soft.shape[-1]), 'linear')
  return enlarged.argmax(-1).astype(jnp.uint8)
