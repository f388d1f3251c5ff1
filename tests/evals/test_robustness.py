"""Robustness of features that are known to see, or not to see, a corruption."""

import numpy as np
import pytest
from ml_collections import ConfigDict

from rvmae_jax import visualize
from rvmae_jax.evals import build_eval

_DATA = ConfigDict(
  {
    'sources': {
      'noise': {
        'name': 'fake',
        'num_videos': 40,
        'num_frames': 8,
        'size': (16, 16),
        'num_classes': 2,
      }
    },
    'clip': {'name': 'uniform', 'num_frames': 8},
    'crop': {'size': (16, 16)},
  }
)

_RUN = ConfigDict({'model': {'patch_size': 8}, 'data': {}})


def _evaluation(**settings):
  config = {'name': 'robustness', 'train': {}, 'test': {}, 'pooling': 'mean'}
  return build_eval(
    {**config, **settings}, run_config=_RUN, shared=_DATA, batch_size=16
  )


class Functions:
  """Features that know which video it is, and besides its mean or its order."""

  def __init__(self, sees_order: bool):
    self.sees_order = sees_order
    self.cache = {}

  def encode(self, video):
    raise AssertionError('Poolings are enough.')

  def pooled(self, video, poolings):
    frames = video.astype(np.float64).mean((2, 3))  # [B, T, 3]
    if self.sees_order:
      frames = frames * np.arange(frames.shape[1])[:, None]
    return dict.fromkeys(poolings, frames.mean(1))


def test_features_without_time_do_not_notice_the_order_of_frames(tmp_path):
  evaluation = _evaluation(
    corruptions=('frame_shuffle', 'frame_reverse', 'occlusion'),
    severities=(1, 5),
  )
  metrics, arrays = evaluation.run(Functions(sees_order=False))
  assert metrics['clean/num_videos'] == 40
  for name in ('frame_shuffle', 'frame_reverse'):
    assert metrics[f'similarity/{name}/severity_5'] == pytest.approx(1)
    assert metrics[f'top1/{name}/severity_5'] == metrics['clean/top1']
  similarity = arrays['similarity']
  assert similarity[2, 1] < similarity[2, 0] < 0.97
  assert metrics['similarity/occlusion/mean'] == pytest.approx(
    similarity[2].mean()
  )
  paths = visualize.draw('robustness', arrays, metrics, tmp_path)
  assert [p.name for p in paths] == ['robustness.png', 'corruptions.png']


def test_features_of_order_do():
  evaluation = _evaluation(corruptions=('frame_reverse',), severities=(1, 5))
  metrics, arrays = evaluation.run(Functions(sees_order=True))
  assert metrics['similarity/frame_reverse/severity_5'] < 0.5
  assert arrays['examples'].shape == (1, 3, 16, 16, 3)


def test_videos_without_labels_have_none():
  source = {**_DATA.sources.noise, 'num_classes': 0}
  unlabelled = {'sources': {'noise': source}}
  assert _evaluation(data=unlabelled).run(Functions(False)).metrics == {}


def test_features_that_are_not_finite_are_refused():
  functions = Functions(False)
  functions.pooled = lambda video, poolings: dict.fromkeys(
    poolings, np.full((len(video), 3), np.nan)
  )
  with pytest.raises(ValueError, match='features of 40 of 40 videos are not'):
    _evaluation().run(functions)


def test_an_unknown_corruption_is_answered_before_anything_is_read():
  with pytest.raises(ValueError, match=r"'occlusoin'.*'occlusion'"):
    _evaluation(corruptions=('occlusoin',))
