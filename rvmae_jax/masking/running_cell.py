"""The masks of VideoMAE V2: tubes for the encoder, cells for the decoder."""

import numpy as np

from rvmae_jax.batch import MaskLayout, Slots
from rvmae_jax.masking.tube import TubeMask

# Of a cell of 2x2 places, row by row: 1 = not decoded.
_CELL = np.array([1, 1, 0, 0])


class RunningCellMask(TubeMask):
  """A tube mask of which only half of the hidden tokens are rebuilt.

  The decoded half is a cell that runs through its four places from slot to
  slot, starting anywhere; over four slots every place is decoded twice. So the
  count of decoded tokens is the same for every tube, if the slots come in
  fours. Source: VideoMAE V2 (2303.16727).

  Args:
    grid: (slots, rows, columns) of tokens.
    ratio: share of the places to hide from the encoder.

  Raises:
    ValueError: slots that do not come in fours, or the ratio leaves no visible
      or no hidden place.
  """

  # What is shown is a tube, what is rebuilt is not.
  layout = MaskLayout(slots=Slots.EVEN_WHERE_SHOWN)

  def __init__(self, grid: tuple[int, int, int], ratio: float = 0.9):
    super().__init__(grid, ratio)
    if grid[0] % 4:
      raise ValueError(
        f'The running cell comes back after 4 time slots; this clip has '
        f'{grid[0]}. Use a multiple of 4 times the tubelet size as '
        'data.clip.num_frames.'
      )
    self.decoded = np.stack([decoded_map(grid, start) for start in range(4)])

  def __call__(self, clip: dict, rng: np.random.Generator) -> dict:
    """Adds `ids_keep` [t*K] and `ids_mask` [t*M/2]: decoded and hidden."""
    clip = super().__call__(clip, rng)
    decoded = self.decoded[rng.integers(4)].ravel()
    ids_mask = clip['ids_mask']
    return {**clip, 'ids_mask': ids_mask[decoded[ids_mask]]}


def decoded_map(grid: tuple[int, int, int], start: int) -> np.ndarray:
  """Which tokens are decoded when the cell starts at `start` in 0..3.

  Returns:
    bool, of the shape of the grid.
  """
  slots, rows, columns = np.indices(grid)
  place = 2 * (rows % 2) + columns % 2
  return _CELL[(place + slots + start + 1) % 4] == 0
