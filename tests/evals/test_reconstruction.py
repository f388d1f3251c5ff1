"""Reconstruction: worked numbers, and a model that knows the answer."""

import numpy as np
import pytest
from ml_collections import ConfigDict

from rvmae_jax.evals.reconstruction import (
  ReconstructionEval,
  clip_scores,
  frames_from_patches,
)
from rvmae_jax.evals.videos import Videos
from rvmae_jax.layers import patches

_DATA = ConfigDict(
  {
    'sources': {
      'noise': {
        'name': 'fake',
        'num_videos': 5,
        'num_frames': 8,
        'size': (16, 16),
      }
    },
    'clip': {
      'name': 'source_target',
      'num_source': 2,
      'num_target': 3,
      'gap': (1, 5),
    },
    'crop': {'size': (16, 16)},
    'mask': {'name': 'target', 'ratio': 0.75},
  }
)
_VIDEOS = Videos(_DATA, patch_size=8, batch_size=3)


class Oracle:
  """Predicts the true patches, `error` too bright."""

  def __init__(self, error: float = 0.0):
    self.error = error

  def predict(self, batch):
    target = np.asarray(patches.patchify(batch['target'], 8))
    return {'pred': target / 255 + self.error}


def test_patches_are_laid_out_as_they_were_cut():
  video = np.random.default_rng(0).random((2, 3, 16, 24, 3))
  cut = np.asarray(patches.patchify(video, 8))
  laid = frames_from_patches(cut, 8, (2, 3))
  np.testing.assert_array_equal(laid, video.astype(np.float32))


def test_errors_worked_by_hand():
  # The last frame is black on the left, white on the right; the target grey;
  # the left half is hidden; the model is right there and black elsewhere.
  last = np.zeros((1, 1, 16, 16, 3))
  last[:, :, :, 8:] = 1
  target = np.full((1, 1, 16, 16, 3), 0.6)
  rebuilt = np.zeros_like(target)
  rebuilt[:, :, :, :8] = 0.6
  hidden = np.zeros((1, 1, 16, 16), bool)
  hidden[..., :8] = True
  scores = clip_scores(
    {'video': last, 'target': target, 'rebuilt': rebuilt, 'hidden': hidden}
  )
  found = {key: value[0, 0] for key, value in scores.items() if 'error' in key}
  assert found == pytest.approx(
    {
      'model/error_hidden': 0,
      'model/error_frame': 0.36 / 2,
      'copy_last/error_hidden': 0.36,
      'copy_last/error_frame': (0.36 + 0.16) / 2,
      'mean_colour/error_hidden': 0.01,
      'mean_colour/error_frame': 0.01,
    }
  )


def test_known_error_gives_its_psnr_at_every_gap():
  evaluation = ReconstructionEval(_VIDEOS, gaps=(1, 4))
  metrics = evaluation.run(Oracle(error=-0.001))
  assert metrics['num_videos'] == 5
  for gap in (1, 4):
    # Pixels that are black anyway stay black, so the error is a little less.
    psnr = metrics[f'gap_{gap}/model/psnr_hidden']
    assert psnr == pytest.approx(60, abs=0.05)
    # Two independent uniform numbers differ by 1/6 on average, squared.
    copied = metrics[f'gap_{gap}/copy_last/psnr_hidden']
    assert copied == pytest.approx(10 * np.log10(6), abs=0.3)
    assert metrics[f'gap_{gap}/gain_db'] == pytest.approx(psnr - copied)


def test_gaps_are_spread_over_the_clips_own():
  assert ReconstructionEval(_VIDEOS).gaps == (1, 3, 5)


def test_arrays_for_pictures():
  evaluation = ReconstructionEval(_VIDEOS, num_pictures=2)
  evaluation.run(Oracle())
  arrays = evaluation.arrays
  assert arrays['video'].shape == (2, 2, 16, 16, 3)
  np.testing.assert_allclose(arrays['rebuilt'], arrays['target'], atol=1e-6)
  # Three of four 8x8 patches are hidden in each target.
  assert (arrays['hidden'].sum((2, 3)) == 3 * 64).all()
