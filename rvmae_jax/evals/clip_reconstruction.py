"""Reconstruction of clips: how well hidden tubelets are rebuilt."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from absl import logging

from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.evals.reconstruction import frames_from_patches
from rvmae_jax.evals.videos import Videos
from rvmae_jax.metrics.image import psnr, ssim_map


class ClipReconstructionEval:
  """PSNR and SSIM of rebuilt tubelets beside two that learned nothing.

  For each of three methods, `model`, `copy_time` (the mean of the same place in
  frames that show it, else the mean colour) and `mean_colour` (of all visible
  pixels): PSNR and SSIM on what is hidden and to be rebuilt. PSNR is that of
  the mean error over all clips. A model of normalised patches is given their
  true mean and scale, which the other two are not.

  Args:
    videos: what to read; needs a mask of `video`.
    num_batches: stop after so many, in the order of the sources; 0 takes all.
    num_pictures: clips whose arrays are kept.
  """

  def __init__(
    self, videos: Videos, *, num_batches: int = 0, num_pictures: int = 2
  ):
    self.videos = videos
    self.num_batches, self.num_pictures = num_batches, num_pictures
    self.arrays: dict[str, np.ndarray] = {}

  def run(self, functions: ModelFunctions, step: int = 0) -> dict[str, float]:
    """Numbers as `model/psnr_hidden`, and `gain_db`.

    The gain is the model's PSNR less that of the better of the other two.
    Arrays kept, in [0, 1] or bool: `video` and `rebuilt` [n, T, H, W, 3],
    `visible` and `hidden` [n, T, H, W].
    """
    del step
    kept, scores, num_videos = [], [], 0
    for batch in self.videos.batches(self.num_batches):
      clips = self._clips(batch, np.asarray(functions.predict(batch)['pred']))
      scores.append(clip_scores(clips))
      if num_videos < self.num_pictures:
        kept.append(clips)
      num_videos += len(clips['video'])
    if not num_videos:
      logging.info('Reconstruction skipped: no video could be decoded.')
      return {}
    self.arrays = {
      key: np.concatenate([clips[key] for clips in kept])[: self.num_pictures]
      for key in kept[0]
    }
    metrics = {'num_videos': num_videos}
    for key in scores[0]:
      mean = np.concatenate([score[key] for score in scores]).mean()
      is_error = 'error' in key
      key = key.replace('error', 'psnr')
      metrics[key] = psnr(mean) if is_error else float(mean)
    others = (metrics[f'{m}/psnr_hidden'] for m in ('copy_time', 'mean_colour'))
    metrics['gain_db'] = metrics['model/psnr_hidden'] - max(others)
    return metrics

  def _clips(
    self, batch: Mapping[str, Any], pred: np.ndarray
  ) -> dict[str, np.ndarray]:
    """Frames of the valid rows as floats, and what is seen and rebuilt."""
    valid = batch['valid']
    p, z = self.videos.patch_size, self.videos.tubelet_size
    height, width = batch['video'].shape[2:4]
    grid = height // p, width // p

    def pixels_at(ids):  # [B, ...] -> [B, T, H, W]
      at = np.zeros((*pred.shape[:2], z * p * p), bool)
      rows = np.arange(len(ids))[:, None]
      at[rows, ids.reshape(len(ids), -1)] = True
      return frames_from_tubelets(at[valid], p, z, grid)[..., 0]

    visible = pixels_at(batch['ids_keep'])
    rebuilt = frames_from_tubelets(pred[valid], p, z, grid)
    return {
      'video': batch['video'][valid] / np.float32(255),
      'rebuilt': rebuilt.clip(0, 1),
      'visible': visible,
      'hidden': pixels_at(batch['ids_mask']) & ~visible,
    }


def clip_scores(clips: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Errors and similarities of the three methods.

  Args:
    clips: `video` and `rebuilt` [B, T, H, W, 3] in [0, 1], `visible` and
      `hidden` [B, T, H, W] bool.

  Returns:
    `<method>/error_hidden` and `<method>/ssim_hidden`, each [B].
  """
  video, hidden = clips['video'], clips['hidden']
  seen = clips['visible'][..., None].astype(video.dtype)

  def mean_seen(axes):
    count = seen.sum(axes, keepdims=True)
    return (video * seen).sum(axes, keepdims=True) / np.maximum(count, 1), count

  mean_colour, _ = mean_seen((1, 2, 3))
  still, times_seen = mean_seen((1,))
  guesses = {
    'model': clips['rebuilt'],
    'copy_time': np.where(times_seen, still, mean_colour),
    'mean_colour': mean_colour,
  }

  def mean_hidden(values):  # [B, T, H, W] -> [B]
    return (values * hidden).sum((1, 2, 3)) / hidden.sum((1, 2, 3))

  scores = {}
  for method, guess in guesses.items():
    guess = np.broadcast_to(guess, video.shape)
    error = np.square(guess - video).mean(-1)
    scores[f'{method}/error_hidden'] = mean_hidden(error)
    scores[f'{method}/ssim_hidden'] = mean_hidden(ssim_map(guess, video))
  return scores


def frames_from_tubelets(
  tubelets: np.ndarray,
  patch_size: int,
  tubelet_size: int,
  grid: tuple[int, int],
) -> np.ndarray:
  """Lays tubelets out: [B, t*h*w, z*p*p*C] -> [B, T, H, W, C]."""
  batch_size, _, size = tubelets.shape
  places = grid[0] * grid[1]
  # [B, t, h*w, z, p*p*C]
  patches = tubelets.reshape(
    batch_size, -1, places, tubelet_size, size // tubelet_size
  )
  # -> [B, t, z, h*w, p*p*C] -> [B, T, h*w, p*p*C]
  patches = np.moveaxis(patches, 3, 2)
  patches = patches.reshape(batch_size, -1, places, size // tubelet_size)
  return frames_from_patches(patches, patch_size, grid)
