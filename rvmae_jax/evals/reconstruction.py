"""Reconstruction: how well hidden future patches are rebuilt, gap by gap."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from rvmae_jax.data.clips import CLIPS, unwrapped
from rvmae_jax.evals import Result
from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.evals.rebuilding import (
  Clips,
  Distance,
  RebuildingEval,
  coherence,
  named,
  score,
)
from rvmae_jax.evals.videos import Videos


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReconstructionEval(RebuildingEval):
  """Rebuilt target frames beside two methods that learned nothing.

  For each gap and each of three methods, `model`, `copy_last` (the last source
  frame) and `mean_colour` (that frame's mean colour everywhere): PSNR and SSIM
  on the hidden patches, and on whole frames. No method is
  given the visible patches: its whole frames are its own throughout.

  Attributes:
    gaps: steps from the last source frame to the targets; empty spreads as
      many as the clip has targets evenly over its own range.
    others: see `RebuildingEval`; the clip has to be `source_target`.
  """

  rebuilds = ('target',)

  gaps: Sequence[int] = ()

  def __post_init__(self):
    super().__post_init__()
    videos, gaps = at_gaps(self.videos, self.gaps)
    self.resolve(videos=videos, gaps=gaps)

  def run(self, functions: ModelFunctions) -> Result:
    """See `RebuildingEval.run`; the arrays have `gaps` [S] too."""
    metrics, arrays = super().run(functions)
    return Result(metrics, arrays and {**arrays, 'gaps': np.array(self.gaps)})

  def scores(
    self, clips: Clips, distance: Distance | None = None, flow: str = ''
  ) -> dict[str, np.ndarray]:
    """As of `score` and `coherence`, [B, gaps] for each of the three methods.

    Coherence is that with the gap before, if it is one step less.
    """
    last = clips['video'][:, -1:]
    guesses = {
      'model': clips['rebuilt'],
      'copy_last': last,
      'mean_colour': last.mean((2, 3), keepdims=True),
    }
    asked = clips['target'], clips['hidden'], guesses, 2
    pairs = coherence(*asked, flow, np.diff(self.gaps) == 1)
    # The first has none before: [B, gaps - 1] -> [B, gaps].
    first = np.ma.masked_all((len(last), 1))
    return score(*asked, distance) | {
      key: np.ma.concatenate([first, values], axis=1)
      for key, values in pairs.items()
    }

  def metrics(self, means: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Numbers as `gap_4/model/psnr_hidden`, and `gap_4/gain_db`.

    The gain is the model's PSNR on hidden patches less that of copying.
    """
    metrics = {}
    for number, gap in enumerate(self.gaps):
      found = named({key: mean[number] for key, mean in means.items()})
      found['gain_db'] = (
        found['model/psnr_hidden'] - found['copy_last/psnr_hidden']
      )
      metrics |= {f'gap_{gap}/{key}': value for key, value in found.items()}
    return metrics


def at_gaps(
  videos: Videos, gaps: Sequence[int] = ()
) -> tuple[Videos, tuple[int, ...]]:
  """Videos with one target at each gap, and the gaps.

  Args:
    videos: of `source_target` clips.
    gaps: steps from the last source frame; empty spreads as many as the clip
      has targets evenly over its own range.
  """
  # Without what training wraps around it, such as another speed.
  clip = unwrapped(videos.clip)
  if not gaps:
    sampler = CLIPS.build(clip)
    gaps = np.linspace(*sampler.gap, sampler.num_target).round().astype(int)
    gaps = np.unique(gaps).tolist()
  clip = {**clip, 'gaps': tuple(gaps), 'num_target': len(gaps)}
  return videos.replace(clip=clip), tuple(gaps)
