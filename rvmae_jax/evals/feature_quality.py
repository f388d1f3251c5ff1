"""Quality of features without labels: has a network collapsed, and how far?"""

import dataclasses

import numpy as np

from rvmae_jax.data.clips import unwrapped
from rvmae_jax.evals import Evaluation, Result
from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.evals.recurrence import RecurrenceEval
from rvmae_jax.evals.videos import Videos
from rvmae_jax.metrics import features as measures


@dataclasses.dataclass(frozen=True, kw_only=True)
class FeatureQualityEval(Evaluation):
  """Rank, spread and similarity of features; gates of a recurrent core.

  Of `videos` (means over all tokens of a clip) and of `tokens` (some of each
  clip, drawn at random). A few batches tell enough, so that it can run often
  during training: a rank that falls towards 1, deviations that go to 0 or
  cosines that go to 1 are a collapse, long before a probe is run. Ranks of
  different numbers of videos do not compare.

  Attributes:
    videos: what to read; where its clip is a `source_target` with a mask, the
      gates are measured too, see `evals.recurrence`.
    num_batches: stop after so many; 0 takes all.
    num_tokens: of each clip.
  """

  reads = ('sources', 'clip', 'crop', 'mask')

  videos: Videos
  num_batches: int = 4
  num_tokens: int = 8

  def run(self, functions: ModelFunctions) -> Result:
    """Numbers as `videos/rank`, and `num_videos`.

    `rank` (see `metrics.features.rank_me`) and `rank_share`, of the largest
    that so many features could have; `std` and `std_lowest`, the mean and the
    least of `metrics.features.spread` over dimensions; `cosine` of pairs. Then
    the numbers of `RecurrenceEval`.

    Arrays kept, of each kind: `<kind>_spectrum`, singular values as shares of
    the first, and `<kind>_std`, deviations of the dimensions; both falling.
    """
    found = self._features(functions)
    num_videos = len(found['videos'])
    if num_videos < 2:
      return self.skipped('it takes two videos that can be decoded')
    metrics, arrays = {}, {}
    for kind, features in found.items():
      rank, deviations = measures.rank_me(features), measures.spread(features)
      metrics |= {
        f'{kind}/rank': rank,
        f'{kind}/rank_share': rank / min(features.shape),
        f'{kind}/std': float(deviations.mean()),
        f'{kind}/std_lowest': float(deviations.min()),
        f'{kind}/cosine': measures.mean_cosine(features),
      }
      values = measures.singular_values(features)
      arrays[f'{kind}_spectrum'] = values / max(values[0], 1e-12)
      arrays[f'{kind}_std'] = np.sort(deviations)[::-1]
    metrics['num_videos'] = num_videos
    return Result(metrics | self._gates(functions), arrays)

  def _features(self, functions: ModelFunctions) -> dict[str, np.ndarray]:
    """`videos` [n, D] and `tokens` [n * num_tokens, D]."""
    rng = np.random.default_rng(self.videos.seed)
    found = {'videos': [], 'tokens': []}
    for batch in self.videos.replace(mask={}).batches(self.num_batches):
      features = functions.encode(batch['video'])[batch['valid']]
      # [B, T, N, D] -> [B, T * N, D]
      tokens = features.reshape(len(features), -1, features.shape[-1])
      found['videos'].append(tokens.mean(1))
      places = rng.integers(
        tokens.shape[1], size=(len(tokens), self.num_tokens)
      )
      drawn = np.take_along_axis(tokens, places[..., None], axis=1)
      # [B, num_tokens, D] -> [B * num_tokens, D]
      found['tokens'].append(drawn.reshape(-1, drawn.shape[-1]))
    return {kind: np.concatenate(rows) for kind, rows in found.items()}

  def _gates(self, functions: ModelFunctions) -> dict[str, float]:
    clip = unwrapped(self.videos.clip)
    if clip['name'] != 'source_target' or not self.videos.mask:
      return {}
    recurrence = RecurrenceEval(
      videos=self.videos, num_frames=clip.get('num_source', 4), num_pictures=1
    )
    return recurrence.run(functions).metrics
