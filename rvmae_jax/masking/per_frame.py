"""Per-frame masks: a random map for every time slot by itself."""

import numpy as np

from rvmae_jax.batch import MaskLayout, Slots
from rvmae_jax.masking.tokens import count_visible, split_slots


class PerFrameMask:
  """Hides the same number of tokens in every slot, each drawn by itself.

  The mask of a per-frame masked autoencoder, whose slots are frames.

  Args:
    grid: (slots, rows, columns) of tokens.
    ratio: share of each slot's tokens to hide; visible ones are rounded down.

  Raises:
    ValueError: the ratio leaves no visible or no hidden token in a slot.
  """

  layout = MaskLayout(slots=Slots.EVEN)

  def __init__(self, grid: tuple[int, int, int], ratio: float = 0.75):
    num_slots, rows, columns = grid
    self.shape = (num_slots, rows * columns)
    self.num_keep = count_visible(rows * columns, ratio)

  def __call__(self, clip: dict, rng: np.random.Generator) -> dict:
    """Adds `ids_keep` [t*K] and `ids_mask` [t*M] to a clip."""
    ids_keep, ids_mask = split_slots(rng.random(self.shape), self.num_keep)
    return {**clip, 'ids_keep': ids_keep, 'ids_mask': ids_mask}
