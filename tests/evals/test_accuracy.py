"""Accuracy of a classifier whose answers are known."""

import numpy as np
import pytest
from ml_collections import ConfigDict

from rvmae_jax.evals import build_eval
from rvmae_jax.evals.accuracy import AccuracyEval
from rvmae_jax.evals.videos import Videos

_DATA = {
  'sources': {
    'noise': {
      'name': 'fake',
      'num_videos': 5,
      'num_frames': 8,
      'size': (16, 16),
      'num_classes': 2,
    }
  },
  'clip': {'name': 'uniform', 'num_frames': 4, 'stride': 1},
  'crop': {'size': (16, 16)},
}


def _evaluation(changes=None, **settings):
  data = {**_DATA, **(changes or {})}
  videos = Videos(**data, patch_size=8, batch_size=2)
  return AccuracyEval(videos=videos, **settings)


class Oracle:
  """Knows the class of each video, but is wrong about the first of a batch."""

  def predict(self, batch):
    assert 'ids_keep' not in batch
    logits = 2.0 * np.eye(3)[batch['label']]
    logits[0] = [0, 0, 1]
    return {'logits': logits}


def test_accuracy_by_hand():
  evaluation = _evaluation()
  metrics, arrays = evaluation.run(Oracle())
  labels = arrays['labels']
  # Batches of 2, 2 and 1 video and a row of padding: 2 of 5 are right.
  assert metrics['num_videos'] == len(labels) == 5
  assert metrics['top1'] == pytest.approx(2 / 5)
  assert metrics['chance'] == max(labels.mean(), 1 - labels.mean())
  assert 'top5' not in metrics
  np.testing.assert_allclose(arrays['scores'].sum(1), 1, rtol=1e-6)


def test_probabilities_of_views_are_averaged():
  class Views:
    """Sure of class 0 once, then twice rather of class 1."""

    logits = iter([[4.0, 0.0], [0.0, 1.0], [0.0, 1.0]])

    def predict(self, batch):
      return {'logits': np.array([next(self.logits)] * len(batch['label']))}

  data = {'crop': {'size': (16, 32)}}
  evaluation = _evaluation(data, num_crops=3, num_batches=1)
  _, arrays = evaluation.run(Views())
  # (0.98201 + 2 * 0.26894) / 3
  np.testing.assert_allclose(arrays['scores'][:, 0], 0.506631, 1e-4)


def test_videos_without_labels_are_left_alone():
  source = {**_DATA['sources']['noise'], 'num_classes': 0}
  data = {'sources': {'noise': source}}
  assert _evaluation(data).run(Oracle()).metrics == {}


def test_a_label_that_the_network_has_no_place_for_is_refused():
  class Two:
    def predict(self, batch):
      return {'logits': np.zeros((len(batch['label']), 2))}

  source = {**_DATA['sources']['noise'], 'num_classes': 3}
  with pytest.raises(ValueError, match='labels up to 2, but the network has 2'):
    _evaluation({'sources': {'noise': source}}).run(Two())


@pytest.mark.parametrize('side', [16, 24])
def test_a_classifier_is_asked_as_it_was_trained_unless_told(side):
  clip = {'name': 'uniform', 'num_frames': 6}
  run = {'model': {'name': 'rvm', 'patch_size': 8}, 'data': {**_DATA}}
  run['data'] |= {'clip': clip, 'crop': {'size': (side, side)}}
  data = {'sources': _DATA['sources']}
  settings = {'run_config': ConfigDict(run), 'batch_size': 2}
  entry = {'name': 'accuracy', 'data': data}
  asked = build_eval(entry, **settings)
  assert dict(asked.videos.clip) == clip
  assert tuple(asked.videos.crop['size']) == (side, side)
  entry['data'] = {**data, 'clip': _DATA['clip']}
  told = build_eval(entry, **settings, shared={'crop': {'size': (8, 8)}})
  assert dict(told.videos.clip) == _DATA['clip']
  assert tuple(told.videos.crop['size']) == (8, 8)
