"""Changes of colour and sharpness: `(frames, rng) -> frames`, [T,H,W,3] uint8.

Each is applied with `probability`, to all frames of a clip or to none.
"""

import functools

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


class ColourJitter:
  """Brightness, contrast, saturation and hue, in random order.

  The first three are scaled by a factor from [1 - x, 1 + x], not below 0; hue
  is turned by up to that share of the colour circle. The defaults are those of
  MoCo v3 (2104.02057).

  Args:
    brightness: x of the distance from black.
    contrast: x of the distance from the clip's mean grey.
    saturation: x of the distance from grey.
    hue: at most 0.5.
    probability: of clips to change.

  Raises:
    ValueError: a number is out of range.
  """

  def __init__(
    self,
    brightness: float = 0.4,
    contrast: float = 0.4,
    saturation: float = 0.2,
    hue: float = 0.1,
    probability: float = 0.8,
  ):
    if min(brightness, contrast, saturation) < 0 or not 0 <= hue <= 0.5:
      raise ValueError(
        f'colour_jitter: brightness={brightness}, contrast={contrast}, '
        f'saturation={saturation} must not be negative, hue={hue} must lie in '
        '[0, 0.5].'
      )
    self.steps = [
      functools.partial(_jitter, ImageEnhance.Brightness, brightness),
      functools.partial(_jitter, ImageEnhance.Contrast, contrast),
      functools.partial(_jitter, ImageEnhance.Color, saturation),
      functools.partial(_jitter_hue, hue),
    ]
    self.probability = check_probability('colour_jitter', probability)

  def __call__(
    self, frames: np.ndarray, rng: np.random.Generator
  ) -> np.ndarray:
    """Applies what is drawn."""
    if rng.random() >= self.probability:
      return frames
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


class Grey:
  """Takes the colour away."""

  def __init__(self, probability: float = 0.2):
    self.probability = check_probability('grey', probability)

  def __call__(
    self, frames: np.ndarray, rng: np.random.Generator
  ) -> np.ndarray:
    """Applies what is drawn."""
    if rng.random() >= self.probability:
      return frames
    grey = as_image(frames).convert('L').convert('RGB')
    return as_frames(grey, len(frames))


class Blur:
  """Blurs by a Gaussian.

  Args:
    sigma: range of its standard deviation in pixels.
    probability: of clips to change.

  Raises:
    ValueError: a number is out of range.
  """

  def __init__(
    self, sigma: tuple[float, float] = (0.1, 2.0), probability: float = 0.5
  ):
    if not 0 <= sigma[0] <= sigma[1]:
      raise ValueError(
        f'blur: sigma={tuple(sigma)} must be two positive numbers, the larger '
        'last.'
      )
    self.sigma = sigma
    self.probability = check_probability('blur', probability)

  def __call__(
    self, frames: np.ndarray, rng: np.random.Generator
  ) -> np.ndarray:
    """Applies what is drawn."""
    if rng.random() >= self.probability:
      return frames
    blur = ImageFilter.GaussianBlur(rng.uniform(*self.sigma))
    # Frame by frame: no frame may leak into its neighbours.
    return np.stack([Image.fromarray(frame).filter(blur) for frame in frames])


class Solarise:
  """Inverts bright values.

  Args:
    threshold: values from here on become 255 - value.
    probability: of clips to change.

  Raises:
    ValueError: a probability outside of [0, 1].
  """

  def __init__(self, threshold: int = 128, probability: float = 0.2):
    self.threshold = threshold
    self.probability = check_probability('solarise', probability)

  def __call__(
    self, frames: np.ndarray, rng: np.random.Generator
  ) -> np.ndarray:
    """Applies what is drawn."""
    if rng.random() >= self.probability:
      return frames
    image = ImageOps.solarize(as_image(frames), self.threshold)
    return as_frames(image, len(frames))


def check_probability(name: str, probability: float) -> float:
  """The probability, if it is one.

  Raises:
    ValueError: it is not in [0, 1].
  """
  if not 0 <= probability <= 1:
    raise ValueError(f'{name}: probability={probability} must lie in [0, 1].')
  return probability
