"""A cheap motion-guided mask: visible places are those where frames differ."""

import numpy as np

from rvmae_jax.batch import MaskLayout, Slots
from rvmae_jax.masking.motion_guided import sum_cubes
from rvmae_jax.masking.tokens import count_visible, split_slots

# Chance of a token that stays as it is, relative to the one that changes most.
_STILL = 0.01


class FrameDifferenceMask:
  """Shows random tokens of each slot, above all those that change.

  The chance of a token is in proportion to the difference of its pixels to the
  frame before; it is drawn once for all slots, so that a clip in which nothing
  moves gets a tube mask. Needs neither optical flow nor OpenCV.

  Args:
    grid: (slots, rows, columns) of tokens.
    ratio: share of each slot's tokens to hide, rounded down.

  Raises:
    ValueError: the ratio leaves no visible or no hidden token in a slot.
  """

  layout = MaskLayout(slots=Slots.EVEN)

  def __init__(self, grid: tuple[int, int, int], ratio: float = 0.9):
    self.grid = grid
    self.num_keep = count_visible(grid[1] * grid[2], ratio, round_down='hidden')

  def __call__(self, clip: dict, rng: np.random.Generator) -> dict:
    """Adds `ids_keep` [t*K] and `ids_mask` [t*M] to a clip with `video`."""
    video = clip['video'].astype(np.int16)
    # Each frame against the one before it, the first against the second.
    others = video[np.abs(np.arange(len(video)) - 1) % len(video)]
    motion = sum_cubes(np.abs(video - others).sum(axis=-1), self.grid)
    chance = motion / max(motion.max(), 1) + _STILL
    # The smallest of exponential times: a draw without replacement.
    times = rng.exponential(size=motion.shape[1]) / chance
    ids_keep, ids_mask = split_slots(times, self.num_keep)
    return {**clip, 'ids_keep': ids_keep, 'ids_mask': ids_mask}
