"""Uncertainty: does a network rebuild a patch alike under every mask?"""

import collections
import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import scipy.stats

from rvmae_jax.data.clips import unwrapped
from rvmae_jax.evals import Evaluation, Result
from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.evals.rebuilding import check_rebuilds, rebuilt_clips
from rvmae_jax.evals.reconstruction import at_gaps
from rvmae_jax.evals.videos import Videos
from rvmae_jax.metrics.image import psnr
from rvmae_jax.registry import check_counts

_NUM_BINS = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class UncertaintyEval(Evaluation):
  """Means and spreads of what is rebuilt under several masks.

  Every clip is rebuilt under `num_masks` masks. Where at least two of them hide
  a pixel, it has a mean and a deviation. If deviations are large where the mean
  is wrong, they tell how far a network is to be trusted.

  Attributes:
    videos: what to read; needs a mask.
    num_masks: for each clip, at least two.
    gaps: of target frames, see `ReconstructionEval`; clips have none.
    num_batches: stop after so many; 0 takes all.
    num_pictures: clips whose arrays are kept.
  """

  rebuilds = ('target', 'video')
  reads = ('sources', 'clip', 'crop', 'mask')

  videos: Videos
  num_masks: int = 8
  gaps: Sequence[int] = ()
  num_batches: int = 0
  num_pictures: int = 2

  def __post_init__(self):
    check_counts(self, 'num_pictures')
    if self.num_masks < 2:
      raise ValueError(
        f'num_masks={self.num_masks}: a spread needs at least two masks.'
      )
    check_rebuilds(type(self).__name__, self.videos, self.rebuilds)
    name = unwrapped(self.videos.clip)['name']
    if name == 'source_target':
      videos, gaps = at_gaps(self.videos, self.gaps)
      self.resolve(videos=videos, gaps=gaps)
    else:
      self.refuse_unused(('gaps',), f'for data.clip {name!r} without targets')

  def run(self, functions: ModelFunctions) -> Result:
    """Numbers of all frames together, and for targets as `gap_4/...` too.

    `rank_correlation` (Spearman's) of spread and error over all patches, and
    `rank_correlation_in_frame`, its mean over single frames; `psnr_one_mask`
    and `psnr_mean`, of single rebuilt frames and of their mean at the same
    pixels; `mean_spread`.

    Arrays: `true` and `mean` [n, S, H, W, 3] in [0, 1], `error` and `spread`
    [n, S, H, W] (NaN where it is not known), and `bins_spread` and `bins_error`
    [10], means of a tenth of all patches each, by rising spread; all deviations
    are of colours in [0, 1].
    """
    kept, found = collections.defaultdict(list), collections.defaultdict(list)
    # The same clips again and again, each time with other masks.
    masked = [
      self.videos.replace(seed=self.videos.seed + i).batches(
        self.num_batches, '' if i else 'masks'
      )
      for i in range(self.num_masks)
    ]
    num_videos = 0
    for batches in zip(*masked):
      clips = [
        rebuilt_clips(functions, batch, self.videos) for batch in batches
      ]
      if not len(clips[0]['video']):
        continue
      true = clips[0].get('target', clips[0]['video'])
      summary = summarise(
        true,
        np.stack([c['rebuilt'] for c in clips]),
        np.stack([c['hidden'] for c in clips]),
      )
      if num_videos < self.num_pictures:
        for key in ('mean', 'error', 'spread'):
          kept[key].append(summary[key])
        kept['true'].append(true)
      num_videos += len(true)
      for key in ('error', 'spread', 'error_one_mask'):
        found[key].append(patch_means(summary[key], self.videos.patch_size))
    if not num_videos:
      return self.skipped('no video could be decoded')
    patches = {key: np.concatenate(rows) for key, rows in found.items()}
    arrays = {
      key: np.concatenate(rows)[: self.num_pictures]
      for key, rows in kept.items()
    } | bins(patches)
    metrics = {'num_videos': num_videos, **measure(patches)}
    for number, gap in enumerate(self.gaps):
      at_gap = {key: values[:, number] for key, values in patches.items()}
      metrics |= {f'gap_{gap}/{k}': v for k, v in measure(at_gap).items()}
    return Result(metrics, arrays)


def summarise(
  true: np.ndarray, rebuilt: np.ndarray, hidden: np.ndarray
) -> dict[str, np.ndarray]:
  """What the masks agree on, and how far they do.

  Args:
    true: [B, S, H, W, 3].
    rebuilt: [masks, B, S, H, W, 3].
    hidden: [masks, B, S, H, W] bool.

  Returns:
    `mean` [B, S, H, W, 3] of what was rebuilt where it was hidden; where fewer
    than two masks hid it, the truth. Then [B, S, H, W], NaN at such places:
    `spread`, the deviation of colours, `error` of the mean, and
    `error_one_mask`, that of single ones; errors are root mean squares.
  """
  weight = hidden[..., None].astype(np.float32)
  count = weight.sum(0)
  is_known = (count >= 2)[..., 0]
  mean = (weight * rebuilt).sum(0) / np.maximum(count, 1)
  variance = (weight * np.square(rebuilt - mean)).sum(0)
  variance /= np.maximum(count - 1, 1)
  of_one = (weight * np.square(rebuilt - true)).sum(0) / np.maximum(count, 1)

  def root(squares):
    return np.where(is_known, np.sqrt(squares.mean(-1)), np.nan)

  return {
    'mean': np.where(is_known[..., None], mean, true),
    'spread': root(variance),
    'error': root(np.square(mean - true)),
    'error_one_mask': root(of_one),
  }


def patch_means(values: np.ndarray, patch_size: int) -> np.ndarray:
  """Root mean squares over patches: [B, S, H, W] -> [B, S, N]."""
  *lead, height, width = values.shape
  p = patch_size
  # [B, S, h, p, w, p]
  patches = values.reshape(*lead, height // p, p, width // p, p)
  # [B, S, h, w] -> [B, S, N]
  return np.sqrt(np.square(patches).mean((-3, -1))).reshape(*lead, -1)


def measure(patches: Mapping[str, np.ndarray]) -> dict[str, float]:
  """The numbers of `UncertaintyEval.run` from patches [B, ..., N].

  Args:
    patches: `spread`, `error` and `error_one_mask`; NaN where not known.

  Returns:
    Without the correlations of what is the same everywhere.
  """
  spread, error = patches['spread'], patches['error']
  num_patches = spread.shape[-1]
  # [B, ..., N] -> [frames, N]
  frames = zip(spread.reshape(-1, num_patches), error.reshape(-1, num_patches))
  within = np.array([rank_correlation(*frame) for frame in frames])
  numbers = {
    'psnr_one_mask': psnr(np.nanmean(np.square(patches['error_one_mask']))),
    'psnr_mean': psnr(np.nanmean(np.square(error))),
    'mean_spread': float(np.nanmean(spread)),
  }
  # JSON has no word for a correlation that does not exist.
  correlation = rank_correlation(spread, error)
  if np.isfinite(correlation):
    numbers['rank_correlation'] = correlation
  if np.isfinite(within).any():
    numbers['rank_correlation_in_frame'] = float(np.nanmean(within))
  return numbers


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
  """Spearman's, of places that are known; NaN where all are equal."""
  known = np.isfinite(first) & np.isfinite(second)
  ranks = [scipy.stats.rankdata(values[known]) for values in (first, second)]
  if len(ranks[0]) < 2 or min(np.ptp(r) for r in ranks) == 0:
    return np.nan
  return float(np.corrcoef(ranks)[0, 1])


def bins(patches: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Mean spread and error of tenths of the patches, by rising spread."""
  known = np.isfinite(patches['spread'])
  order = np.argsort(patches['spread'][known], kind='stable')
  return {
    f'bins_{key}': np.array(
      [
        part.mean()
        for part in np.array_split(patches[key][known][order], _NUM_BINS)
      ]
    )
    for key in ('spread', 'error')
  }
