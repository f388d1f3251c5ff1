"""Tube masks: one random map, the same in every time slot."""

import numpy as np

from rvmae_jax.batch import MaskLayout, Slots
from rvmae_jax.masking.tokens import count_visible, split_slots


class TubeMask:
  """Hides the same places in every slot, so that time gives nothing away.

  Source: VideoMAE (2203.12602): 90 %, the number of hidden places rounded down.

  Args:
    grid: (slots, rows, columns) of tokens.
    ratio: share of the places to hide.

  Raises:
    ValueError: the ratio leaves no visible or no hidden place.
  """

  layout = MaskLayout(slots=Slots.TUBE)

  def __init__(self, grid: tuple[int, int, int], ratio: float = 0.9):
    self.num_slots, rows, columns = grid
    self.num_places = rows * columns
    self.num_keep = count_visible(self.num_places, ratio, round_down='hidden')

  def __call__(self, clip: dict, rng: np.random.Generator) -> dict:
    """Adds `ids_keep` [t*K] and `ids_mask` [t*M] to a clip."""
    scores = np.tile(rng.random(self.num_places), (self.num_slots, 1))
    ids_keep, ids_mask = split_slots(scores, self.num_keep)
    return {**clip, 'ids_keep': ids_keep, 'ids_mask': ids_mask}
