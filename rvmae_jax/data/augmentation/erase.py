"""Random erasing of a box through all frames."""

import dataclasses

import numpy as np

from rvmae_jax.data.augmentation.colour import RandomChange
from rvmae_jax.registry import check_range

_TRIES = 10


@dataclasses.dataclass
class Erase(RandomChange):
  """Covers one box with noise, at the same place in all frames.

  Source: Random Erasing (1708.04896); the noise is a still picture, one random
  colour a pixel. Ten tries to fit a box into the frame, else nothing happens.

  Attributes:
    area: range of the box's share of the frame's area.
    ratio: range of the box's height/width.
  """

  name = 'erase'
  probability: float = 0.25
  area: tuple[float, float] = (0.02, 1 / 3)
  ratio: tuple[float, float] = (0.3, 1 / 0.3)

  def __post_init__(self):
    super().__post_init__()
    check_range('erase: area', self.area)
    check_range('erase: ratio', self.ratio)

  def change(self, frames, rng):
    """The frames with the box that is drawn."""
    frame_height, frame_width = frames.shape[1:3]
    for _ in range(_TRIES):
      area = frame_height * frame_width * rng.uniform(*self.area)
      ratio = np.exp(rng.uniform(*np.log(self.ratio)))
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
