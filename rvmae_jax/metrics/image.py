"""How close a rebuilt picture is to the true one: PSNR and SSIM."""

import numpy as np

_WINDOW = 11
_SIGMA = 1.5


def psnr(squared_error: float) -> float:
  """Peak signal-to-noise ratio of pixels in [0, 1], in dB.

  Args:
    squared_error: mean squared error. Average the error over a whole set of
      pictures first: the ratio of one perfect picture is infinite, and the mean
      of ratios with it.
  """
  return float(-10 * np.log10(squared_error)) if squared_error else np.inf


def ssim_map(first: np.ndarray, second: np.ndarray) -> np.ndarray:
  """Structural similarity around every pixel, averaged over the colours.

  A Gaussian window of 11x11 and sigma 1.5; frames are mirrored at their border.
  Wang et al., "Image quality assessment", 2004, equation 13.

  Args:
    first, second: [..., H, W, C], values in [0, 1].

  Returns:
    [..., H, W], 1 where both agree. Its `interior_mean` is the usual SSIM of a
    picture.
  """
  first, second = np.float64(first), np.float64(second)
  mean_1, mean_2 = _blur(first), _blur(second)
  variance_1 = _blur(first**2) - mean_1**2
  variance_2 = _blur(second**2) - mean_2**2
  covariance = _blur(first * second) - mean_1 * mean_2
  c1, c2 = 0.01**2, 0.03**2
  similarity = ((2 * mean_1 * mean_2 + c1) * (2 * covariance + c2)) / (
    (mean_1**2 + mean_2**2 + c1) * (variance_1 + variance_2 + c2)
  )
  return similarity.mean(-1)


def interior_mean(similarity: np.ndarray) -> np.ndarray:
  """Mean over the centres of all windows that lie inside the picture.

  Args:
    similarity: [..., H, W] of `ssim_map`, at least 11x11.

  Returns:
    [...].

  Raises:
    ValueError: no window lies inside.
  """
  height, width = similarity.shape[-2:]
  if min(height, width) < _WINDOW:
    raise ValueError(
      f'SSIM needs pictures of at least {_WINDOW}x{_WINDOW} pixels; '
      f'got {height}x{width}.'
    )
  border = _WINDOW // 2
  return similarity[..., border:-border, border:-border].mean((-2, -1))


def _blur(picture: np.ndarray) -> np.ndarray:
  """Gaussian mean around each pixel of [..., H, W, C]."""
  offsets = np.arange(_WINDOW) - _WINDOW // 2
  weights = np.exp(-0.5 * (offsets / _SIGMA) ** 2)
  weights /= weights.sum()
  for axis in (-3, -2):
    size = picture.shape[axis]
    padding = [(0, 0)] * picture.ndim
    padding[axis] = (_WINDOW // 2, _WINDOW // 2)
    padded = np.pad(picture, padding, mode='symmetric')
    picture = sum(
      weight * padded.take(range(start, start + size), axis)
      for start, weight in enumerate(weights)
    )
  return picture
