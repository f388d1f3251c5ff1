"""Confidence intervals of shares and means."""

import numpy as np

_Z_95 = 1.959964  # Of the normal distribution, both sides.


def wilson_interval(num_right: float, num: int) -> tuple[float, float]:
  """The 95 % interval of a share, by Wilson's score.

  Unlike share +- 2 standard errors it stays in [0, 1], and has a width where
  all or none are right. Wilson, "Probable inference", 1927.

  Args:
    num_right: how many were right; ties may count in part.
    num: of how many, above 0.

  Returns:
    The lower and the upper end.
  """
  share, z2 = float(num_right / num), _Z_95**2
  centre = (share + z2 / (2 * num)) / (1 + z2 / num)
  spread = np.sqrt(share * (1 - share) / num + z2 / (4 * num**2))
  half = float(_Z_95 * spread / (1 + z2 / num))
  # Whatever is rounded, the share lies in its interval: at 0 and at 1 it is one
  # of the ends.
  low, high = float(centre) - half, float(centre) + half
  return max(0.0, min(low, share)), min(1.0, max(high, share))


def bootstrap_interval(values: np.ndarray) -> tuple[float, float]:
  """The 95 % percentile bootstrap interval of a mean, by 10,000 draws.

  Efron, "Bootstrap methods: another look at the jackknife", 1979.

  Args:
    values: [n], drawn independently, n above 0.

  Returns:
    The lower and the upper end.
  """
  rng = np.random.default_rng(0)
  rows = rng.integers(len(values), size=(10_000, len(values)))
  low, high = np.percentile(values[rows].mean(1), (2.5, 97.5))
  return float(low), float(high)
