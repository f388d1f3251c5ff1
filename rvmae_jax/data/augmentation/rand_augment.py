"""RandAugment: a few random changes of about the same strength.

A change is `(frames [T,H,W,3] uint8, strength) -> frames`; strengths lie in
[-1, 1], and a change that knows no direction takes the absolute value. Source:
RandAugment (1909.13719) with the ranges of timm's 'increasing' set, in which
strength 0 means no change wherever that is possible.
"""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from rvmae_jax.data.augmentation.colour import (
  as_frames,
  as_image,
  check_probability,
)

# What comes in from outside of the frame: the mean colour of ImageNet.
_FILL = (124, 116, 104)

_Change = Callable[[np.ndarray, float], np.ndarray]


@dataclasses.dataclass
class RandAugment:
  """Applies `num_changes` changes, drawn with replacement.

  The defaults are m7-n4-mstd0.5, with which VideoMAE is fine-tuned.

  Attributes:
    magnitude: mean strength, from 0 to 10.
    num_changes: how many to draw.
    magnitude_std: standard deviation of each one's strength.
    probability: of applying a change that was drawn.
    geometric: also shear, turn and shift frames; these moves are not part of
      the `Crop` that is reported, so switch them off where flow or object masks
      have to follow the pixels.

  Raises:
    ValueError: a number is out of range.
  """

  magnitude: float = 7
  num_changes: int = 4
  magnitude_std: float = 0.5
  probability: float = 0.5
  geometric: bool = True

  def __post_init__(self):
    check_probability('rand_augment', self.probability)
    if (
      not 0 <= self.magnitude <= 10
      or self.magnitude_std < 0
      or self.num_changes < 1
    ):
      raise ValueError(
        f'{self}: magnitude must lie in [0, 10], magnitude_std must not be '
        'negative and num_changes must be at least 1.'
      )
    self.changes = [*COLOUR_CHANGES.values()]
    if self.geometric:
      self.changes += GEOMETRIC_CHANGES.values()

  def __call__(
    self, frames: np.ndarray, rng: np.random.Generator
  ) -> np.ndarray:
    """Applies what is drawn."""
    for index in rng.integers(len(self.changes), size=self.num_changes):
      if rng.random() < self.probability:
        level = rng.normal(self.magnitude, self.magnitude_std)
        sign = 1 if rng.random() < 0.5 else -1
        strength = sign * np.clip(level, 0, 10) / 10
        frames = self.changes[index](frames, strength)
    return frames


def _on_clip(change: Callable[[Image.Image, float], Image.Image]) -> _Change:
  """A change of values, with the statistics of the whole clip."""
  return lambda frames, strength: as_frames(
    change(as_image(frames), strength), len(frames)
  )


def _enhance(enhancer, image: Image.Image, strength: float) -> Image.Image:
  return enhancer(image).enhance(1 + 0.9 * strength)


def _lift_dark(image: Image.Image, strength: float) -> Image.Image:
  lift = int(abs(strength) * 110)
  return image.point([v + lift * (v < 128) for v in range(256)] * 3)


def _sharpen(frames: np.ndarray, strength: float) -> np.ndarray:
  # Frame by frame: no frame may leak into its neighbours.
  changed = [
    _enhance(ImageEnhance.Sharpness, Image.fromarray(frame), strength)
    for frame in frames
  ]
  return np.stack(changed)


def _warp(frames: np.ndarray, matrix=((1, 0), (0, 1)), shift=(0, 0)):
  """Takes place p, from the centre, from `matrix @ p + shift * (W, H)`."""
  size = np.array([frames.shape[2], frames.shape[1]])
  (a, b), (c, d) = matrix
  x, y = size / 2 - matrix @ (size / 2) + shift * size
  warped = [
    Image.fromarray(frame).transform(
      tuple(size),
      Image.Transform.AFFINE,
      (a, b, x, c, d, y),
      Image.Resampling.BICUBIC,
      fillcolor=_FILL,
    )
    for frame in frames
  ]
  return np.stack(warped)


def _rotate(frames: np.ndarray, strength: float) -> np.ndarray:
  angle = np.deg2rad(30 * strength)
  sin, cos = np.sin(angle), np.cos(angle)
  return _warp(frames, ((cos, -sin), (sin, cos)))


COLOUR_CHANGES = {
  'auto_contrast': _on_clip(lambda image, _: ImageOps.autocontrast(image)),
  'equalise': _on_clip(lambda image, _: ImageOps.equalize(image)),
  'invert': _on_clip(lambda image, _: ImageOps.invert(image)),
  'posterise': _on_clip(
    lambda image, s: ImageOps.posterize(image, max(1, 4 - int(abs(s) * 4)))
  ),
  'solarise': _on_clip(
    lambda image, s: ImageOps.solarize(image, 256 - int(abs(s) * 256))
  ),
  'lift_dark': _on_clip(_lift_dark),
  'brightness': _on_clip(functools.partial(_enhance, ImageEnhance.Brightness)),
  'contrast': _on_clip(functools.partial(_enhance, ImageEnhance.Contrast)),
  'saturation': _on_clip(functools.partial(_enhance, ImageEnhance.Color)),
  'sharpness': _sharpen,
}
GEOMETRIC_CHANGES = {
  'rotate': _rotate,
  'shear_x': lambda frames, s: _warp(frames, ((1, 0.3 * s), (0, 1))),
  'shear_y': lambda frames, s: _warp(frames, ((1, 0), (0.3 * s, 1))),
  'shift_x': lambda frames, s: _warp(frames, shift=(0.45 * s, 0)),
  'shift_y': lambda frames, s: _warp(frames, shift=(0, 0.45 * s)),
}
