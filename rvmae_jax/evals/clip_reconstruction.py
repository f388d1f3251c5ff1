"""Reconstruction of clips: how well hidden tubelets are rebuilt."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from rvmae_jax.evals.rebuilding import (
  Clips,
  Distance,
  RebuildingEval,
  coherence,
  named,
  score,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClipReconstructionEval(RebuildingEval):
  """Rebuilt tubelets of clips beside methods that learned nothing.

  For each of four methods, `model`, `copy_time` (the mean of the same place in
  frames that show it, else the mean colour), `mean_colour` (of all visible
  pixels) and `patch_mean` (the true mean colour of each tubelet): PSNR and SSIM
  on what is hidden and to be rebuilt, and on whole frames, in which all else is
  as it was.

  A model of normalised patches is given their true mean and scale. So is
  `patch_mean`, the mean at least, and such a model has to be better than that
  before it has learned anything.
  """

  rebuilds = ('video',)

  num_pictures: int = 2

  def scores(
    self, clips: Clips, distance: Distance | None = None, flow: str = ''
  ) -> dict[str, np.ndarray]:
    """As of `score` and `coherence`, [B] for each of the four methods."""
    video, hidden = clips['video'], clips['hidden'][..., None]
    seen = clips['visible'][..., None].astype(video.dtype)

    def mean_seen(axes):
      count = seen.sum(axes, keepdims=True)
      mean = (video * seen).sum(axes, keepdims=True) / np.maximum(count, 1)
      return mean, count

    mean_colour, _ = mean_seen((1, 2, 3))
    still, times_seen = mean_seen((1,))
    guesses = {
      'model': clips['rebuilt'],
      'copy_time': np.where(times_seen, still, mean_colour),
      'mean_colour': mean_colour,
      'patch_mean': self._patch_means(video),
    }
    guesses = {
      k: np.where(hidden, guess, video) for k, guess in guesses.items()
    }
    asked = video, clips['hidden'], guesses, 1
    return score(*asked, distance) | coherence(*asked, flow)

  def metrics(self, means: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Numbers as `model/psnr_hidden`, and `gain_db`.

    The gain is the model's PSNR less that of the better of `copy_time` and
    `mean_colour`.
    """
    metrics = named(means)
    others = (metrics[f'{m}/psnr_hidden'] for m in ('copy_time', 'mean_colour'))
    return metrics | {'gain_db': metrics['model/psnr_hidden'] - max(others)}

  def _patch_means(self, video: np.ndarray) -> np.ndarray:
    """Every tubelet in its mean colour, [B, T, H, W, 3]."""
    batch_size, num_frames, height, width, _ = video.shape
    p, z = self.videos.patch_size, self.videos.tubelet_size
    # [B, t, z, h, p, w, p, 3]
    tubelets = video.reshape(
      batch_size, num_frames // z, z, height // p, p, width // p, p, -1
    )
    means = tubelets.mean((2, 4, 6), keepdims=True)
    return np.broadcast_to(means, tubelets.shape).reshape(video.shape)
