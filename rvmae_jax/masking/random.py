"""Random masks: any token of the clip may be hidden."""

import numpy as np

from rvmae_jax.batch import MaskLayout
from rvmae_jax.masking.tokens import count_visible, split_by_score


class RandomMask:
  """Hides tokens anywhere in the clip.

  With a single slot it is the mask of ImageMAE (2111.06377): 75 % hidden, the
  number of visible tokens rounded down.

  Args:
    grid: (slots, rows, columns) of tokens.
    ratio: share of the clip's tokens to hide.

  Raises:
    ValueError: the ratio leaves no visible or no hidden token.
  """

  layout = MaskLayout()

  def __init__(self, grid: tuple[int, int, int], ratio: float = 0.75):
    self.num_tokens = int(np.prod(grid))
    self.num_keep = count_visible(self.num_tokens, ratio)

  def __call__(self, clip: dict, rng: np.random.Generator) -> dict:
    """Adds `ids_keep` [K] and `ids_mask` [M] to a clip."""
    scores = rng.random(self.num_tokens)
    ids_keep, ids_mask = split_by_score(scores, self.num_keep)
    return {**clip, 'ids_keep': ids_keep, 'ids_mask': ids_mask}
