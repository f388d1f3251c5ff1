"""Corruptions: what may have happened to a clip before a network sees it.

  video = corrupt(video, 'noise', severity=3, key=(seed, source, record))

Each is a function `(video [T,H,W,3] uint8, amount, rng) -> video` of the same
shape, with five amounts from mild to harsh. What is drawn does not depend on
the severity: the same box grows, the same noise becomes stronger. To add one: a
function in `pictures.py` or `order.py`, and a line in the table.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from rvmae_jax.data.corruptions import order, pictures
from rvmae_jax.registry import check_known

SEVERITIES = (1, 2, 3, 4, 5)


class Corruption(NamedTuple):
  """A change of clips, and its amount at each severity."""

  change: Callable[[np.ndarray, float, np.random.Generator], np.ndarray]
  amounts: tuple[float, float, float, float, float]


CORRUPTIONS = {
  # What is seen.
  'occlusion': Corruption(pictures.occlude, (0.05, 0.1, 0.2, 0.3, 0.45)),
  'motion_blur': Corruption(pictures.blur, (0.04, 0.08, 0.12, 0.18, 0.25)),
  'noise': Corruption(pictures.add_noise, (0.03, 0.06, 0.1, 0.16, 0.25)),
  'compression': Corruption(pictures.compress, (26, 32, 38, 44, 50)),
  'brightness': Corruption(pictures.brighten, (0.1, 0.2, 0.3, 0.4, 0.5)),
  'low_resolution': Corruption(pictures.shrink, (1.5, 2, 3, 4, 6)),
  # When it is seen.
  'frame_drop': Corruption(order.drop, (0.15, 0.3, 0.45, 0.6, 0.75)),
  'frame_shuffle': Corruption(order.shuffle, (0.2, 0.4, 0.6, 0.8, 1.0)),
  'frame_reverse': Corruption(order.reverse, (0.2, 0.4, 0.6, 0.8, 1.0)),
  'speed': Corruption(order.slow_down, (1.25, 1.5, 2, 3, 4)),
}


def corrupt(
  video: np.ndarray, name: str, severity: int, key: Sequence[int]
) -> np.ndarray:
  """A clip with one corruption.

  Args:
    video: [T, H, W, 3] uint8.
    name: of `CORRUPTIONS`.
    severity: 1 (mild) to 5 (harsh).
    key: not negative; tells what is drawn: another key, another draw.

  Raises:
    ValueError: an unknown corruption or severity.
  """
  check_corruption(name, severity)
  change, amounts = CORRUPTIONS[name]
  rng = np.random.default_rng([*key, *name.encode()])
  return change(video, amounts[severity - 1], rng)


def check_corruption(name: str, severity: int = 1) -> None:
  """Checks the name and severity of a corruption.

  Raises:
    ValueError: there is no such corruption or severity.
  """
  check_known('corruption', CORRUPTIONS, name)
  if severity not in SEVERITIES:
    raise ValueError(f'severity={severity} is not one of {SEVERITIES}.')
