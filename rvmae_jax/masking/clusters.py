"""Clusters of tokens in an order: what ARVideo predicts from what."""

import numpy as np

from rvmae_jax.batch import MaskLayout
from rvmae_jax.masking.tokens import count_visible, split_by_score

ORDERS = ('spatial_first', 'temporal_first', 'random')


class ClusterMask:
  """Cuts the clip into clusters, to predict each from those before it.

  With C + 1 clusters there are C steps: `ids_keep[i]` are tokens of cluster i
  and `ids_mask[i]` all tokens of cluster i + 1, so that step i is to rebuild
  `ids_mask[i]` from `ids_keep[: i + 1]`. Most tokens are in both, since a
  cluster is seen after it was predicted.

  Clusters are spatial with one slot, temporal with one row and column, else
  spatio-temporal. Source: ARVideo (2405.15160), 4x7x7 of 8x14x14 tokens in
  random order.

  Args:
    grid: (slots, rows, columns) of tokens.
    cluster: (slots, rows, columns) of a cluster.
    order: 'spatial_first' goes through all places before the next slots,
      'temporal_first' through all slots before the next place, 'random' draws
      a permutation for each clip.
    ratio: share of each cluster's tokens to leave out of `ids_keep`, 0 for
      none; those kept are rounded down.

  Raises:
    ValueError: clusters do not tile the grid, there is only one, the order is
      unknown, or the ratio leaves nothing visible.
  """

  layout = MaskLayout(in_steps=True)

  def __init__(
    self,
    grid: tuple[int, int, int],
    cluster: tuple[int, int, int] = (4, 7, 7),
    order: str = 'random',
    ratio: float = 0.0,
  ):
    if order not in ORDERS:
      raise ValueError(
        f'Unknown mask.order={order!r}; use one of: {", ".join(ORDERS)}.'
      )
    self.clusters = cut(grid, cluster, is_temporal_first=order[0] == 't')
    if len(self.clusters) < 2:
      raise ValueError(
        f'mask.cluster={tuple(cluster)} is the whole grid of {tuple(grid)} '
        'tokens: nothing is left to predict. Use smaller clusters.'
      )
    self.is_random = order == 'random'
    size = self.clusters.shape[1]
    self.num_keep = count_visible(size, ratio) if ratio else size

  def __call__(self, clip: dict, rng: np.random.Generator) -> dict:
    """Adds `ids_keep` [C, K] and `ids_mask` [C, M] to a clip."""
    clusters = self.clusters
    if self.is_random:
      clusters = clusters[rng.permutation(len(clusters))]
    ids_keep, _ = split_by_score(rng.random(clusters[:-1].shape), self.num_keep)
    return {
      **clip,
      'ids_keep': np.take_along_axis(clusters[:-1], ids_keep, axis=1),
      'ids_mask': clusters[1:],
    }


def cut(
  grid: tuple[int, int, int],
  cluster: tuple[int, int, int],
  is_temporal_first: bool,
) -> np.ndarray:
  """The tokens of every cluster, in order: [clusters, size] int32.

  Raises:
    ValueError: clusters do not tile the grid.
  """
  if len(cluster) != 3 or any(c < 1 or g % c for g, c in zip(grid, cluster)):
    raise ValueError(
      f'mask.cluster={tuple(cluster)} does not tile the grid of {tuple(grid)} '
      'tokens (slots, rows, columns): each number must divide its own.'
    )
  (t, h, w), (ct, ch, cw) = grid, cluster
  ids = np.arange(t * h * w, dtype=np.int32)
  # [t*h*w] -> [t/ct, ct, h/ch, ch, w/cw, cw]
  ids = ids.reshape(t // ct, ct, h // ch, ch, w // cw, cw)
  places = (2, 4, 0) if is_temporal_first else (0, 2, 4)
  # -> [clusters, ct*ch*cw]
  return ids.transpose(*places, 1, 3, 5).reshape(-1, ct * ch * cw)
