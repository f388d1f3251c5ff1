"""Spread between masks: worked numbers, and networks of known honesty."""

import numpy as np
import pytest
import scipy.stats
from ml_collections import ConfigDict

from rvmae_jax import visualize
from rvmae_jax.evals import build_eval
from rvmae_jax.evals.uncertainty import (
  bins,
  patch_means,
  rank_correlation,
  summarise,
)

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
      'num_target': 2,
      'gap': (1, 4),
    },
    'crop': {'size': (16, 16)},
    'mask': {'name': 'target', 'ratio': 0.75},
  }
)
_CLIP = {
  'clip': {'name': 'uniform', 'num_frames': 4},
  'mask': {'name': 'tube', 'ratio': 0.5},
}

_RUN = ConfigDict({'model': {'patch_size': 4, 'tubelet_size': 2}, 'data': {}})


def _evaluation(**settings):
  config = {'name': 'uncertainty', **settings}
  return build_eval(config, run_config=_RUN, shared=_DATA, batch_size=3)


def test_mean_and_spread_by_hand():
  # One pixel is 0.5; three masks hide it in the first frame, one in the second.
  true = np.full((1, 2, 1, 1, 3), 0.5)
  rebuilt = np.array([0.4, 0.6, 0.8])[:, None, None, None, None, None]
  rebuilt = np.broadcast_to(rebuilt, (3, *true.shape))
  hidden = np.ones((3, 1, 2, 1, 1), bool)
  hidden[1:, :, 1] = False
  found = {k: v.ravel() for k, v in summarise(true, rebuilt, hidden).items()}
  np.testing.assert_allclose(found['mean'], [0.6] * 3 + [0.5] * 3, rtol=1e-6)
  np.testing.assert_allclose(found['spread'], [0.2, np.nan], rtol=1e-6)
  np.testing.assert_allclose(found['error'], [0.1, np.nan], rtol=1e-6)
  # Errors of 0.1, 0.1 and 0.3.
  expected = np.sqrt(0.11 / 3)
  np.testing.assert_allclose(found['error_one_mask'], [expected, np.nan], 1e-6)


def test_patches_are_those_of_the_grid():
  frame = np.zeros((1, 1, 4, 4))
  frame[..., :2, 2:] = 3
  assert patch_means(frame, 2).tolist() == [[[0, 3, 0, 0]]]


def test_rank_correlation_is_spearmans():
  rng = np.random.default_rng(0)
  first = rng.integers(0, 9, 60).astype(float)
  second = first + rng.normal(0, 4, 60)
  expected = scipy.stats.spearmanr(first, second).statistic
  assert rank_correlation(first, second) == pytest.approx(expected)
  with_gap = np.append(first, np.nan), np.append(second, 1)
  assert rank_correlation(*with_gap) == pytest.approx(expected)
  assert np.isnan(rank_correlation(first, np.ones(60)))


def test_bins_rise():
  spread = np.random.default_rng(0).random((4, 2, 50))
  found = bins({'spread': spread, 'error': 2 * spread})
  np.testing.assert_allclose(found['bins_error'], 2 * found['bins_spread'])
  assert (np.diff(found['bins_spread']) > 0).all()


class Honest:
  """Is off by a random amount, of a size that each place has of its own."""

  def __init__(self, seed):
    self.rng = np.random.default_rng(seed)

  def predict(self, batch):
    true = batch.get('target', batch['video']) / np.float32(255)
    size = np.linspace(0.01, 0.2, true.shape[3])[:, None]  # By column.
    return {'rebuilt': true * 0 + 0.5 + size * self.rng.normal(size=true.shape)}


@pytest.mark.parametrize('data', [{}, _CLIP], ids=['target', 'video'])
def test_an_honest_network_is_found_out(data, tmp_path, monkeypatch):
  # A grey video: all error is the network's own.
  monkeypatch.setattr(
    'rvmae_jax.data.sources.fake.Fake.__getitem__',
    lambda self, index: {
      'path': str(index),
      'label': 0,
      'frames': np.full((8, 16, 16, 3), 128, np.uint8),
    },
  )
  evaluation = _evaluation(num_masks=6, gaps=() if data else (1, 4), data=data)
  metrics, arrays = evaluation.run(Honest(0))
  assert metrics['num_videos'] == 5
  assert metrics['rank_correlation'] > 0.8
  assert metrics['rank_correlation_in_frame'] > 0.8
  # The mean of n independent errors is n times smaller, squared; 6 masks hide
  # a pixel 4.5 or 3 times on average.
  assert 4 < metrics['psnr_mean'] - metrics['psnr_one_mask'] < 8
  assert ('gap_4/rank_correlation' in metrics) == (not data)
  paths = visualize.draw('uncertainty', arrays, metrics, tmp_path)
  assert [path.name for path in paths] == ['maps.png', 'spread.png']


def test_a_network_that_repeats_itself_has_no_spread(tmp_path):
  class Grey:
    def predict(self, batch):
      return {'rebuilt': 0.5 + 0 * batch['target'].astype(float)}

  metrics, arrays = _evaluation(num_masks=3, num_batches=1).run(Grey())
  assert metrics['mean_spread'] == 0
  # What does not exist is left out: NaN is not JSON.
  assert 'rank_correlation' not in metrics
  assert np.isfinite([*metrics.values()]).all()
  assert len(visualize.draw('uncertainty', arrays, metrics, tmp_path)) == 2
  assert metrics['psnr_mean'] == pytest.approx(metrics['psnr_one_mask'])


def test_one_mask_is_too_few():
  with pytest.raises(ValueError, match='num_masks=1: a spread needs'):
    _evaluation(num_masks=1)
