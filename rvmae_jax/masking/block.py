"""Multi-block masks: a few large blocks, the same in every time slot."""

import itertools

import numpy as np

from rvmae_jax.batch import MaskLayout, Slots
from rvmae_jax.masking.tokens import count_visible, split_slots
from rvmae_jax.registry import check_range


class BlockMask:
  """Hides a union of random blocks that reach through all slots.

  Source: V-JEPA (2404.08471). There the number of hidden tokens is whatever
  the union has. Here it is given: blocks are laid until enough is covered, and
  of the last block only the middle is hidden.

  Args:
    grid: (slots, rows, columns) of tokens.
    ratio: share of the places to hide, rounded down.
    area: range of a block's share of the frame.
    aspect: range of a block's height/width.

  Raises:
    ValueError: a range is not positive and rising, or the ratio leaves no
      visible or no hidden place.
  """

  layout = MaskLayout(slots=Slots.TUBE)

  def __init__(
    self,
    grid: tuple[int, int, int],
    ratio: float = 0.9,
    area: tuple[float, float] = (0.15, 0.15),
    aspect: tuple[float, float] = (0.75, 1.5),
  ):
    check_range('mask.area', area)
    check_range('mask.aspect', aspect)
    self.num_slots, *self.frame = grid
    num_places = self.frame[0] * self.frame[1]
    self.num_keep = count_visible(num_places, ratio, round_down='hidden')
    self.num_hidden = num_places - self.num_keep
    self.area = area
    self.log_aspect = np.log(aspect)

  def __call__(self, clip: dict, rng: np.random.Generator) -> dict:
    """Adds `ids_keep` [t*K] and `ids_mask` [t*M] to a clip."""
    # When each place was first covered; the earliest ones are hidden.
    covered_at = np.full(self.frame, np.inf)
    for number in itertools.count():
      place, block = self._draw_block(rng)
      covered_at[place] = np.minimum(covered_at[place], number + block)
      if np.isfinite(covered_at).sum() >= self.num_hidden:
        break
    scores = np.tile(-covered_at.ravel(), (self.num_slots, 1))
    ids_keep, ids_mask = split_slots(scores, self.num_keep)
    return {**clip, 'ids_keep': ids_keep, 'ids_mask': ids_mask}

  def _draw_block(
    self, rng: np.random.Generator
  ) -> tuple[tuple[slice, slice], np.ndarray]:
    """Where a block lies, and how far each of its places is from its middle.

    The distance is 1 just outside of the block.
    """
    rows, columns = self.frame
    area = rows * columns * rng.uniform(*self.area)
    aspect = np.exp(rng.uniform(*self.log_aspect))
    height = int(np.clip(round(np.sqrt(area * aspect)), 1, rows))
    width = int(np.clip(round(np.sqrt(area / aspect)), 1, columns))
    top = rng.integers(rows - height, endpoint=True)
    left = rng.integers(columns - width, endpoint=True)
    distance = np.maximum(
      np.abs(np.arange(height) - (height - 1) / 2)[:, None] * 2 / (height + 1),
      np.abs(np.arange(width) - (width - 1) / 2) * 2 / (width + 1),
    )
    return np.s_[top : top + height, left : left + width], distance
