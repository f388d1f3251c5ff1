"""Rebuilding clips: worked numbers, and a model that knows the answer."""

import sys

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
  # No frame is hidden whole.
  assert np.ma.is_masked(scores['model/error_hidden_frames'])
  found = {
    key: value[0]
    for key, value in scores.items()
    if '/error' in key and not np.ma.is_masked(value)
  }
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


def test_coherence_worked_by_hand():
  # Four frames: 0.2, 0.3, 0.5, 0.5. Hidden: the left half of the first, and all
  # of the next two. The model says 0.2, 0.5, 0.4 on the left, and is right on
  # the right.
  video = np.zeros((1, 4, 16, 16, 3))
  video += np.reshape([0.2, 0.3, 0.5, 0.5], (4, 1, 1, 1))
  rebuilt = video.copy()
  rebuilt[0, :3, :, :8] = np.reshape([0.2, 0.5, 0.4], (3, 1, 1, 1))
  hidden = np.ones((1, 4, 16, 16), bool)
  hidden[0, 0, :, 8:] = hidden[0, 3] = False
  clips = {
    'video': video,
    'rebuilt': rebuilt,
    'visible': ~hidden,
    'hidden': hidden,
  }
  found = {k: v[0] for k, v in _evaluation().scores(clips).items()}
  # Changes of 0.3 for 0.1, then of -0.1 for 0.2, which half a frame gets right.
  first, second = 0.2**2, 0.3**2
  assert found['model/difference_error_hidden'] == pytest.approx(
    (first + second + 0) / 3
  )
  assert found['model/difference_error_hidden_frames'] == pytest.approx(
    (second + 0) / 2
  )
  for still in ('copy_time', 'mean_colour'):
    # The first pair is hidden on the left only, the second on both sides.
    assert found[f'{still}/difference_error_hidden'] == pytest.approx(
      (0.1**2 + 0.2**2 + 0.2**2) / 3
    )
    assert found[f'{still}/difference_error_hidden_frames'] == pytest.approx(
      0.2**2
    )


def test_what_is_never_hidden_in_a_row_is_left_out():
  evaluation = _evaluation('tube', num_batches=1)
  metrics = evaluation.run(Oracle(error=-0.001)).metrics
  assert metrics['model/difference_error_hidden'] < 1e-6
  # Two uniform numbers differ by 1/6 on average, squared.
  for still in ('copy_time', 'mean_colour'):
    found = metrics[f'{still}/difference_error_hidden']
    assert found == pytest.approx(1 / 6, rel=0.03)
  # A tube hides no whole frame, and nobody asked for flow.
  assert not [key for key in metrics if 'hidden_frames' in key]
  assert not [key for key in metrics if 'warped' in key]


def test_frames_that_are_hidden_whole_have_numbers_of_their_own():
  # The mask of R-VMAE hides one of the four slots, two frames, whole.
  metrics = _evaluation('space_time').run(Oracle(error=-0.001)).metrics
  assert metrics['model/difference_error_hidden_frames'] < 1e-6
  assert metrics['model/psnr_hidden_frames'] == pytest.approx(60, abs=0.05)
  # There mean colours stand still, and noise does not.
  found = metrics['mean_colour/difference_error_hidden_frames']
  assert found == pytest.approx(1 / 6, rel=0.05)


class _Panned:
  """A video of a smooth texture that moves right by two pixels a frame."""

  class_names = ()

  def __len__(self):
    return 1

  def __getitem__(self, index):
    y, x = np.indices((64, 64 + 16)) / 4
    texture = np.sin(x + np.sin(y)) + np.cos(0.7 * y - 0.3 * x)
    texture = np.uint8(60 * (texture[..., None] + 2) + np.zeros(3))
    frames = [texture[:, 14 - 2 * t : 78 - 2 * t] for t in range(8)]
    times_s = np.arange(8) / 8
    return {
      'path': 'panned',
      'label': -1,
      'frames': np.stack(frames),
      'timestamps_s': times_s,
    }


def _panned(monkeypatch, **settings):
  monkeypatch.setattr(
    'rvmae_jax.evals.videos.build_sources', lambda configs: [_Panned()]
  )
  videos = Videos(
    **{**_DATA, 'crop': {'size': (64, 64)}},
    patch_size=8,
    batch_size=1,
    tubelet_size=2,
  )
  return ClipReconstructionEval(
    videos=videos, flow='dense_inverse_search', **settings
  )


def test_what_moves_as_the_truth_has_its_warped_error(monkeypatch):
  pytest.importorskip('cv2', reason='the extra [flow] is not installed')
  metrics = _panned(monkeypatch, ratios=(0.5,)).run(Oracle()).metrics
  found = {
    key.split('/')[0]: value
    for key, value in metrics.items()
    if key.endswith('/warped_error_hidden')
  }
  assert found.keys() == {
    'model', 'copy_time', 'mean_colour', 'patch_mean', 'true'
  }  # fmt: skip
  assert found['model'] == pytest.approx(found['true'], rel=1e-5)
  # A tube is a still picture to copy: one colour, in which nothing moves.
  assert (
    found['copy_time'] == found['mean_colour'] == pytest.approx(0, abs=1e-9)
  )
  # Means of tubelets stay in their squares.
  assert found['true'] < 0.1 * found['patch_mean']
  # Two frames of a tubelet are alike, and the truth moves on.
  assert found['true'] < 0.1 * metrics['mean_colour/difference_error_hidden']
  # Of the run's own mask alone.
  assert not [k for k in metrics if 'ratio' in k and 'warped' in k]


def test_without_opencv_warped_errors_are_left_out(monkeypatch, caplog):
  evaluation = _panned(monkeypatch)
  monkeypatch.setitem(sys.modules, 'cv2', None)
  with caplog.at_level('WARNING'):
    metrics = evaluation.run(Oracle()).metrics
  [line] = [r for r in caplog.messages if 'Warped errors are left out' in r]
  assert 'rvmae_jax[flow]' in line
  assert 'model/difference_error_hidden' in metrics
  assert not [key for key in metrics if 'warped' in key]


def test_an_unknown_flow_is_refused():
  with pytest.raises(ValueError, match='farnebeck'):
    _evaluation(flow='farnebeck')


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
