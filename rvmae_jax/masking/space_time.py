"""The mask of R-VMAE: patches inside frames, and whole frames."""

import numpy as np

from rvmae_jax.batch import MaskLayout, Slots
from rvmae_jax.masking.tokens import count_visible, split_by_score


class SpaceTimeMask:
  """Hides some slots whole, and random tokens of each of the others.

  Every slot that is not hidden whole shows the same number of tokens, so that
  `ids_keep` [F*K] is also [F, K]; `slots_keep` tells which slots these are. The
  first slot is never hidden whole: a recurrent core would have nothing to
  predict it from.

  Args:
    grid: (slots, rows, columns) of tokens.
    ratio: share of the tokens to hide in a slot that is not hidden whole;
      visible ones are rounded down.
    frame_ratio: share of the slots to hide whole; shown ones are rounded down.

  Raises:
    ValueError: a ratio leaves no visible or no hidden token or slot.
  """

  layout = MaskLayout(slots=Slots.EVEN_WHERE_SHOWN)

  def __init__(
    self,
    grid: tuple[int, int, int],
    ratio: float = 0.75,
    frame_ratio: float = 0.25,
  ):
    self.num_slots, rows, columns = grid
    self.num_places = rows * columns
    self.num_keep = count_visible(self.num_places, ratio)
    try:
      self.num_shown = count_visible(
        self.num_slots, frame_ratio, of='time slots'
      )
    except ValueError as error:
      raise ValueError(f'mask.frame_ratio: {error}') from None

  def __call__(self, clip: dict, rng: np.random.Generator) -> dict:
    """Adds `ids_keep` [F*K], `slots_keep` [F] and `ids_mask` [M] to a clip."""
    others = 1 + rng.permutation(self.num_slots - 1)[: self.num_shown - 1]
    shown = np.sort(np.append(0, others))
    places, _ = split_by_score(
      rng.random((self.num_shown, self.num_places)), self.num_keep
    )
    ids_keep = (shown[:, None] * self.num_places + places).ravel()
    every = np.arange(self.num_slots * self.num_places)
    ids_mask = np.setdiff1d(every, ids_keep)
    return {
      **clip,
      'ids_keep': ids_keep.astype(np.int32),
      'ids_mask': ids_mask.astype(np.int32),
      'slots_keep': shown.astype(np.int32),
    }
