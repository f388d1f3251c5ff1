"""Retrieval: searches worked by hand, chance, and the sheet of neighbours."""

import numpy as np
import pytest

from rvmae_jax import visualize
from rvmae_jax.evals.retrieval import RetrievalEval
from rvmae_jax.evals.videos import Videos
from rvmae_jax.visualize.retrieval import draw_neighbours


def _videos(split, num_classes=3):
  source = {'name': 'fake', 'num_frames': 8, 'size': (16, 16)}
  source |= {'num_videos': 12, 'num_classes': num_classes, 'split': split}
  return Videos(
    sources={'noise': source},
    clip={'name': 'uniform', 'num_frames': 8},
    crop={'size': (16, 16)},
    patch_size=8,
    batch_size=5,
  )


def _evaluation(**settings):
  return RetrievalEval(poolings=('mean',), **settings)


_PAIR = {'test': _videos('test'), 'train': _videos('val')}


def test_search_worked_by_hand():
  queries, query_labels = np.array([[2.0, 0], [0, 3]]), np.array([0, 1])
  gallery = np.array([[0.6, 0.8], [5, 0.1], [-1, 0]])
  gallery_labels = np.array([0, 1, 1])
  evaluation = _evaluation(**_PAIR, recall_at=(1, 2))
  numbers, nearest = evaluation.search(
    queries, query_labels, gallery, gallery_labels
  )
  assert nearest.tolist() == [[1, 0, 2], [0, 1, 2]]
  # Places of what is right: second; second and third.
  assert numbers == pytest.approx(
    {
      'recall_at_1': 0,
      'recall_at_2': 1,
      'map': (1 / 2 + (1 / 2 + 2 / 3) / 2) / 2,
    }
  )


def test_a_query_does_not_find_itself():
  features, labels = np.array([[1.0, 0], [1, 0.1], [0, 1]]), np.array([0, 0, 1])
  evaluation = _evaluation(
    test=_videos('test'), recall_at=(1, 2), num_neighbours=1
  )
  numbers, nearest = evaluation.search(features, labels, features, labels)
  assert nearest.tolist() == [[1], [0], [1]]
  # The third has no other of its class.
  assert numbers == pytest.approx(
    {'recall_at_1': 2 / 3, 'recall_at_2': 2 / 3, 'map': 2 / 3}
  )


def test_perfect_features_find_all_and_random_ones_chance():
  labels = np.arange(400) % 8
  perfect, _ = _evaluation(**_PAIR).search(
    np.eye(8)[labels], labels, np.eye(8), np.arange(8)
  )
  assert set(perfect.values()) == {1}
  noise = np.random.default_rng(0).normal(size=(400, 16))
  found, _ = _evaluation(test=_videos('test')).search(
    noise, labels, noise, labels
  )
  # 49 of 399 are of the class; three standard errors of 400 answers.
  assert found['recall_at_1'] == pytest.approx(49 / 399, abs=0.05)
  assert found['map'] == pytest.approx(0.13, abs=0.02)


class Brightness:
  """A network whose features are the mean colours of a clip."""

  def __init__(self):
    self.cache = {}

  def encode(self, video):
    raise AssertionError('nobody asked for tokens')

  def pooled(self, video, poolings):
    return dict.fromkeys(poolings, video.mean((1, 2, 3)) - 127)


@pytest.mark.parametrize(
  ('gallery', 'size'),
  [(None, 11), (_videos('val'), 12)],
)
def test_videos_look_for_videos(gallery, size, tmp_path):
  evaluation = _evaluation(test=_videos('test'), train=gallery)
  metrics, arrays = evaluation.run(Brightness())
  assert metrics['num_queries'] == 12
  assert metrics['num_gallery'] == size
  # All of a class lie among the first 20.
  assert metrics['trained/mean/recall_at_20'] == 1
  assert metrics['chance/recall_at_20'] == 1
  assert metrics['chance/recall_at_1'] == pytest.approx(
    (4 if gallery else 3) / size
  )
  assert arrays['query_frames'].shape == (5, 4, 16, 16, 3)
  assert arrays['neighbour_frames'].shape == (5, 5, 4, 16, 16, 3)
  assert arrays['class_names'].tolist() == ['class_0', 'class_1', 'class_2']
  if not gallery:
    queries = arrays['query_frames'][:, None]
    is_itself = (arrays['neighbour_frames'] == queries).all((2, 3, 4, 5))
    assert not is_itself.any()
  paths = visualize.draw('retrieval', arrays, metrics, tmp_path)
  assert [path.name for path in paths] == ['recalls.png', 'neighbours.png']


def test_videos_without_labels_find_nothing():
  evaluation = _evaluation(test=_videos('test', num_classes=0))
  assert evaluation.run(Brightness()).metrics == {}


@pytest.mark.parametrize(
  ('encoders', 'message'),
  [
    (('trained', 'pixel'), "encoder 'pixel'"),
    ((), 'No encoders'),
  ],
)
def test_encoders_that_cannot_be_are_refused_before_anything_is_read(
  encoders, message
):
  with pytest.raises(ValueError, match=message):
    _evaluation(test=_videos('test'), encoders=encoders)


def test_a_class_that_the_gallery_lacks_is_drawn_with_its_name():
  frames = np.zeros((1, 2, 8, 8, 3), np.uint8)
  labels = np.array([3]), np.array([[0]])
  for names, title in (('abcd', 'query: d'), ('abc', 'query: 3')):
    figure = draw_neighbours(frames, frames[:, None], *labels, list(names))
    assert figure.axes[0].get_title() == title
