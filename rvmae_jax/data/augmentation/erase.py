"""Random erasing of a box through all frames."""

import numpy as np

from rvmae_jax.data.augmentation.colour import check_probability
from rvmae_jax.registry import check_range

_TRIES = 10


class Erase:
  """Covers one box with noise, at the same place in all frames.

  Source: Random Erasing (1708.04896); the noise is a still picture, one random
  colour a pixel. Ten tries to fit a box into the frame, else nothing happens.

  Args:
    area: range of the box's share of the frame's area.
    ratio: range of the box's height/width.
    probability: of clips to change.

  Raises:
    ValueError: a number is out of range.
  """

  def __init__(
    self,
    area: tuple[float, float] = (0.02, 1 / 3),
    ratio: tuple[float, float] = (0.3, 1 / 0.3),
    probability: float = 0.25,
  ):
    check_range('erase: area', area)
    check_range('erase: ratio', ratio)
    self.area = area
    self.log_ratio = np.log(ratio)
    self.probability = check_probability('erase', probability)

  def __call__(
    self, frames: np.ndarray, rng: np.random.Generator
  ) -> np.ndarray:
    """Frames [T,H,W,3] uint8 with the box that is drawn."""
    if rng.random() >= self.probability:
      return frames
    frame_height, frame_width = frames.shape[1:3]
    for _ in range(_TRIES):
      area = frame_height * frame_width * rng.uniform(*self.area)
      ratio = np.exp(rng.uniform(*self.log_ratio))
      height, width = round(np.sqrt(area * ratio)), round(np.sqrt(area / ratio))
      if 0 < height <= frame_height and 0 < width <= frame_width:
        top = rng.integers(frame_height - height, endpoint=True)
        left = rng.integers(frame_width - width, endpoint=True)
        frames = frames.copy()
        frames[:, top : top + height, left : left + width] = rng.integers(
          0, 256, (height, width, 3), np.uint8
        )
        return frames
    return frames
