"""Corruptions of when frames are seen; no pixel changes.

How far they hurt tells how much a network makes of time: one that does not
notice shuffled or reversed frames has not seen any motion.
"""

import numpy as np


def drop(
  video: np.ndarray, share: float, rng: np.random.Generator
) -> np.ndarray:
  """A share of frames is lost; the one before stands still in their place."""
  num_frames = len(video)
  order = 1 + rng.permutation(num_frames - 1)  # The first frame is never lost.
  frames = np.arange(num_frames)
  frames[order[: round(share * len(order))]] = 0
  return video[np.maximum.accumulate(frames)]


def shuffle(
  video: np.ndarray, share: float, rng: np.random.Generator
) -> np.ndarray:
  """A share of frames, two at least, change places; none of them stays."""
  places = rng.permutation(len(video))[: _at_least_two(share, len(video))]
  frames = np.arange(len(video))
  frames[places] = np.roll(places, 1)
  return video[frames]


def reverse(
  video: np.ndarray, share: float, rng: np.random.Generator
) -> np.ndarray:
  """A stretch of the clip, two frames at least, is played backwards."""
  length = _at_least_two(share, len(video))
  start = round(rng.random() * max(0, len(video) - length))
  frames = np.arange(len(video))
  frames[start : start + length] = frames[start : start + length][::-1]
  return video[frames]


def slow_down(
  video: np.ndarray, factor: float, rng: np.random.Generator
) -> np.ndarray:
  """Played slower, from the beginning.

  Not faster: there are no frames after the clip's end.
  """
  del rng
  return video[(np.arange(len(video)) / factor).astype(int)]


def _at_least_two(share: float, num_frames: int) -> int:
  return max(2, round(share * num_frames))
