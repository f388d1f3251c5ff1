"""Crops: `(height, width, rng) -> Crop`, one for all frames of a clip.

`size` is the (height, width) of the result in pixels, and `flip` mirrors half
of the clips; switch it off where left and right matter.
"""

import numpy as np

from rvmae_jax.data.augmentation.geometry import Box, Crop, centre_box
from rvmae_jax.registry import check_range

_TRIES = 10
# Where boxes of `MultiScaleCrop` lie, as shares of the space that is left.
_NINE = [(x, y) for x in (0, 0.5, 1) for y in (0, 0.5, 1)]
_FOUR = [(x, y) for x in (0.25, 0.75) for y in (0.25, 0.75)]


class RandomResizedCrop:
  """A box of random area, ratio and place.

  Ten tries to fit one into the frame; then the largest centred box whose ratio
  is allowed.

  Args:
    size: of the result.
    area: range of the box's share of the frame's area.
    ratio: range of the box's width/height, relative to that of `size`.
    flip: mirror half of the clips.

  Raises:
    ValueError: a range is empty or not positive, or an area above 1.
  """

  def __init__(
    self,
    size: tuple[int, int],
    area: tuple[float, float] = (0.3, 1.0),
    ratio: tuple[float, float] = (0.75, 1.25),
    flip: bool = True,
  ):
    _check_size(size)
    check_range('crop.area', area)
    check_range('crop.ratio', ratio)
    if area[1] > 1:
      raise ValueError(f'crop.area={tuple(area)}: at most 1, the whole frame.')
    self.size = tuple(size)
    self.area = area
    self.log_ratio = np.log(np.multiply(ratio, size[1] / size[0]))
    self.flip = flip

  def __call__(self, height: int, width: int, rng: np.random.Generator) -> Crop:
    """Draws a crop of a frame of that size."""
    box = self._draw_box(height, width, rng)
    return Crop(self.size, box, self.flip and rng.random() < 0.5)

  def _draw_box(self, height: int, width: int, rng: np.random.Generator) -> Box:
    for _ in range(_TRIES):
      area = height * width * rng.uniform(*self.area)
      ratio = np.exp(rng.uniform(*self.log_ratio))
      box_width, box_height = np.sqrt(area * ratio), np.sqrt(area / ratio)
      if box_width <= width and box_height <= height:
        left = rng.uniform(0, width - box_width)
        top = rng.uniform(0, height - box_height)
        return left, top, left + box_width, top + box_height
    ratio = np.clip(width / height, *np.exp(self.log_ratio))
    return centre_box(height, width, ratio)


class MultiScaleCrop:
  """A box of one of a few sizes at one of 13 places.

  Width and height are those of the largest box with the ratio of `size`, each
  times one of `scales`; the two scales are equal or neighbours. The box lies
  in a corner, amid a side, in the centre or half-way from it to a corner.
  Source: Temporal Segment Networks (1608.00859), as VideoMAE uses it.

  Args:
    size: of the result.
    scales: shares, falling.
    flip: mirror half of the clips; VideoMAE does not.

  Raises:
    ValueError: a scale is not above 0 and at most 1.
  """

  def __init__(
    self,
    size: tuple[int, int],
    scales: tuple[float, ...] = (1.0, 0.875, 0.75, 0.66),
    flip: bool = False,
  ):
    _check_size(size)
    if not scales or not all(0 < scale <= 1 for scale in scales):
      raise ValueError(f'crop.scales={tuple(scales)} must lie in (0, 1].')
    self.size = tuple(size)
    self.scales = [
      (x, y)
      for i, x in enumerate(scales)
      for j, y in enumerate(scales)
      if abs(i - j) <= 1
    ]
    self.places = _NINE + _FOUR
    self.flip = flip

  def __call__(self, height: int, width: int, rng: np.random.Generator) -> Crop:
    """Draws a crop of a frame of that size."""
    scale_x, scale_y = self.scales[rng.integers(len(self.scales))]
    place_x, place_y = self.places[rng.integers(len(self.places))]
    left, top, right, bottom = centre_box(
      height, width, self.size[1] / self.size[0]
    )
    box_width, box_height = (right - left) * scale_x, (bottom - top) * scale_y
    left, top = (width - box_width) * place_x, (height - box_height) * place_y
    box = (left, top, left + box_width, top + box_height)
    return Crop(self.size, box, self.flip and rng.random() < 0.5)


class CentreCrop:
  """The crop of evaluation: resize so that the frame covers `size`."""

  def __init__(self, size: tuple[int, int]):
    _check_size(size)
    self.size = tuple(size)

  def __call__(
    self, height: int, width: int, rng: np.random.Generator | None = None
  ) -> Crop:
    """The same for all frames of that size."""
    del rng  # Nothing is random.
    box = centre_box(height, width, self.size[1] / self.size[0])
    return Crop(self.size, box)


def _check_size(size: tuple[int, int]) -> None:
  if min(size) < 1:
    raise ValueError(f'crop.size={tuple(size)} must be positive.')
