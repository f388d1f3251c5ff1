"""Localization from videos to mAP: steps, perfect features, folds, tables."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rvmae_jax.data.localization.untrimmed import UntrimmedVideo
from rvmae_jax.evals import localization
from rvmae_jax.evals.features import make_encoder
from rvmae_jax.evals.localization import LocalizationEval
from rvmae_jax.evals.videos import Videos
from rvmae_jax.visualize.localization import (
  draw_timelines,
  localization_figures,
)

_VIDEOS = Videos(crop={'size': (8, 8)}, patch_size=8, batch_size=1)
_COLOURS = np.eye(4, 3, dtype=np.uint8) * 200  # Red, green, blue; and black.


class Colour:
  """A network whose features are the colour of a frame."""

  is_recurrent = False
  num_prefix_tokens = 0

  def __init__(self):
    self.cache = {}

  def encode(self, video):
    return video.mean((2, 3), dtype=np.float32)[:, :, None]


def _compose(root, num_videos, subset, seed):
  """Folders of images: a colour for each class, black between; and the truth.

  30 images are a second.
  """
  rng = np.random.default_rng(seed)
  database = {}
  for number in range(num_videos):
    name, frames, annotations = f'{subset}_{number}', [], []
    for _ in range(3):
      gap, length = rng.integers(4, (8, 20)) + (0, 4)
      label = int(rng.integers(3))
      start = len(frames) + int(gap)
      frames += [3] * int(gap) + [label] * int(length)
      segment = [start / 30, len(frames) / 30]
      annotations.append({'label': 'RGB'[label], 'segment': segment})
    database[name] = {'subset': subset, 'annotations': annotations}
    (root / name).mkdir()
    for place, label in enumerate([*frames, 3, 3, 3]):
      frame = np.broadcast_to(_COLOURS[label], (8, 8, 3))
      Image.fromarray(frame).save(root / name / f'{place:03d}.png')
  return database


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
  root = tmp_path_factory.mktemp('composed')
  database = _compose(root, 8, 'training', 2) | _compose(root, 5, 'test', 1)
  path = root / 'annotations.json'
  path.write_text(json.dumps({'database': database}))
  return {'name': 'activitynet', 'path': str(path)}


def _of_subsets(dataset, **settings):
  return LocalizationEval(
    videos=_VIDEOS,
    dataset=dataset,
    train={'subset': 'training'},
    test={'subset': 'test'},
    encoders=('trained',),
    **settings,
  )


def test_perfect_features_give_1_from_file_to_table(dataset):
  evaluation = _of_subsets(
    dataset,
    thresholds=(0.3, 0.5),
    head={'width': 16, 'num_blocks': 3, 'crop': 32, 'num_steps': 200},
  )
  metrics, arrays = evaluation.run(Colour())
  assert metrics.pop('trained/map_50') > 0.98
  assert metrics.pop('trained/map_30') > 0.98
  assert metrics.pop('trained/mean_map') > 0.98
  assert metrics == {
    'num_train': 8, 'num_test': 5, 'num_segments': 15, 'num_classes': 3
  }  # fmt: skip
  # The surest proposal of each video is one of its segments.
  for number in range(5):
    found = arrays['detections'][arrays['detections'][:, 1] == number]
    true = arrays['truth'][arrays['truth'][:, 0] == number]
    start_s, end_s, label = found[found[:, 5].argmax(), 2:5]
    [row] = true[(true[:, 3] == label) & (abs(true[:, 1] - start_s) < 0.1)]
    assert abs(row[2] - end_s) < 0.1
  [figure] = localization_figures(arrays, metrics).values()
  figure.draw_without_rendering()
  assert [axes.get_title(loc='left') for axes in figure.axes] == [
    'test_0', 'test_1', 'test_2'
  ]  # fmt: skip


class Memory:
  """A head that finds a whole video, if it did not learn from it."""

  def __init__(self, *, num_classes, seed):
    self.num_classes = num_classes

  def fit(self, features, truths):
    self._seen = [len(rows) for rows in features]
    return self, None

  def __call__(self, features):
    scores = np.zeros((len(features), self.num_classes))
    scores[len(features) // 2] = len(features) not in self._seen
    return scores, np.ones((len(features), 2))


def test_no_head_learns_from_the_fold_that_it_is_asked_about(
  dataset, monkeypatch
):
  monkeypatch.setattr(localization, 'LocalizationHead', Memory)
  settings = {'videos': _VIDEOS, 'dataset': dataset, 'encoders': ('trained',)}
  evaluation = LocalizationEval(
    test={'subset': 'training'}, num_folds=3, **settings
  )
  metrics, arrays = evaluation.run(Colour())
  assert metrics['num_train'] == metrics['num_test'] == 8
  lengths = arrays['duration_s']
  assert len(np.unique(lengths)) == 8  # By which `Memory` tells them apart.
  assert set(arrays['detections'][:, 1]) == set(range(8))
  with pytest.raises(ValueError, match='too few for num_folds=9'):
    LocalizationEval(test={'subset': 'training'}, num_folds=9, **settings).run(
      Colour()
    )
  with pytest.raises(ValueError, match=r'train=.* does nothing with num_folds'):
    LocalizationEval(train={'subset': 'x'}, num_folds=2, **settings)


def test_no_video_may_be_learned_from_and_asked_about(dataset):
  settings = {'videos': _VIDEOS, 'dataset': dataset, 'encoders': ('trained',)}
  same = {'subset': 'test'}
  evaluation = LocalizationEval(train=same, test=same, **settings)
  with pytest.raises(ValueError, match='files are in train and in test'):
    evaluation.run(Colour())
  with pytest.raises(ValueError, match='num_folds=1 leaves no videos'):
    LocalizationEval(test=same, num_folds=1, **settings)
  with pytest.raises(ValueError, match='num_folds=-1 leaves no videos'):
    LocalizationEval(test=same, num_folds=-1, **settings)


def test_a_setting_of_the_head_is_checked_before_anything_is_read(dataset):
  with pytest.raises(ValueError, match=r"head 'num_step'.*'num_steps'"):
    LocalizationEval(videos=_VIDEOS, dataset=dataset, head={'num_step': 10})


def test_the_same_files_may_be_annotated_in_two_ways(dataset, tmp_path):
  with open(dataset['path']) as file:
    database = json.load(file)['database']
  for video in database.values():
    del video['annotations'][1:]
  path = tmp_path / 'annotations.json'
  path.write_text(json.dumps({'database': database}))
  less = {**dataset, 'path': str(path), 'videos': Path(dataset['path']).parent}
  network, found = Colour(), []
  for data in (dataset, less):
    evaluation = _of_subsets(
      data, head={'width': 8, 'num_blocks': 1, 'crop': 32, 'num_steps': 1}
    )
    found.append(evaluation.run(network).metrics['num_segments'])
  assert found == [15, 5]


def test_ambiguous_segments_are_no_class_in_the_picture():
  figure = draw_timelines(
    truth=np.array([[0, 1.0, 2.0, 0], [0, 3.0, 4.0, -1]]),
    detections=np.zeros((0, 6)),
    duration_s=np.array([10.0]),
    encoders=['trained'],
    class_names=['dive', 'jump'],
    video_names=['a'],
  )
  [axes] = figure.axes
  names = [text.get_text() for text in axes.get_yticklabels()]
  assert names == ['ambiguous', 'dive']


@dataclasses.dataclass
class Brightness:
  """A network whose two tokens are the mean colour and its negative."""

  sign: int = 1
  is_recurrent = False
  num_prefix_tokens = 0

  def encode(self, video):
    colour = self.sign * video.mean((2, 3), dtype=np.float32)
    return np.stack([colour, colour + 2], axis=2)

  def untrained(self, video, seed):
    return Brightness(-self.sign)

  def per_frame(self):
    return self


@pytest.fixture
def video(tmp_path):
  """Five images, each brighter by 10 than the one before."""
  for number in range(5):
    frame = np.full((8, 8, 3), 10 * number, np.uint8)
    Image.fromarray(frame).save(tmp_path / f'{number}.png')
  return UntrimmedVideo('five', [str(tmp_path)], np.zeros((0, 2)), np.zeros(0))


def _read(video, encoders=('trained',), **settings):
  made = {name: make_encoder(name, Brightness(), None) for name in encoders}
  evaluation = LocalizationEval(videos=_VIDEOS, dataset={}, **settings)
  return evaluation.read_steps(video, made)


def test_a_step_is_the_mean_of_its_frames_and_tokens(video):
  _, features, edges_s = _read(video, frames_per_step=2)
  # Frames 0 and 10, 20 and 30, 40; the tokens differ by 2.
  np.testing.assert_allclose(features['trained'][:, 0], [6, 26, 41])
  np.testing.assert_allclose(edges_s, np.array([0, 2, 4, 5]) / 30)


def test_frames_between_are_passed_over(video):
  _, features, edges_s = _read(video, frames_per_step=2, fps=15)
  np.testing.assert_allclose(features['trained'][:, 0], [11, 41])
  np.testing.assert_allclose(edges_s, np.array([0, 4, 5]) / 30)


def test_encoders_go_side_by_side(video):
  encoders = ('trained', 'random', 'per_frame', 'pixels')
  features = _read(video, encoders, frames_per_step=1, window=2).features
  assert list(features) == list(encoders)
  expected = 10 * np.arange(5)
  np.testing.assert_allclose(features['trained'][:, 0], expected + 1)
  np.testing.assert_allclose(features['random'][:, 0], 1 - expected)
  # Every pixel of the small frames, in [0, 1].
  assert features['pixels'].shape == (5, 8 * 8 * 3)
  np.testing.assert_allclose(
    features['pixels'][:, 0] * 255, expected, rtol=1e-6
  )
