"""Clip-consistent image transforms: one draw for all frames of a clip.

A transform is `(frames [T,h,w,3] uint8, rng) -> frames [T,H,W,3] uint8`. It
gets source and target frames together and draws once from `rng`, so that no
frame is treated unlike another. The lists below are the place for more.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image

Transform = Callable[[np.ndarray, np.random.Generator], np.ndarray]

_CROP_TRIES = 10


def make_transforms(
  size: tuple[int, int],
  area: tuple[float, float] = (0.3, 1.0),
  ratio: tuple[float, float] = (0.75, 1.25),
  flip: bool = True,
  *,
  train: bool,
) -> list[Transform]:
  """The transforms that `config.data.crop` describes, in order.

  Args:
    size: (height, width) of the result in pixels.
    area: range of the crop's share of the frame's area.
    ratio: range of the crop's width/height, relative to that of `size`.
    flip: mirror half of the clips; switch off where left and right matter.
    train: False gives the centre crop of evaluation, which ignores the rest.

  Raises:
    ValueError: a range is empty or not positive, or an area above 1.
  """
  if min(size) < 1:
    raise ValueError(f'crop.size={tuple(size)} must be positive.')
  for name, (low, high) in {'area': area, 'ratio': ratio}.items():
    if not 0 < low <= high:
      raise ValueError(
        f'crop.{name}={(low, high)} must be positive and rising.'
      )
  if area[1] > 1:
    raise ValueError(f'crop.area={tuple(area)}: at most 1, the whole frame.')
  if not train:
    return [CentreCrop(size)]
  crop = RandomResizedCrop(size, area, ratio)
  return [crop, random_flip] if flip else [crop]


class RandomResizedCrop:
  """Cuts a random box and resizes it; arguments as in `make_transforms`.

  Ten tries to fit a box of random area and ratio into the frame; then the
  largest centred box whose ratio is allowed.
  """

  def __init__(
    self,
    size: tuple[int, int],
    area: tuple[float, float],
    ratio: tuple[float, float],
  ):
    self.size = size
    self.area = area
    self.log_ratio = np.log(np.multiply(ratio, size[1] / size[0]))

  def __call__(
    self, frames: np.ndarray, rng: np.random.Generator
  ) -> np.ndarray:
    box = self.draw_box(*frames.shape[1:3], rng)
    return resize(frames, self.size, box)

  def draw_box(
    self, height: int, width: int, rng: np.random.Generator
  ) -> tuple[float, float, float, float]:
    """A random (left, top, right, bottom) inside a frame of that size."""
    for _ in range(_CROP_TRIES):
      area = height * width * rng.uniform(*self.area)
      ratio = np.exp(rng.uniform(*self.log_ratio))
      box_width, box_height = np.sqrt(area * ratio), np.sqrt(area / ratio)
      if box_width <= width and box_height <= height:
        left = rng.uniform(0, width - box_width)
        top = rng.uniform(0, height - box_height)
        return left, top, left + box_width, top + box_height
    ratio = np.clip(width / height, *np.exp(self.log_ratio))
    return centre_box(height, width, ratio)


class CentreCrop:
  """Resizes so that the frame covers `size`, and cuts the centre."""

  def __init__(self, size: tuple[int, int]):
    self.size = size

  def __call__(
    self, frames: np.ndarray, rng: np.random.Generator | None = None
  ) -> np.ndarray:
    del rng  # The same in every evaluation.
    box = centre_box(*frames.shape[1:3], self.size[1] / self.size[0])
    return resize(frames, self.size, box)


def random_flip(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  """Mirrors left and right with probability one half."""
  return frames[:, :, ::-1] if rng.random() < 0.5 else frames


def centre_box(
  height: int, width: int, ratio: float
) -> tuple[float, float, float, float]:
  """The largest centred (left, top, right, bottom) with width/height=ratio."""
  box_width = min(width, height * ratio)
  box_height = min(height, width / ratio)
  left, top = (width - box_width) / 2, (height - box_height) / 2
  return left, top, left + box_width, top + box_height


def resize(
  frames: np.ndarray,
  size: tuple[int, int],
  box: tuple[float, float, float, float],
) -> np.ndarray:
  """Resizes a box of each frame: bicubic, antialiased when shrinking.

  Args:
    frames: [T,h,w,3] uint8.
    size: (height, width) of the result.
    box: (left, top, right, bottom) in pixels, fractions allowed.
  """
  height, width = size
  whole = (0, 0, frames.shape[2], frames.shape[1])
  if tuple(box) == whole and frames.shape[1:3] == (height, width):
    return frames
  # A sum such as left + width may end a rounding error outside of the frame.
  box = (
    max(box[0], 0),
    max(box[1], 0),
    min(box[2], whole[2]),
    min(box[3], whole[3]),
  )
  resized = np.empty((len(frames), height, width, 3), np.uint8)
  for frame, out in zip(frames, resized):
    out[:] = Image.fromarray(frame).resize(
      (width, height), Image.Resampling.BICUBIC, box
    )
  return resized
