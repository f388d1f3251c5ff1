"""Evaluating from a config: what is written, and what is not done twice."""

import json
import pathlib

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from rvmae_jax import config_utils
from rvmae_jax.data import manifest
from rvmae_jax.data.sources.fake import Fake
from rvmae_jax.evals.linear_probe import LinearProbeEval
from rvmae_jax.evaluate import evaluate, fresh_params

_ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope='module')
def network():
  """Parameters of a tiny model at 32 px, and the config of its run."""
  config = config_utils.load_config(str(_ROOT / 'configs/rvm_quickstart.py'))
  with config.unlocked():
    config.data.sources = {
      'videos': {
        'name': 'fake',
        'num_videos': 12,
        'num_frames': 16,
        'size': (32, 32),
      }
    }
  return jax.tree.map(np.asarray, fresh_params(config)), config


def _config(**evals) -> ConfigDict:
  return ConfigDict({'seed': 0, 'batch_size': 8, 'data': {}, 'evals': evals})


def test_writes_numbers_arrays_and_pictures_and_repeats_only_changes(
  network, tmp_path, monkeypatch
):
  params, run_config = network
  probe = {
    'name': 'linear_probe',
    'data': {'clip': {'name': 'uniform', 'num_frames': 4}},
    'train': {},
    'test': {'sources': {'videos': {'split': 'test'}}},
    'sources': ('trained', 'pixels'),
  }
  config = _config(
    probe=probe, rebuilt={'name': 'reconstruction', 'gaps': (1, 4)}
  )
  results = evaluate(config, params, run_config, tmp_path, checkpoint='here')

  written = json.loads((tmp_path / 'metrics.json').read_text())
  assert written['checkpoint'] == 'here'
  assert written['evaluations'] == results
  assert results['probe']['metrics']['num_test'] == 12
  assert 'trained/mean_std_8/top1' in results['probe']['metrics']
  assert 'gap_4/gain_db' in results['rebuilt']['metrics']
  for picture in ('probe/accuracies.png', 'rebuilt/reconstruction.png'):
    assert (tmp_path / picture).stat().st_size > 1000
  with np.load(tmp_path / 'rebuilt' / 'arrays.npz') as arrays:
    assert arrays['rebuilt'].shape == (4, 2, 32, 32, 3)

  ran = []
  monkeypatch.setattr(
    LinearProbeEval, 'run', lambda self, functions: ran.append(self) or {}
  )
  assert evaluate(config, params, run_config, tmp_path) == results
  assert not ran
  with monkeypatch.context() as other:
    other.setattr(Fake, 'identities', lambda _: iter([('another', None, '')]))
    evaluate(_config(probe=probe), params, run_config, tmp_path)
  assert ran.pop()
  config.evals.probe.poolings = ('mean',)
  evaluate(config, params, run_config, tmp_path)
  assert len(ran) == 1
  other = jax.tree.map(lambda leaf: leaf + 1, params)
  evaluate(_config(probe=probe), other, run_config, tmp_path)
  assert len(ran) == 2
  # What the first network rebuilt is no number of the second.
  written = json.loads((tmp_path / 'metrics.json').read_text())
  assert list(written['evaluations']) == ['probe']


def test_unlabelled_videos_are_measured_but_not_probed(
  network, tmp_path, caplog
):
  params, run_config = network
  videos = {'sources': {'videos': {'num_classes': 1}}}
  config = _config(
    knn={
      'name': 'knn',
      'data': {'clip': {'name': 'uniform', 'num_frames': 2}, **videos},
      'train': {},
      'test': {},
    }
  )
  with caplog.at_level('INFO'):
    results = evaluate(config, params, run_config, tmp_path)
  assert results['knn']['metrics'] == {}
  assert 'KnnEval skipped: its train videos have one class.' in caplog.text


def test_networks_trained_on_test_videos_are_refused(network, tmp_path):
  params, run_config = network
  run = tmp_path / 'run'
  manifest.record(run, run_config.data.sources)
  seen = manifest.SeenVideos(run)
  knn = {'name': 'knn', 'data': {'clip': {'name': 'uniform', 'num_frames': 2}}}
  train = {'sources': {'videos': {'split': 'train', 'num_videos': 8}}}
  test = {'sources': {'videos': {'split': 'test'}}}
  # What probes learn from, and what is said to be of training, may be shared.
  fine = {
    'knn': {**knn, 'train': train, 'test': test},
    'rebuilt': {'name': 'reconstruction', 'gaps': (1,)},
  }
  bad = {'leaky': {**knn, 'train': test, 'test': train}}
  with pytest.raises(
    ValueError, match=r'leaky: 8 of 8 .*train/0[^$]*--allow_l'
  ):
    evaluate(_config(**fine, **bad), params, run_config, tmp_path, seen=seen)
  assert not (tmp_path / 'metrics.json').exists()
  results = evaluate(
    _config(**fine, **bad),
    *(params, run_config, tmp_path),
    seen=seen,
    allow_leakage=True,
  )
  assert results['leaky']['leakage']['num_shared'] == 8
  assert 'leakage' not in results['knn'] | results['rebuilt']


def test_a_classifier_is_not_asked_about_other_classes(network, tmp_path):
  params, run_config = network
  sources = {}
  for name, classes in (('train', ('jump', 'run')), ('test', ('run',))):
    for label in classes:
      (tmp_path / f'{name}_{label}.mp4').write_text(name)
    rows = ''.join(f'{name}_{label}.mp4,{label}\n' for label in classes)
    path = tmp_path / f'{name}.csv'
    path.write_text(f'path,label\n{rows}')
    sources[name] = {'name': 'listing', 'path': str(path), 'split': 'all'}
  # What was learned is known though its videos may be on another machine.
  manifest.record(tmp_path / 'run', {'own': sources['train']})
  (tmp_path / 'train.csv').unlink()
  seen = manifest.SeenVideos(tmp_path / 'run')
  data = {'sources': {'videos': sources['test']}}
  config = _config(accuracy={'name': 'accuracy', 'data': data})
  with pytest.raises(ValueError, match=r"0 is 'jump' in .*training and"):
    evaluate(config, params, run_config, tmp_path / 'out', seen=seen)


def test_results_go_to_a_bucket(network, bucket):
  params, run_config = network
  config = _config(rebuilt={'name': 'reconstruction', 'gaps': (1,)})
  results = evaluate(config, params, run_config, 'gs://bucket/out')
  folder = bucket / 'out'
  written = json.loads((folder / 'metrics.json').read_text())
  assert written['evaluations'] == results
  with np.load(folder / 'rebuilt/arrays.npz') as arrays:
    assert arrays['rebuilt'].shape[2:] == (32, 32, 3)
  for picture in results['rebuilt']['pictures']:
    assert (folder / picture).read_bytes().startswith(b'\x89PNG')
