"""The mask of RVM and SiamMAE: target frames are hidden, sources are not."""

import numpy as np

from rvmae_jax.batch import MaskLayout, Slots
from rvmae_jax.masking.tokens import count_visible, split_by_score


class TargetMask:
  """Hides tokens of each target frame by an independent random permutation.

  Source: RVM (arXiv 2512.13684), where 95 % of a target's tokens are hidden.

  Args:
    grid: (rows, columns) of patches in a frame.
    ratio: share of each target frame's tokens to hide.

  Raises:
    ValueError: the ratio leaves no visible or no hidden token.
  """

  layout = MaskLayout(hides='target', slots=Slots.EVEN)

  def __init__(self, grid: tuple[int, int], ratio: float = 0.95):
    self.num_tokens = grid[0] * grid[1]
    self.num_keep = count_visible(self.num_tokens, ratio)

  def __call__(self, clip: dict, rng: np.random.Generator) -> dict:
    """Adds `ids_keep` [S, K] and `ids_mask` [S, M] to a clip with `target`."""
    scores = rng.random((len(clip['target']), self.num_tokens))
    ids_keep, ids_mask = split_by_score(scores, self.num_keep)
    return {**clip, 'ids_keep': ids_keep, 'ids_mask': ids_mask}
