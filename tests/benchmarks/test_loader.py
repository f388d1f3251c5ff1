import os

import pytest

from rvmae_jax.benchmarks.loader import Reading, benchmark_loader, stage_ms
from rvmae_jax.config_utils import with_values
from rvmae_jax.data.encoding import Encoding
from rvmae_jax.tools.prepare import prepare
from tests.data import small_videos


def test_measures_pipelines_beside_each_other(noise_config):
  noise_config.data.num_threads = 1
  readings = {
    'as given': Reading(noise_config),
    'more': Reading(with_values(noise_config, 'data.num_threads=2')),
  }
  results = benchmark_loader(readings, seconds=0.6, batch_size=2)
  assert list(results) == ['as given', 'more']
  first, second = results.values()
  assert [first['num_threads'], second['num_threads']] == [1, 2]
  assert first['speed_ratio'] == 1
  assert second['speed_ratio'] == second['clips_per_s'] / first['clips_per_s']
  for result in results.values():
    least, most = result['clips_per_s_range']
    assert 0 < least <= result['clips_per_s'] <= most
    # A thousand milliseconds of a core, times the cores, are all there is.
    spent_ms = result['cpu_ms'] * result['clips_per_s']
    assert 0 < spent_ms <= 1100 * os.cpu_count()


def test_measures_all_stages(noise_config):
  found = stage_ms(noise_config, seconds=0.2, batch_size=2)
  assert list(found) == [
    *('open', 'sample', 'decode', 'augment', 'mask', 'batch')
  ]
  assert min(found.values()) >= 0


@pytest.fixture(name='config')
def _config_with_an_evaluation(noise_config):
  sources = {'noise': {'name': 'fake', 'num_videos': 4}}
  clip = {'name': 'uniform', 'num_frames': 8, 'stride': 1}
  noise_config.evals = {
    'knn': {
      'name': 'knn',
      'data': {'sources': sources, 'clip': clip, 'crop': 'run'},
      'train': {},
      'test': {},
    }
  }
  return noise_config


def test_an_evaluation_is_read_pass_after_pass(config):
  """Four videos in batches of three: the second has one and two blanks."""
  batches = Reading(config, evaluation='knn').batches(3)
  found = [next(batches) for _ in range(3)]
  batches.close()
  assert [sum(batch['valid']) for batch in found] == [3, 1, 3]
  assert found[0]['video'].shape == (3, 8, 8, 12, 3)


@pytest.mark.parametrize('evaluation', ['', 'knn'])
def test_shards_stand_for_all_sources(config, evaluation, tmp_path):
  """They hold one video of one class; those of noise have labels 0 to 3."""
  folder = tmp_path / 'videos/train/class_0'
  folder.mkdir(parents=True)
  small_videos.write(folder / 'one.mp4', 'mpeg4', 'yuv420p')
  shards = str(tmp_path / 'shards')
  prepare(str(tmp_path / 'videos'), shards, Encoding(short_side=16))
  for reading, labels in (
    (Reading(config, '', evaluation), {0, 1, 2, 3}),
    (Reading(config, shards, evaluation), {0}),
  ):
    batches = reading.batches(4)
    batch = next(batches)
    batches.close()
    valid = batch.get('valid', [True] * 4)
    assert set(batch['label'][valid]) == labels
