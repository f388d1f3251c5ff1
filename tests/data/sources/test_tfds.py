"""TFDS videos: a small dataset of both file formats, and UCF101's features."""

import pickle
import sys

import numpy as np
import pytest

from rvmae_jax.data import manifest
from rvmae_jax.data.decoding import open_record
from rvmae_jax.data.sources import SOURCES, tfds

NUM_TRAIN = 5


@pytest.fixture(scope='module', params=['array_record', 'tfrecord'])
def data_dir(request, tmp_path_factory):
  """Video i of the dataset `tiny` has 3 + i frames, all of colour 20 i."""
  datasets = pytest.importorskip('tensorflow_datasets')

  # Not registered: it is then found by its files, as any other dataset is.
  class Tiny(datasets.core.GeneratorBasedBuilder, skip_registration=True):
    """Videos of one colour."""

    VERSION = datasets.core.Version('1.0.0')

    def _info(self):
      features = {
        'video': datasets.features.Video((None, 16, 24, 3)),
        'label': datasets.features.ClassLabel(names=['dark', 'bright']),
      }
      return datasets.core.DatasetInfo(
        builder=self, features=datasets.features.FeaturesDict(features)
      )

    def _split_generators(self, dl_manager):
      return {'train': self._generate_examples(NUM_TRAIN)}

    def _generate_examples(self, num_videos):
      for i in range(num_videos):
        video = np.full((3 + i, 16, 24, 3), 20 * i, np.uint8)
        yield i, {'video': video, 'label': i % 2}

  folder = tmp_path_factory.mktemp(request.param)
  Tiny(data_dir=folder, file_format=request.param).download_and_prepare()
  return str(folder)


def _facts(source):
  """(colour, number of frames, label) of each record."""
  facts = []
  for i in range(len(source)):
    with open_record(source[i]) as reader:
      frames = reader.read(range(reader.num_frames))
    assert frames.shape[1:] == (16, 24, 3)
    facts.append((int(frames.max()), len(frames), source[i]['label']))
  return sorted(facts)


def test_videos_and_labels_come_back(data_dir):
  source = SOURCES.build(
    {'name': 'tfds', 'dataset': 'tiny', 'data_dir': data_dir}
  )
  assert source.class_names == ['dark', 'bright']
  assert _facts(source) == [(20 * i, 3 + i, i % 2) for i in range(NUM_TRAIN)]


def test_a_pickled_source_reads_the_same(data_dir):
  source = tfds.Tfds('tiny', data_dir=data_dir)
  assert pickle.loads(pickle.dumps(source))[3] == source[3]


def test_a_slice_of_a_split_is_a_part_of_it(data_dir):
  whole = tfds.Tfds('tiny', data_dir=data_dir)
  part = tfds.Tfds('tiny', 'train[1:3]', data_dir=data_dir)
  assert [part[i]['jpegs'] for i in range(len(part))] == [
    whole[i]['jpegs'] for i in (1, 2)
  ]


def test_an_unknown_split_is_answered_with_the_known(data_dir):
  with pytest.raises(ValueError, match="no split 'dev', only train"):
    tfds.Tfds('tiny', 'dev', data_dir=data_dir)


def test_features_of_ucf101_are_found_without_download(tmp_path):
  datasets = pytest.importorskip('tensorflow_datasets')
  builder = datasets.builder('ucf101/ucf101_1', data_dir=tmp_path)
  video, label, names = tfds.find_features(builder.info.features)
  assert (video, label, len(names)) == ('video', 'label', 101)
  assert names[:2] == ['ApplyEyeMakeup', 'ApplyLipstick']


def test_a_dataset_that_is_not_prepared_says_how_to(tmp_path):
  pytest.importorskip('tensorflow_datasets')
  with pytest.raises(FileNotFoundError, match='tfds build'):
    tfds.Tfds('ucf101/ucf101_1', data_dir=str(tmp_path))


def test_without_the_extra_the_error_names_it(monkeypatch):
  monkeypatch.setitem(sys.modules, 'tensorflow_datasets', None)
  with pytest.raises(ModuleNotFoundError, match=r"'tiny' .*\[tensorflow\]"):
    tfds.Tfds('tiny')


def test_records_are_named_by_their_place_in_all_slices(data_dir):
  whole = [*tfds.Tfds('tiny', data_dir=data_dir).identities()]
  part = [*tfds.Tfds('tiny', 'train[1:3]', data_dir=data_dir).identities()]
  assert len({*whole}) == NUM_TRAIN and part == whole[1:3]


def test_a_video_is_known_in_another_config_and_a_place_is_not(tmp_path):
  """As in the folds of UCF101, which share videos and names of files."""
  datasets = pytest.importorskip('tensorflow_datasets')
  colours = {
    'fold_1': {'train': (10, 20, 30), 'test': (40,)},
    'fold_2': {'train': (40,), 'test': (50, 20, 60)},
  }

  class Folds(datasets.core.GeneratorBasedBuilder, skip_registration=True):
    """Videos of one colour."""

    VERSION = datasets.core.Version('1.0.0')
    BUILDER_CONFIGS = tuple(
      datasets.core.BuilderConfig(name=name) for name in colours
    )

    def _info(self):
      features = {'video': datasets.features.Video((None, 16, 24, 3))}
      return datasets.core.DatasetInfo(
        builder=self, features=datasets.features.FeaturesDict(features)
      )

    def _split_generators(self, dl_manager):
      found = colours[self.builder_config.name]
      return {k: self._generate_examples(v) for k, v in found.items()}

    def _generate_examples(self, found):
      for colour in found:
        yield colour, {'video': np.full((3, 16, 24, 3), colour, np.uint8)}

  for name in colours:
    builder = Folds(config=name, data_dir=tmp_path, file_format='array_record')
    builder.download_and_prepare()

  def config(fold, split):
    dataset = {'dataset': f'folds/{fold}', 'data_dir': str(tmp_path)}
    return {'name': 'tfds', 'split': split, **dataset}

  def colour_of(source, place):
    number = int(place.rpartition('/')[2])
    with open_record(source[number]) as reader:
      return int(reader.read([0]).max())

  manifest.record(tmp_path / 'run', {'own': config('fold_1', 'train')})
  seen = manifest.SeenVideos(tmp_path / 'run')
  for fold, split, wanted in (
    ('fold_1', 'train', [10, 20, 30]),
    ('fold_1', 'test', []),
    ('fold_2', 'train', []),
    ('fold_2', 'test', [20]),
  ):
    source = SOURCES.build(config(fold, split))
    found = [colour_of(source, place) for place in seen.find(source)]
    assert sorted(found) == wanted
