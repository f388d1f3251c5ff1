"""Quality of features that have collapsed, and of some that have not."""

import numpy as np
import pytest
from ml_collections import ConfigDict

from rvmae_jax import visualize
from rvmae_jax.evals import build_eval
from rvmae_jax.evals.schedule import ScheduledEvals

_DATA = ConfigDict(
  {
    'sources': {
      'noise': {
        'name': 'fake',
        'num_videos': 6,
        'num_frames': 4,
        'size': (16, 16),
      }
    },
    'clip': {'name': 'uniform', 'num_frames': 2},
    'crop': {'size': (16, 16)},
    'mask': {'name': 'tube', 'ratio': 0.75},
  }
)

_RUN = ConfigDict({'model': {'patch_size': 8}, 'data': {}})


def _evaluation(**settings):
  config = {'name': 'feature_quality', **settings}
  return build_eval(config, run_config=_RUN, shared=_DATA, batch_size=4)


class Functions:
  """Each video gets a direction of its own, or all get the same."""

  def __init__(self, collapsed: bool):
    self.collapsed = collapsed
    self.num_seen = 0

  def encode(self, video):
    rows, frames = video.shape[:2]
    numbers = self.num_seen + np.arange(rows)
    self.num_seen += rows
    features = np.eye(16)[0 * numbers if self.collapsed else numbers]
    return np.broadcast_to(features[:, None, None], (rows, frames, 5, 16))


def test_a_collapse_is_seen():
  metrics = _evaluation().run(Functions(collapsed=True)).metrics
  # Padding of the last batch is no video.
  assert metrics.pop('num_videos') == 6
  assert metrics == pytest.approx(
    {
      'videos/rank': 1,
      'videos/rank_share': 1 / 6,
      'videos/std': 0,
      'videos/std_lowest': 0,
      'videos/cosine': 1,
      'tokens/rank': 1,
      'tokens/rank_share': 1 / 16,
      'tokens/std': 0,
      'tokens/std_lowest': 0,
      'tokens/cosine': 1,
    },
    abs=1e-6,
  )


def test_a_direction_for_each_video_has_full_rank(tmp_path):
  evaluation = _evaluation(num_tokens=3)
  metrics, arrays = evaluation.run(Functions(collapsed=False))
  assert metrics['videos/rank'] == pytest.approx(6)
  assert metrics['videos/cosine'] == 0
  # Six of the 16 dimensions are 1 for one of six videos: 4 sqrt(5) / 6.
  expected = 6 / 16 * 4 * np.sqrt(5) / 6
  assert metrics['videos/std'] == pytest.approx(expected)
  # Of 18 tokens each has 2 like it among the other 17.
  assert metrics['tokens/cosine'] == pytest.approx(2 / 17)
  [path] = visualize.draw('feature_quality', arrays, metrics, tmp_path)
  assert path.name == 'spectrum.png'


def test_one_batch_can_be_enough():
  metrics = _evaluation(num_batches=1).run(Functions(collapsed=False)).metrics
  assert metrics['num_videos'] == 4


def test_it_runs_beside_training():
  entry = {'name': 'feature_quality', 'every_steps': 2, 'num_batches': 1}
  evaluations = ScheduledEvals(
    {'quality': entry},
    total_steps=9,
    run_config=_RUN,
    shared=_DATA,
    batch_size=4,
  )
  due = [evaluations.due(step) for step in (1, 2, 9)]
  assert due == [[], ['quality'], ['quality']]
  numbers = evaluations.run(Functions(collapsed=True), 2, due[1])
  assert numbers['quality/videos/rank'] == pytest.approx(1)
