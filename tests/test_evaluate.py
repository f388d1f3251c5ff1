"""Evaluating from a config: what is written, and what is not done twice."""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import types

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from rvmae_jax import config_utils, evals
from rvmae_jax import evaluate as evaluate_module
from rvmae_jax.data import manifest
from rvmae_jax.data.sources.fake import Fake
from rvmae_jax.evals import Result
from rvmae_jax.evals.description import describe
from rvmae_jax.evals.linear_probe import LinearProbeEval
from rvmae_jax.evaluate import build_evaluations, evaluate, fresh_params
from rvmae_jax.train import train
from rvmae_jax.training import sharding
from rvmae_jax.training.checkpointing import Checkpointer
from rvmae_jax.training.state import TrainState
from tests.simulated import with_devices

_ROOT = pathlib.Path(__file__).parents[1]
_CLIP = {'name': 'uniform', 'num_frames': 8}


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


@pytest.mark.parametrize(('ema', 'sign'), [(False, 1), (True, -1)])
def test_the_command_evaluates_the_weights_asked_for(
  network, tmp_path, monkeypatch, ema, sign
):
  params, config = network
  mean = jax.tree.map(np.negative, params)
  state = TrainState(np.int32(1), params, (), mean, np.int32(0))
  with Checkpointer(tmp_path / 'run', config) as checkpointer:
    checkpointer.save(1, state, None)
  manifest.record(tmp_path / 'run', config.data.sources)
  calls = []
  monkeypatch.setattr(
    evaluate_module, 'evaluate', lambda *a, **k: calls.append((a, k))
  )
  args = types.SimpleNamespace(
    coordinator='',
    num_processes=None,
    process_id=None,
    dry_run=False,
    checkpoint=str(tmp_path / 'run'),
    config=_config(),
    untrained=False,
    workdir=str(tmp_path / 'out'),
    ema=ema,
    allow_leakage=False,
  )
  evaluate_module.main(args)
  [(given, named)] = calls
  jax.tree.map(
    lambda a, b: np.testing.assert_array_equal(a, sign * b), given[1], params
  )
  assert named['seen'] is not None and named['ema'] == ema


# What the run has, for all evaluations.
_DATA = dict.fromkeys(('sources', 'clip', 'crop', 'mask'), 'run')


def _videos(**settings):
  return {'sources': {'videos': {'name': 'run', **settings}}}


def _config(**evals) -> ConfigDict:
  return ConfigDict({'seed': 0, 'batch_size': 8, 'data': _DATA, 'evals': evals})


def test_writes_numbers_arrays_and_pictures_and_repeats_only_changes(
  network, tmp_path, monkeypatch
):
  params, run_config = network
  probe = {
    'name': 'linear_probe',
    'data': {'clip': _CLIP},
    'train': {},
    'test': _videos(split='test'),
    'encoders': ('trained', 'pixels'),
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
    LinearProbeEval,
    'run',
    lambda self, functions: ran.append(self) or Result({}, {}),
  )
  assert evaluate(config, params, run_config, tmp_path) == results
  assert not ran
  with monkeypatch.context() as other:
    other.setattr(Fake, 'identities', lambda _: iter([('another', None, '')]))
    evaluate(_config(probe=probe), params, run_config, tmp_path)
  assert ran.pop()
  other = jax.tree.map(lambda leaf: leaf + 1, params)
  evaluate(_config(probe=probe), other, run_config, tmp_path)
  assert len(ran) == 1
  # What the first network rebuilt is not a number of the second.
  written = json.loads((tmp_path / 'metrics.json').read_text())
  assert list(written['evaluations']) == ['probe']


def test_a_picture_that_cannot_be_drawn_loses_no_number(
  network, tmp_path, monkeypatch, capsys
):
  params, run_config = network
  config = _config(rebuilt={'name': 'reconstruction', 'gaps': (1,)})

  def draw(*_):
    raise ValueError('no room')

  monkeypatch.setattr(evaluate_module.visualize, 'draw', draw)
  results = evaluate(config, params, run_config, tmp_path)
  written = json.loads((tmp_path / 'metrics.json').read_text())
  assert written['evaluations'] == results
  assert 'gap_1/gain_db' in results['rebuilt']['metrics']
  assert results['rebuilt']['pictures'] == []
  assert 'could not be drawn (no room)' in capsys.readouterr().out


def test_results_of_another_network_are_not_replaced(network, tmp_path):
  params, config = network
  path = tmp_path / 'metrics.json'
  path.write_text(json.dumps({'weights': 'others', 'checkpoint': 'runs/a'}))
  with pytest.raises(ValueError, match=r'checkpoint=runs/a.*give another'):
    evaluate(
      _config(rebuilt={'name': 'reconstruction', 'gaps': (1,)}),
      *(params, config, tmp_path),
      checkpoint='runs/b',
    )
  assert json.loads(path.read_text())['checkpoint'] == 'runs/a'


@pytest.mark.parametrize('typed', ['runs/a/', './runs/a', '{cwd}/runs/a'])
def test_a_run_is_itself_however_its_path_is_typed(typed, tmp_path):
  path = tmp_path / 'metrics.json'
  path.write_text(json.dumps({'weights': 'old', 'checkpoint': 'runs/a'}))
  origin = {'checkpoint': typed.format(cwd=os.getcwd())}
  assert evaluate_module._finished(path, 'new', origin) == {}


def test_unlabelled_videos_are_measured_but_not_probed(
  network, tmp_path, caplog
):
  params, run_config = network
  config = _config(
    knn={
      'name': 'knn',
      'data': {'clip': _CLIP},
      'train': _videos(num_classes=1),
      'test': _videos(num_classes=1, split='test'),
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
  knn = {'name': 'knn', 'data': {'clip': _CLIP}}
  train, test = _videos(split='train', num_videos=8), _videos(split='test')
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


_PROBE = {
  'name': 'knn',
  'data': {'clip': _CLIP},
  'train': _videos(split='train'),
  'test': _videos(split='test'),
}


def _changed_entry(change):
  """The probe and the run's config with one of them changed."""

  def entry(config, run_config):
    config.evals.probe.update(change)

  return entry


def _changed_model(config, run_config):
  with run_config.unlocked():
    run_config.model.dtype = 'bfloat16'


@pytest.mark.parametrize(
  'change',
  [
    pytest.param(_changed_entry({'k': 3}), id='setting'),
    pytest.param(_changed_entry({'poolings': ('mean',)}), id='pooling'),
    pytest.param(
      _changed_entry({'test': _videos(split='test', num_videos=5)}), id='videos'
    ),
    pytest.param(
      _changed_entry({'data': {'clip': {**_CLIP, 'num_frames': 10}}}), id='clip'
    ),
    pytest.param(_changed_model, id='model'),
  ],
)
def test_a_changed_question_or_network_is_asked_again(network, change):
  """And the same one is not: keys are equal."""
  _, run_config = network

  def key(change=None):
    config = _config(probe=_PROBE)
    run = ConfigDict(run_config.to_dict())
    if change:
      change(config, run)
    evaluation = build_evaluations(config, run)['probe']
    return evaluate_module._key(evaluation, run, 'weights')

  assert key() == key()
  assert key() != key(change)


def test_another_version_judge_or_weights_are_asked_again(
  network, tmp_path, monkeypatch
):
  _, run_config = network
  judge = tmp_path / 'judge.npz'
  judge.write_bytes(b'one')
  entry = {'name': 'reconstruction', 'gaps': (1,), 'perceptual': str(judge)}
  evaluation = build_evaluations(_config(rebuilt=entry), run_config)['rebuilt']
  key = evaluate_module._key
  first = key(evaluation, run_config, 'weights')
  assert key(evaluation, run_config, 'others') != first
  judge.write_bytes(b'two')
  second = key(evaluation, run_config, 'weights')
  assert second != first
  monkeypatch.setattr(evals, 'VERSION', -1)
  assert key(evaluation, run_config, 'weights') not in (first, second)


def test_an_evaluation_is_told_in_words_before_it_is_run(network):
  _, run_config = network
  probe = _PROBE | {'name': 'linear_probe', 'encoders': ('trained', 'pixels')}
  evaluation = build_evaluations(_config(probe=probe), run_config)['probe']
  text = describe('probe', evaluation)
  for line in (
    'probe: linear_probe',
    'train: 12 videos',
    'pixels: 32 x 32',
    'video: frames 1 (',
    'frames 0 to 7; grid tokens of 1 frame',
    # Five penalties and the one that was chosen, of two encoders.
    'trainings: 12',
  ):
    assert line in text, line


_OF_ALL_KINDS = {
  'rebuilt': {'name': 'reconstruction', 'gaps': (1,)},
  'probe': _PROBE | {'name': 'linear_probe', 'encoders': ('trained', 'random')},
}
_SCENES = {
  'dataset': {'name': 'parallax', 'size': 32, 'num_videos': 4},
  'test': {'split': 'test'},
  'num_frames': 4,
  'encoders': ('trained',),
}
_LEARNED = _SCENES | {
  'train': {'split': 'train'},
  'validation': {'split': 'val'},
  'learning_rates': (1e-3,),
  'num_epochs': 1,
}
_SMALL = {'width': 32, 'num_heads': 2}
# On several devices in tests/evals/readouts/test_readout_networks.py.
_READOUTS = {
  'depth': _LEARNED
  | {'name': 'depth', 'head': _SMALL | {'patch_shape': (2, 16, 16)}},
  'boxes': _LEARNED
  | {'name': 'box_tracking', 'head': _SMALL | {'query_width': 32}},
  'points': _SCENES | {'name': 'point_tracking', 'zero_shot': True},
}


def test_what_is_told_before_is_in_the_results(network, tmp_path):
  """Of an evaluation with a dataset of its own; nothing is trained."""
  params, run_config = network
  asked = {**_READOUTS['points'], 'encoders': ('pixels',), 'stride': 2}
  config = _config(points=asked)
  text = describe('points', build_evaluations(config, run_config)['points'])
  assert 'of the first, parallax/seed_0/test/00000:' in text
  assert 'pixels: 32 x 32' in text
  assert 'clip_0: frames 0 (0.000 s) 2 (0.067 s) 4 (0.133 s) 6 (0.200' in text
  results = evaluate(config, params, run_config, tmp_path)
  assert '\n'.join(results['points']['description']) == text


def test_devices_change_no_number(network, tmp_path, monkeypatch):
  """12 videos in batches of 8; what one device finds, two and eight find."""
  params, run_config = network
  found = []
  for number in (1, 2, 8):
    mesh = sharding.make_mesh(devices=jax.devices()[:number])
    monkeypatch.setattr(sharding, 'make_mesh', lambda mesh=mesh: mesh)
    results = evaluate(
      _config(**_OF_ALL_KINDS), params, run_config, tmp_path / str(number)
    )
    found.append({k: result['metrics'] for k, result in results.items()})
    monkeypatch.undo()
  for alias, metrics in found[0].items():
    assert metrics
    for others in found[1:]:
      assert others[alias] == pytest.approx(metrics, rel=1e-4)


@pytest.mark.slow
def test_two_processes_find_what_one_does(tmp_path):
  """Each decodes its half of the rows; process 0 writes."""
  run = f'{_ROOT}/tests/tiny_recipe.py'
  train(config_utils.load_config(f'{run}:steps=1'), str(tmp_path / 'run'))
  evaluations = _config(**_OF_ALL_KINDS, **_READOUTS)
  config = tmp_path / 'config.py'
  config.write_text(
    'from ml_collections import ConfigDict\n'
    'def get_config():\n'
    f'  return ConfigDict({evaluations.to_dict()!r})\n'.replace(
      "'videos'", "'noise'"
    )
  )
  with contextlib.closing(socket.socket()) as free:
    free.bind(('localhost', 0))
    port = free.getsockname()[1]
  coordinator = f'--coordinator=localhost:{port}', '--num_processes=2'
  commands = {
    'one': [[]],
    'two': [[*coordinator, f'--process_id={number}'] for number in range(2)],
  }
  found = {}
  for name, processes in commands.items():
    running = [
      subprocess.Popen(
        [
          *(sys.executable, '-m', 'rvmae_jax.evaluate', f'--config={config}'),
          *(f'--checkpoint={tmp_path}/run', f'--workdir={tmp_path}/{name}'),
          '--allow_leakage',
          *arguments,
        ],
        cwd=_ROOT,
        env=with_devices(1),
      )
      for arguments in processes
    ]
    assert [process.wait(300) for process in running] == [0] * len(processes)
    written = json.loads((tmp_path / name / 'metrics.json').read_text())
    found[name] = {
      alias: result['metrics']
      for alias, result in written['evaluations'].items()
    }
  for alias, metrics in found['one'].items():
    assert metrics
    assert found['two'][alias] == pytest.approx(metrics, rel=1e-4)
