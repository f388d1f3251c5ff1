"""Which videos count as asked about, and which of them were trained on."""

import json

import pytest
from ml_collections import ConfigDict

from rvmae_jax.data import manifest
from rvmae_jax.evals import build_eval, leakage


@pytest.fixture
def seen(tmp_path):
  """A run that has seen `train` of a folder; `test` holds a copy of one."""
  for name in ('train/a', 'train/b', 'test/copy_of_a', 'test/c'):
    path = tmp_path / f'videos/{name}.mp4'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(name[-1])
  manifest.record(tmp_path / 'run', {'own': _source(tmp_path, 'train')})
  return manifest.SeenVideos(tmp_path / 'run')


def _source(tmp_path, split):
  return {'name': 'folder', 'path': str(tmp_path / 'videos'), 'split': split}


def _leaks(seen, tmp_path, **entry):
  data = {'sources': {'own': _source(tmp_path, 'train')}}
  run_config = ConfigDict({'model': {'patch_size': 8}, 'data': data})
  evaluation = build_eval(
    {'name': 'knn', **entry},
    run_config=run_config,
    shared={**_CLIPS, 'sources': 'run'},
    batch_size=1,
  )
  found = leakage.find_leaks({'asked': evaluation}, run_config.data, seen)
  return found.get('asked')


_CLIPS = {
  'clip': {'name': 'uniform', 'num_frames': 8},
  'crop': {'size': (16, 16)},
}


def _split(name):
  return {'sources': {'own': {'name': 'run', 'split': name}}}


def test_test_videos_count_and_what_is_learned_from_does_not(seen, tmp_path):
  leak = _leaks(seen, tmp_path, train=_split('train'), test=_split('test'))
  copy = str(tmp_path / 'videos/test/copy_of_a.mp4')
  assert leak == leakage.Leak(1, 2, (copy,))
  (tmp_path / 'videos/test/copy_of_a.mp4').unlink()
  assert not _leaks(seen, tmp_path, train=_split('train'), test=_split('test'))


def test_asking_about_training_videos_is_leakage_only_as_a_test(seen, tmp_path):
  own = {'name': 'accuracy'}
  assert _leaks(seen, tmp_path, **own) is None
  assert _leaks(seen, tmp_path, **own, data=_split('test')).num_shared == 1
  probe = _leaks(seen, tmp_path, train=_split('train'), test={})
  assert probe.num_shared == 2


def test_datasets_of_an_evaluations_own_are_looked_at(seen, tmp_path):
  database = {
    name: {
      'subset': 'validation',
      'duration': 1.0,
      'annotations': [{'label': 'x', 'segment': [0.0, 1.0]}],
    }
    for name in ('copy_of_a', 'c')
  }
  path = tmp_path / 'activity_net.json'
  path.write_text(json.dumps({'database': database}))
  dataset = {
    'name': 'activitynet',
    'path': str(path),
    'videos': str(tmp_path / 'videos/test'),
  }
  entry = {'name': 'localization', 'dataset': dataset}
  test = {'subset': 'validation'}
  leak = _leaks(seen, tmp_path, **entry, test=test)
  assert (leak.num_shared, leak.num_videos) == (1, 2)


def test_a_refusal_names_evaluation_videos_and_remedy(caplog):
  leakage.check({})
  leaks = {'knn': leakage.Leak(3, 9, ('a.mp4', 'b.mp4'))}
  with pytest.raises(
    ValueError, match=r'knn: 3 of 9 test .* a\.mp4, b\.mp4[^$]*--allow_leakage'
  ):
    leakage.check(leaks)
  leakage.check(leaks, is_allowed=True)
  assert 'knn: 3 of 9 test videos' in caplog.text
