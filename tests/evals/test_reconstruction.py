"""Reconstruction: worked numbers, and a model that knows the answer."""

import numpy as np
import pytest

from rvmae_jax import visualize
from rvmae_jax.evals.reconstruction import ReconstructionEval
from rvmae_jax.evals.recurrence import RecurrenceEval
from rvmae_jax.evals.uncertainty import UncertaintyEval
from rvmae_jax.evals.videos import Videos

_DATA = {
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
_VIDEOS = Videos(**_DATA, patch_size=8, batch_size=3)


class Oracle:
  """Rebuilds the true frames, `error` too bright."""

  def __init__(self, error: float = 0.0):
    self.error = error

  def predict(self, batch):
    return {'rebuilt': batch['target'] / np.float32(255) + self.error}

  def perceptual_distance(self, first, second, network):
    assert network == 'own'
    return np.abs(first - second).mean((1, 2, 3))


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
  scores = ReconstructionEval(videos=_VIDEOS, gaps=(1,)).scores(
    {'video': last, 'target': target, 'rebuilt': rebuilt, 'hidden': hidden}
  )
  found = {key: value[0, 0] for key, value in scores.items() if '/error' in key}
  # No frame is hidden whole.
  whole = [found.pop(key) for key in [*found] if key.endswith('hidden_frames')]
  assert len(whole) == 3 and np.isnan(whole).all()
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


def test_coherence_is_of_gaps_that_follow_each_other():
  # 1 and 2 do, 2 and 4 do not. The truth goes from 0.2 over 0.5 to 0.9, the
  # model from 0.2 over 0.4, half of each frame hidden.
  evaluation = ReconstructionEval(videos=_VIDEOS, gaps=(1, 2, 4))
  target = np.zeros((1, 3, 16, 16, 3))
  target += np.reshape([0.2, 0.5, 0.9], (3, 1, 1, 1))
  rebuilt = target.copy()
  rebuilt[0, 1] = 0.4
  rebuilt[:, :, :, 8:] = 0  # seen, and so of no account
  hidden = np.zeros((1, 3, 16, 16), bool)
  hidden[..., :8] = True
  clips = {'video': target, 'target': target, 'rebuilt': rebuilt}
  means = {
    key: values.mean(0)
    for key, values in evaluation.scores({**clips, 'hidden': hidden}).items()
  }
  found = {k: v for k, v in evaluation.metrics(means).items() if 'differ' in k}
  assert found == pytest.approx(
    {
      'gap_2/model/difference_error_hidden': 0.01,
      'gap_2/copy_last/difference_error_hidden': 0.09,
      'gap_2/mean_colour/difference_error_hidden': 0.09,
    }
  )


def test_known_error_gives_its_psnr_at_every_gap():
  evaluation = ReconstructionEval(videos=_VIDEOS, gaps=(1, 4))
  metrics = evaluation.run(Oracle(error=-0.001)).metrics
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
  assert ReconstructionEval(videos=_VIDEOS).gaps == (1, 3, 5)


def test_arrays_for_pictures():
  evaluation = ReconstructionEval(videos=_VIDEOS, num_pictures=2)
  _, arrays = evaluation.run(Oracle())
  assert arrays['video'].shape == (2, 2, 16, 16, 3)
  np.testing.assert_allclose(arrays['rebuilt'], arrays['target'], atol=1e-6)
  # Three of four 8x8 patches are hidden in each target.
  assert (arrays['hidden'].sum((2, 3)) == 3 * 64).all()


def test_mask_ratios_are_measured_besides(tmp_path):
  evaluation = ReconstructionEval(
    videos=_VIDEOS, gaps=(1, 4), ratios=(0.25, 0.5), perceptual='own'
  )
  hidden = []

  class Half(Oracle):
    """The more it sees, the better: half as bright where all is hidden."""

    def predict(self, batch):
      share = batch['ids_mask'].shape[-1] / 4
      hidden.append(share)
      target = batch['target'] / np.float32(255)
      return {'rebuilt': target * (1 - share / 2)}

  metrics, arrays = evaluation.run(Half())
  assert hidden == [0.75] * 2 + [0.25] * 2 + [0.5] * 2
  psnr = [
    metrics[f'{prefix}gap_4/model/psnr_hidden']
    for prefix in ('ratio_0.25/', 'ratio_0.5/', '')
  ]
  # Errors grow with the square of the share: 6.02 and 3.52 dB.
  assert np.diff(psnr) == pytest.approx([-6.02, -3.52], abs=0.2)
  # A mean pixel of 1/2, times half of the share.
  for prefix, share in (('ratio_0.25/', 0.25), ('', 0.75)):
    distance = metrics[f'{prefix}gap_1/model/perceptual_frame']
    assert distance == pytest.approx(share / 4, rel=0.02)
  # The last is that of the run, which pictures show.
  assert (arrays['hidden'].mean((2, 3)) == 0.75).all()
  paths = visualize.draw('reconstruction', arrays, metrics, tmp_path)
  assert [p.name for p in paths] == ['reconstruction.png', 'psnr.png']


def test_a_run_of_clips_is_sent_to_the_other_evaluation():
  videos = _VIDEOS.replace(
    clip={'name': 'uniform', 'num_frames': 4},
    mask={'name': 'tube', 'ratio': 0.5},
  )
  with pytest.raises(ValueError, match="use the evaluation 'clip_reconstruct"):
    ReconstructionEval(videos=videos)
  with pytest.raises(ValueError, match=r'data\.mask is empty'):
    ReconstructionEval(videos=_VIDEOS.replace(mask={}))


def test_gaps_of_a_clip_that_leaves_them_open_are_the_samplers():
  clip = {'name': 'source_target', 'num_source': 2}
  # Four from 4 to 48.
  evaluation = ReconstructionEval(videos=_VIDEOS.replace(clip=clip))
  assert evaluation.gaps == (4, 19, 33, 48)


@pytest.mark.parametrize(
  'kind', [ReconstructionEval, RecurrenceEval, UncertaintyEval]
)
def test_no_pictures_at_all_are_refused_at_the_start(kind):
  with pytest.raises(ValueError, match='num_pictures=0 must be at least 1'):
    kind(videos=_VIDEOS, num_pictures=0)


def test_clips_played_otherwise_in_training_are_asked_as_they_are():
  playback = {'name': 'playback', 'speed': (0.5, 2), 'clip': _VIDEOS.clip}
  videos = _VIDEOS.replace(clip=playback)
  plain, played = (
    ReconstructionEval(videos=v).run(Oracle(error=-0.01))
    for v in (_VIDEOS, videos)
  )
  assert played.metrics == plain.metrics
  assert UncertaintyEval(videos=videos).gaps == (1, 3, 5)
  recurrence = RecurrenceEval(videos=videos, num_frames=3)
  changes = {'num_source': 3, 'num_target': 1, 'gaps': (1,)}
  assert recurrence.videos.clip == _VIDEOS.clip | changes
