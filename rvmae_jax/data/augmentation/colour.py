"""Changes of colour and sharpness: `(frames, rng) -> frames`, [T,H,W,3] uint8.

Each is applied with `probability`, to all frames of a clip or to none.
"""

import abc
import dataclasses
import functools
from typing import ClassVar

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps


def as_image(frames: np.ndarray) -> Image.Image:
  """The frames [T,H,W,3] one below the other, as a picture of T*H rows.

  What Pillow does pixel by pixel, or with statistics of the picture, it then
  does to the clip as a whole: equal colours stay equal from frame to frame.
  """
  return Image.fromarray(frames.reshape(-1, *frames.shape[2:]))


def as_frames(image: Image.Image, num_frames: int) -> np.ndarray:
  """The inverse of `as_image`: [T,H,W,3] uint8."""
  rows = np.asarray(image)  # [T*H, W, 3] -> [T, H, W, 3]
  return rows.reshape(num_frames, -1, *rows.shape[1:])


def check_probability(name: str, probability: float) -> None:
  """Raises ValueError, with the name of a change, unless it is in [0, 1]."""
  if not 0 <= probability <= 1:
    raise ValueError(f'{name}: probability={probability} must lie in [0, 1].')


@dataclasses.dataclass
class RandomChange(abc.ABC):
  """A change of all frames of some clips; its subclasses say which.

  Attributes:
    name: in errors.
    probability: of clips to change.

  Raises:
    ValueError: a number is out of range.
  """

  name: ClassVar[str]
  probability: float = 1.0

  def __post_init__(self):
    check_probability(self.name, self.probability)

  def __call__(
    self, frames: np.ndarray, rng: np.random.Generator
  ) -> np.ndarray:
    """Frames [T,H,W,3] uint8, changed or as they are."""
    is_changed = rng.random() < self.probability
    return self.change(frames, rng) if is_changed else frames

  @abc.abstractmethod
  def change(self, frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Applies what is drawn."""


@dataclasses.dataclass
class ColourJitter(RandomChange):
  """Brightness, contrast, saturation and hue, in random order.

  The first three are scaled by a factor from [1 - x, 1 + x], not below 0; hue
  is turned by up to that share of the colour circle. The defaults are those of
  MoCo v3 (2104.02057).

  Attributes:
    brightness: x of the distance from black.
    contrast: x of the distance from the clip's mean grey.
    saturation: x of the distance from grey.
    hue: at most 0.5.
  """

  name = 'colour_jitter'
  probability: float = 0.8
  brightness: float = 0.4
  contrast: float = 0.4
  saturation: float = 0.2
  hue: float = 0.1

  def __post_init__(self):
    super().__post_init__()
    least = min(self.brightness, self.contrast, self.saturation)
    if least < 0 or not 0 <= self.hue <= 0.5:
      raise ValueError(
        f'{self}: brightness, contrast and saturation must not be negative, '
        'hue must lie in [0, 0.5].'
      )
    self.steps = [
      functools.partial(_jitter, ImageEnhance.Brightness, self.brightness),
      functools.partial(_jitter, ImageEnhance.Contrast, self.contrast),
      functools.partial(_jitter, ImageEnhance.Color, self.saturation),
      functools.partial(_jitter_hue, self.hue),
    ]

  def change(self, frames, rng):
    """All four, in an order that is drawn."""
    image = as_image(frames)
    for index in rng.permutation(len(self.steps)):
      image = self.steps[index](image, rng)
    return as_frames(image, len(frames))


def _jitter(enhancer, spread: float, image: Image.Image, rng) -> Image.Image:
  factor = rng.uniform(max(0, 1 - spread), 1 + spread)
  return enhancer(image).enhance(factor)


def _jitter_hue(limit: float, image: Image.Image, rng) -> Image.Image:
  share = rng.uniform(-limit, limit)
  hue, saturation, value = image.convert('HSV').split()
  hue = hue.point([(v + round(share * 255)) % 256 for v in range(256)])
  return Image.merge('HSV', (hue, saturation, value)).convert('RGB')


@dataclasses.dataclass
class Grey(RandomChange):
  """Takes the colour away."""

  name = 'grey'
  probability: float = 0.2

  def change(self, frames, rng):
    """Greys of equal brightness."""
    grey = as_image(frames).convert('L').convert('RGB')
    return as_frames(grey, len(frames))


@dataclasses.dataclass
class Blur(RandomChange):
  """Blurs by a Gaussian.

  Attributes:
    sigma: range of its standard deviation in pixels.
  """

  name = 'blur'
  probability: float = 0.5
  sigma: tuple[float, float] = (0.1, 2.0)

  def __post_init__(self):
    super().__post_init__()
    if not 0 <= self.sigma[0] <= self.sigma[1]:
      raise ValueError(
        f'blur: sigma={tuple(self.sigma)} must be two numbers of 0 or more, '
        'the larger last.'
      )

  def change(self, frames, rng):
    """Frame by frame: no frame may leak into its neighbours."""
    blur = ImageFilter.GaussianBlur(rng.uniform(*self.sigma))
    return np.stack([Image.fromarray(frame).filter(blur) for frame in frames])


@dataclasses.dataclass
class Solarise(RandomChange):
  """Inverts bright values.

  Attributes:
    threshold: values from here on become 255 - value.
  """

  name = 'solarise'
  probability: float = 0.2
  threshold: int = 128

  def change(self, frames, rng):
    """Of all frames alike."""
    image = ImageOps.solarize(as_image(frames), self.threshold)
    return as_frames(image, len(frames))
