"""The mask of RVM and SiamMAE: target frames are hidden, sources are not."""

import numpy as np

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

  def __init__(self, grid: tuple[int, int], ratio: float = 0.95):
    num_tokens = grid[0] * grid[1]
    self.num_keep = count_visible(num_tokens, ratio)
    self.num_hidden = num_tokens - self.num_keep

  def __call__(self, clip: dict, rng: np.random.Generator) -> dict:
    """Adds `ids_keep` [S, K] and `ids_mask` [S, M] to a clip with `target`."""
    if 'target' not in clip:
      raise ValueError(
        'The target mask hides target frames; this clip has only '
        f'{sorted(clip)}. Use the clip sampler source_target, or another mask.'
      )
    num_target = len(clip['target'])
    scores = rng.random((num_target, self.num_keep + self.num_hidden))
    ids_keep, ids_mask = split_by_score(scores, self.num_keep)
    return {**clip, 'ids_keep': ids_keep, 'ids_mask': ids_mask}
