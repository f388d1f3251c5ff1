"""Rebuilding clips: worked numbers, and a model that knows the answer."""

import numpy as np
import pytest
from ml_collections import ConfigDict

from rvmae_jax import visualize
from rvmae_jax.evals.clip_reconstruction import (
  ClipReconstructionEval,
  clip_scores,
  frames_from_tubelets,
)
from rvmae_jax.evals.videos import Videos
from rvmae_jax.layers import patches

_NOISE = {'name': 'fake', 'num_videos': 5, 'num_frames': 8, 'size': (16, 16)}
_DATA = {
  'sources': {'noise': _NOISE},
  'clip': {'name': 'uniform', 'num_frames': 8, 'stride': 1},
  'crop': {'size': (16, 16)},
  'mask': {'name': 'tube', 'ratio': 0.75},
}


def _evaluation(mask='tube'):
  data = ConfigDict({**_DATA, 'mask': {'name': mask, 'ratio': 0.75}})
  return ClipReconstructionEval(
    Videos(data, patch_size=8, batch_size=3, tubelet_size=2)
  )


class Oracle:
  """Predicts the true tubelets, `error` too bright."""

  def __init__(self, error: float = 0.0):
    self.error = error

  def predict(self, batch):
    video = np.asarray(patches.patchify_clip(batch['video'], 8, 2))
    return {'pred': video / 255 + self.error}


def test_tubelets_are_laid_out_as_they_were_cut():
  video = np.random.default_rng(0).random((2, 6, 16, 24, 3), np.float32)
  cut = np.asarray(patches.patchify_clip(video, 8, 2))
  np.testing.assert_array_equal(frames_from_tubelets(cut, 8, 2, (2, 3)), video)


def test_errors_worked_by_hand():
  # Two frames of two halves: 0.2 | 0.4, then 0.6 | 0.8. All but the right half
  # of the second is visible, and the model says 0.7 everywhere.
  video = np.zeros((1, 2, 16, 16, 3))
  video[0, 0, :, :8], video[0, 0, :, 8:] = 0.2, 0.4
  video[0, 1, :, :8], video[0, 1, :, 8:] = 0.6, 0.8
  hidden = np.zeros((1, 2, 16, 16), bool)
  hidden[0, 1, :, 8:] = True
  scores = clip_scores(
    {
      'video': video,
      'rebuilt': np.full_like(video, 0.7),
      'visible': ~hidden,
      'hidden': hidden,
    }
  )
  found = {key: value[0] for key, value in scores.items() if 'error' in key}
  assert found == pytest.approx(
    {
      'model/error_hidden': 0.01,
      'copy_time/error_hidden': 0.16,  # 0.4 in the other frame
      'mean_colour/error_hidden': 0.16,  # (0.2 + 0.4 + 0.6) / 3
    }
  )


def test_known_error_gives_its_psnr():
  metrics = _evaluation().run(Oracle(error=-0.001))
  assert metrics['num_videos'] == 5
  assert metrics['model/psnr_hidden'] == pytest.approx(60, abs=0.05)
  # Uniform noise has a variance of 1/12: 10.8 dB. A tube shows no other frame.
  assert metrics['mean_colour/psnr_hidden'] == pytest.approx(10.8, abs=0.1)
  assert metrics['copy_time/psnr_hidden'] == metrics['mean_colour/psnr_hidden']
  gain = metrics['model/psnr_hidden'] - metrics['mean_colour/psnr_hidden']
  assert metrics['gain_db'] == pytest.approx(gain)


@pytest.mark.parametrize('mask', ['tube', 'running_cell'])
def test_arrays_show_what_is_seen_and_rebuilt(mask, tmp_path):
  evaluation = _evaluation(mask)
  metrics = evaluation.run(Oracle())
  arrays = evaluation.arrays
  assert arrays['video'].shape == arrays['rebuilt'].shape == (2, 8, 16, 16, 3)
  # A running cell rebuilds half of the three hidden quarters.
  share = 0.75 if mask == 'tube' else 0.375
  assert (arrays['hidden'].mean((1, 2, 3)) == share).all()
  assert (arrays['visible'].mean((1, 2, 3)) == 0.25).all()
  assert not (arrays['visible'] & arrays['hidden']).any()
  (path,) = visualize.draw('clip_reconstruction', arrays, metrics, tmp_path)
  assert path.name == 'clip_reconstruction.png'
