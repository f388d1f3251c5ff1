"""Rebuilding clips: worked numbers, and a model that knows the answer."""

import numpy as np
import pytest

from rvmae_jax import visualize
from rvmae_jax.evals.clip_reconstruction import ClipReconstructionEval
from rvmae_jax.evals.videos import Videos

_NOISE = {'name': 'fake', 'num_videos': 5, 'num_frames': 8, 'size': (16, 16)}
_DATA = {
  'sources': {'noise': _NOISE},
  'clip': {'name': 'uniform', 'num_frames': 8, 'stride': 1},
  'crop': {'size': (16, 16)},
  'mask': {'name': 'tube', 'ratio': 0.75},
}


def _evaluation(mask='tube', **settings):
  data = {**_DATA, 'mask': {'name': mask, 'ratio': 0.75}}
  videos = Videos(**data, patch_size=8, batch_size=3, tubelet_size=2)
  return ClipReconstructionEval(videos=videos, **settings)


class Oracle:
  """Rebuilds the true clip, `error` too bright."""

  def __init__(self, error: float = 0.0):
    self.error = error

  def predict(self, batch):
    return {'rebuilt': batch['video'] / np.float32(255) + self.error}


def test_errors_worked_by_hand():
  # Two frames of two halves: 0.2 | 0.4, then 0.6 | 0.8. All but the right half
  # of the second is visible, and the model says 0.7 everywhere.
  video = np.zeros((1, 2, 16, 16, 3))
  video[0, 0, :, :8], video[0, 0, :, 8:] = 0.2, 0.4
  video[0, 1, :, :8], video[0, 1, :, 8:] = 0.6, 0.8
  hidden = np.zeros((1, 2, 16, 16), bool)
  hidden[0, 1, :, 8:] = True
  scores = _evaluation().scores(
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
      'patch_mean/error_hidden': 0.04,  # (0.4 + 0.8) / 2
      # A quarter of the clip is hidden, the rest stays as it is.
      'model/error_frame': 0.0025,
      'copy_time/error_frame': 0.04,
      'mean_colour/error_frame': 0.04,
      'patch_mean/error_frame': 0.01,
    }
  )


def test_known_error_gives_its_psnr():
  metrics = _evaluation().run(Oracle(error=-0.001)).metrics
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
  metrics, arrays = evaluation.run(Oracle())
  assert arrays['video'].shape == arrays['rebuilt'].shape == (2, 8, 16, 16, 3)
  # A running cell rebuilds half of the three hidden quarters.
  share = 0.75 if mask == 'tube' else 0.375
  assert (arrays['hidden'].mean((1, 2, 3)) == share).all()
  assert (arrays['visible'].mean((1, 2, 3)) == 0.25).all()
  assert not (arrays['visible'] & arrays['hidden']).any()
  (path,) = visualize.draw('clip_reconstruction', arrays, metrics, tmp_path)
  assert path.name == 'clip_reconstruction.png'


def test_mask_ratios_are_measured_besides(tmp_path):
  evaluation = _evaluation(ratios=(0.25, 0.5), num_batches=1)
  metrics, arrays = evaluation.run(Oracle(error=-0.001))
  # Fewer pixels of a frame are wrong, and each as wrong as before.
  frame, fewer = (metrics[f'{k}model/psnr_frame'] for k in ('', 'ratio_0.5/'))
  assert fewer - frame == pytest.approx(10 * np.log10(0.75 / 0.5), abs=0.05)
  paths = visualize.draw('clip_reconstruction', arrays, metrics, tmp_path)
  assert [p.name for p in paths] == ['clip_reconstruction.png', 'psnr.png']


def test_a_run_of_targets_is_sent_to_the_other_evaluation():
  clip = {'name': 'source_target', 'num_source': 2, 'num_target': 1}
  data = {**_DATA, 'clip': clip, 'mask': {'name': 'target', 'ratio': 0.75}}
  videos = Videos(**data, patch_size=8, batch_size=3)
  with pytest.raises(ValueError, match="use the evaluation 'reconstruction'"):
    ClipReconstructionEval(videos=videos)
