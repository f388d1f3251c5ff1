"""Reconstruction: how well hidden future patches are rebuilt, gap by gap."""

import collections
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging

from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.evals.videos import Videos
from rvmae_jax.metrics.image import interior_mean, psnr, ssim_map


class ReconstructionEval:
  """PSNR and SSIM of rebuilt target frames beside two that learned nothing.

  For each gap and each of three methods, `model`, `copy_last` (the last source
  frame) and `mean_colour` (that frame's mean colour everywhere): PSNR and SSIM
  on the hidden patches, and on whole frames. Nobody is given the visible
  patches: a whole frame is what the method itself puts everywhere. PSNR is
  that of the mean error over all clips.

  Args:
    videos: what to read; needs a `source_target` clip and a mask.
    gaps: steps from the last source frame to the targets; empty spreads as
      many as the clip has targets evenly over its own range.
    num_batches: stop after so many, in the order of the sources; 0 takes all.
    num_pictures: clips whose arrays are kept.
  """

  def __init__(
    self,
    videos: Videos,
    *,
    gaps: Sequence[int] = (),
    num_batches: int = 0,
    num_pictures: int = 4,
  ):
    self.gaps = tuple(gaps) or _spread_gaps(videos.data.clip)
    clip = {'gaps': self.gaps, 'num_target': len(self.gaps)}
    self.videos = videos.changed({'clip': clip})
    self.num_batches, self.num_pictures = num_batches, num_pictures
    self.arrays: dict[str, np.ndarray] = {}

  def run(self, functions: ModelFunctions, step: int = 0) -> dict[str, float]:
    """Numbers as `gap_4/model/psnr_hidden`, and `gap_4/gain_db`.

    The gain is the model's PSNR on hidden patches less that of copying. Arrays
    kept, in [0, 1] or bool: `video` [n, T, H, W, 3], `target` and `rebuilt`
    [n, gaps, H, W, 3], `hidden` [n, gaps, H, W], `gaps` [gaps].
    """
    del step
    kept, scores, num_videos = [], collections.defaultdict(list), 0
    for batch in self.videos.batches(self.num_batches):
      clips = self._clips(batch, np.asarray(functions.predict(batch)['pred']))
      for key, values in clip_scores(clips).items():
        scores[key].append(values)
      if num_videos < self.num_pictures:
        kept.append(clips)
      num_videos += len(clips['video'])
    if not num_videos:
      logging.info('Reconstruction skipped: no video could be decoded.')
      return {}
    self.arrays = {'gaps': np.array(self.gaps)}
    for key in kept[0]:
      values = np.concatenate([clips[key] for clips in kept])
      self.arrays[key] = values[: self.num_pictures]
    return {'num_videos': num_videos} | self._metrics(scores)

  def _clips(
    self, batch: Mapping[str, Any], pred: np.ndarray
  ) -> dict[str, np.ndarray]:
    """Frames of the valid rows as floats, and what is hidden by pixel."""
    valid = batch['valid']
    height, width = batch['video'].shape[2:4]
    p = self.videos.patch_size
    grid = height // p, width // p
    hidden = np.ones((*pred.shape[:3], p * p), bool)  # [B, gaps, N, p*p]
    np.put_along_axis(hidden, batch['ids_keep'][..., None], False, axis=2)
    return {
      'video': batch['video'][valid] / np.float32(255),
      'target': batch['target'][valid] / np.float32(255),
      'rebuilt': frames_from_patches(pred[valid], p, grid).clip(0, 1),
      'hidden': frames_from_patches(hidden[valid], p, grid)[..., 0],
    }

  def _metrics(
    self, scores: Mapping[str, Sequence[np.ndarray]]
  ) -> dict[str, float]:
    means = {key: np.concatenate(rows).mean(0) for key, rows in scores.items()}
    metrics = {}
    for number, gap in enumerate(self.gaps):
      for key, mean in means.items():
        if 'error' in key:
          key = key.replace('error', 'psnr')
          metrics[f'gap_{gap}/{key}'] = psnr(mean[number])
        else:
          metrics[f'gap_{gap}/{key}'] = float(mean[number])
      metrics[f'gap_{gap}/gain_db'] = (
        metrics[f'gap_{gap}/model/psnr_hidden']
        - metrics[f'gap_{gap}/copy_last/psnr_hidden']
      )
    return metrics


def clip_scores(clips: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Errors and similarities of the three methods.

  Args:
    clips: `video` [B, T, H, W, 3], `target` and `rebuilt` [B, gaps, H, W, 3],
      all in [0, 1], and `hidden` [B, gaps, H, W] bool.

  Returns:
    `<method>/error_hidden`, `error_frame`, `ssim_hidden` and `ssim_frame`,
    each [B, gaps].
  """
  target, hidden = clips['target'], clips['hidden']
  last = clips['video'][:, -1:]
  guesses = {
    'model': clips['rebuilt'],
    'copy_last': last,
    'mean_colour': np.broadcast_to(
      last.mean((2, 3), keepdims=True), last.shape
    ),
  }

  def mean_hidden(values):  # [B, gaps, H, W] -> [B, gaps]
    return (values * hidden).sum((2, 3)) / hidden.sum((2, 3))

  scores = {}
  for method, guess in guesses.items():
    error = np.square(guess - target).mean(-1)
    similarity = ssim_map(np.broadcast_to(guess, target.shape), target)
    scores |= {
      f'{method}/error_hidden': mean_hidden(error),
      f'{method}/error_frame': error.mean((2, 3)),
      f'{method}/ssim_hidden': mean_hidden(similarity),
      f'{method}/ssim_frame': interior_mean(similarity),
    }
  return scores


def frames_from_patches(
  patches: np.ndarray, patch_size: int, grid: tuple[int, int]
) -> np.ndarray:
  """Lays patches out as frames: [..., N, p*p*C] -> [..., H, W, C]."""
  *lead, _, size = patches.shape
  (h, w), p = grid, patch_size
  # [..., h, p, w, p, C] after the move
  frames = patches.reshape(*lead, h, w, p, p, size // p**2)
  frames = np.moveaxis(frames, -3, -4)
  return frames.reshape(*lead, h * p, w * p, size // p**2)


def _spread_gaps(clip: Mapping[str, Any]) -> tuple[int, ...]:
  low, high = clip['gap']
  gaps = np.linspace(low, high, clip['num_target']).round().astype(int)
  return tuple(np.unique(gaps).tolist())
