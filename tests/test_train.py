"""The trainer as a whole: runs of a few steps on random videos."""

import contextlib
import functools
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
import types

import jax
import numpy as np
import pytest

from rvmae_jax import export
from rvmae_jax.config_utils import from_json, load_config
from rvmae_jax.data import locking, manifest
from rvmae_jax.data.locking import FolderLock, InUseError
from rvmae_jax.evals import Evaluation, Result
from rvmae_jax.layers.transformer import stack_blocks
from rvmae_jax.parts import build_parts, describe
from rvmae_jax.train import train
from rvmae_jax.training import sharding
from rvmae_jax.training.checkpointing import load_params
from rvmae_jax.training.guards import Interrupted
from rvmae_jax.transfer import start_from
from tests.simulated import with_devices
from tests.weights_file import write_videomae

RECIPE = str(pathlib.Path(__file__).with_name('tiny_recipe.py'))
MOCO = pathlib.Path(__file__).parents[1] / 'configs' / 'moco_v3.py'


@pytest.fixture(scope='module', autouse=True)
def _programs_are_shared():
  """Runs in this process trace and compile equal steps once.

  That is most of their time. A step does not depend on what happens after it,
  nor, at a constant rate, on how many there are.
  """
  build = functools.cache(lambda text: build_parts(from_json(text)))
  steps = {}

  def build_once(config):
    values = {**config.to_dict(), 'log': {}, 'checkpoint': {}, 'evals': {}}
    if config.schedule.name == 'constant':
      values['total_steps'] = 1
    return build(json.dumps(values, sort_keys=True))

  def jit_once(step, shardings, mesh, frozen=()):
    if frozen:
      return jit_step(step, shardings, mesh, frozen)
    if (step, mesh) not in steps:
      steps[step, mesh] = jit_step(step, shardings, mesh)
    return steps[step, mesh]

  jit_step = sharding.jit_step
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr('rvmae_jax.train.build_parts', build_once)
    patch.setattr(sharding, 'jit_step', jit_once)
    yield


def _config(num_steps=4, **changes):
  config = load_config(f'{RECIPE}:steps={num_steps}')
  with config.unlocked():
    config.update_from_flattened_dict(changes)
  return config


def _rows(workdir):
  lines = (workdir / 'metrics.jsonl').read_text().splitlines()
  return [json.loads(line) for line in lines]


def _losses(workdir):
  return [row['loss'] for row in _rows(workdir)]


def _checkpoints(workdir):
  return [int(path.name) for path in (workdir / 'checkpoints').iterdir()]


def _assert_same_run(workdir, other):
  """Equal but for the order of summation, which Adam's division amplifies."""
  np.testing.assert_allclose(_losses(workdir), _losses(other), rtol=1e-5)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=2e-4),
    load_params(workdir)[0],
    load_params(other)[0],
  )


_started: list[subprocess.Popen] = []


@pytest.fixture(autouse=True)
def _no_process_outlives_its_test():
  yield
  while _started:
    process = _started.pop()
    process.kill()
    process.wait()


def _start(workdir, *arguments, devices=1, num_steps=4):
  """Starts the command in a process of its own."""
  process = subprocess.Popen(
    [
      sys.executable,
      '-m',
      'rvmae_jax.train',
      f'--config={RECIPE}:steps={num_steps}',
      f'--workdir={workdir}',
      f'--compile_cache={jax.config.jax_compilation_cache_dir}',
      *arguments,
    ],
    cwd=pathlib.Path(RECIPE).parents[1],
    env=with_devices(devices),
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
  )
  _started.append(process)
  return process


def _finish(process, expected=0):
  output = process.communicate(timeout=300)[0]
  assert process.returncode == expected, output
  return output


def _wait_for_rows(workdir, num_rows):
  path = workdir / 'metrics.jsonl'
  deadline = time.monotonic() + 300
  while not path.exists() or path.read_text().count('\n') < num_rows:
    assert time.monotonic() < deadline, f'no {num_rows} rows in {path}'
    time.sleep(0.005)


# As the run does it.
_REBUILT = {
  'name': 'reconstruction',
  'num_batches': 1,
  'data': dict.fromkeys(('sources', 'clip', 'crop', 'mask'), 'run'),
}


@pytest.mark.usefixtures('one_device')
def test_run_writes_all_it_promises(tmp_path):
  rebuilt = {**_REBUILT, 'every_steps': 2}
  changes = {
    'log.clu': ('tensorboard', 'console'),
    'log.pictures_every': 2,
    'ema_decay': 0.9,
    'evals': {'rebuilt': rebuilt},
  }
  config = _config(**changes)
  state = train(config, str(tmp_path))
  assert int(state.step) == 4
  rows = _rows(tmp_path)
  # What an evaluation finds is a line of its own.
  assert [row['step'] for row in rows] == [1, 2, 2, 3, 4, 4]
  expected = {
    'loss',
    'psnr_hidden',
    'grad_norm',
    'param_norm',
    'update_norm',
    'lr',
    'core/update_gate',
    'core/gate_saturation',
    'core/state_norm_last',
    'data/bad_videos',
    'num_skipped',
  }
  assert expected <= rows[0].keys()
  assert {'steps_per_s', 'clips_per_s', 'data_wait_share'} <= rows[1].keys()
  assert rows[0]['lr'] == pytest.approx(0.03 * 8 / 256)
  rebuilt = [any(k.startswith('rebuilt/') for k in row) for row in rows]
  assert rebuilt == [False, False, True, False, False, True]
  saved = load_params(tmp_path, ema=True)[0]
  jax.tree.map(np.testing.assert_array_equal, saved, dict(state.ema_params))
  assert json.loads((tmp_path / 'config.json').read_text())['seed'] == 0
  [listed] = manifest.read(tmp_path)['sources']
  assert (listed['alias'], listed['num_videos']) == ('noise', 20)
  assert 'jax' in json.loads((tmp_path / 'environment.json').read_text())
  assert list(tmp_path.glob('events.out.tfevents*'))
  assert (tmp_path / 'pictures' / 'batch_0000001.png').exists()
  assert list((tmp_path / 'pictures' / 'step_0000004').glob('*.png'))


def test_training_warns_of_a_term_that_swamps_the_others(tmp_path, caplog):
  losses = {'pixel_l2': 1e-3, 'temporal_l1': 1.0}
  train(_config(total_steps=3, losses=losses), str(tmp_path))
  [told] = [r.message for r in caplog.records if 'of the loss' in r.message]
  assert told.startswith('Step 2: 1 x temporal_l1 is ')
  assert told.endswith('Lower losses.temporal_l1.')


@pytest.mark.slow
def test_a_network_that_judges_is_no_part_of_the_state(tmp_path):
  """In the loss and in an evaluation, on a mesh."""
  judge = str(tmp_path / 'judge.safetensors')
  fields = {'width': 64, 'encoder_heads': 1, 'encoder_blocks': 1}
  videomae = {'name': 'videomae', 'variant': 'tiny', 'patch_size': 8}
  write_videomae(judge, {**videomae, **fields, 'tubelet_size': 2})
  rebuilt = {**_REBUILT, 'perceptual': judge}
  config = _config(
    1,
    **{'mesh.fsdp': 2, 'evals': {'rebuilt': {**rebuilt, 'every_steps': 1}}},
  )
  shapes = build_parts(config).shapes
  with config.unlocked():
    config.perceptual_checkpoint, config.losses.perceptual = judge, 1.0
  state = train(config, str(tmp_path / 'run'))
  assert jax.tree.structure(state) == jax.tree.structure(shapes)
  logged, evaluated = _rows(tmp_path / 'run')
  pixels, perceptual = logged['pixel_l2'], logged['perceptual']
  assert perceptual > 0
  assert logged['loss'] == pytest.approx(pixels + perceptual, rel=1e-5)
  assert any(key.endswith('perceptual_frame') for key in evaluated)


@pytest.mark.slow
def test_meshes_and_microbatches_give_the_same_losses(tmp_path, monkeypatch):
  devices = jax.local_devices()
  runs = {
    'fsdp': (4, {'mesh.fsdp': 2}),
    'accumulation': (4, {'accumulation_steps': 2}),
    'one': (1, {}),
  }
  for name, (num_devices, changes) in runs.items():
    monkeypatch.setattr(jax, 'devices', lambda num=num_devices: devices[:num])
    train(_config(3, batch_size=16, **changes), str(tmp_path / name))
  for name in ('fsdp', 'accumulation'):
    _assert_same_run(tmp_path / name, tmp_path / 'one')


@pytest.mark.usefixtures('one_device')
def test_sigterm_saves_and_the_same_command_goes_on(tmp_path):
  def interrupt():
    _wait_for_rows(tmp_path, 4)
    os.kill(os.getpid(), signal.SIGTERM)

  thread = threading.Thread(target=interrupt)
  thread.start()
  with pytest.raises(Interrupted) as stopped:
    train(_config(100), str(tmp_path))
  thread.join()
  assert stopped.value.code == 128 + signal.SIGTERM
  rows = _rows(tmp_path)
  assert 4 <= len(rows) < 100
  assert max(_checkpoints(tmp_path)) == rows[-1]['step']
  # A longer run has each step once.
  total_steps = len(rows) + 2
  state = train(_config(total_steps), str(tmp_path))
  assert int(state.step) == total_steps
  steps = [row['step'] for row in _rows(tmp_path)]
  assert steps == list(range(1, total_steps + 1))


class _Evaluation(Evaluation):
  """Counts how often it was run; does as `fail` says first."""

  sides = ()

  def __init__(self, fail=None):
    self.num_runs, self._fail = 0, fail

  def run(self, functions):
    del functions
    if self._fail:
      self._fail()
    self.num_runs += 1
    return Result({'runs': self.num_runs}, {})

  @classmethod
  def stand_in(cls, monkeypatch, fail=None):
    """For all that a config asks for."""
    evaluation = cls(fail)
    monkeypatch.setattr(
      'rvmae_jax.evals.schedule.build_evals',
      lambda entries, **_: dict.fromkeys(entries, evaluation),
    )
    return evaluation


@pytest.mark.usefixtures('one_device')
@pytest.mark.parametrize('num_steps', [2, 3])
def test_an_evaluation_that_fails_loses_no_step(
  tmp_path, monkeypatch, num_steps
):
  """It is made up for, where the run goes on and where it was at its end."""

  def config():
    entry = {'name': 'cost', 'every_steps': 2}
    return _config(num_steps, **{'checkpoint.every_steps': 2, 'evals.e': entry})

  def fail():
    raise ArithmeticError('out of memory')

  _Evaluation.stand_in(monkeypatch, fail)
  with pytest.raises(ArithmeticError):
    train(config(), str(tmp_path))
  assert _checkpoints(tmp_path) == [2]
  evaluation = _Evaluation.stand_in(monkeypatch)
  for _ in range(2):  # And nothing is done twice.
    assert int(train(config(), str(tmp_path)).step) == num_steps
    assert evaluation.num_runs == num_steps - 1
    rows = [(row['step'], 'loss' in row) for row in _rows(tmp_path)]
    expected = [(1, True), (2, True), (2, False), (3, True), (3, False)]
    assert rows == expected[: 2 * num_steps - 1]


@pytest.mark.usefixtures('one_device')
def test_a_run_told_to_stop_leaves_evaluations_to_the_next(
  tmp_path, monkeypatch
):
  evaluation = _Evaluation.stand_in(
    monkeypatch, lambda: os.kill(os.getpid(), signal.SIGTERM)
  )
  changes = {'evals.e': {'name': 'cost', 'every_steps': 1}}
  with pytest.raises(Interrupted):
    train(_config(2, **changes), str(tmp_path))
  # The signal comes in the evaluation of step 1: that of step 2 is left out.
  assert evaluation.num_runs == 1
  assert _checkpoints(tmp_path) == [2]
  evaluation = _Evaluation.stand_in(monkeypatch)
  train(_config(2, **changes), str(tmp_path))
  assert evaluation.num_runs == 1
  assert [row['step'] for row in _rows(tmp_path)] == [1, 1, 2, 2]


@pytest.mark.usefixtures('one_device')
def test_changed_config_is_told_on_restart(tmp_path, caplog):
  train(_config(2), str(tmp_path))
  train(_config(3, **{'log.max_skipped': 7}), str(tmp_path))
  assert 'total_steps: 2 -> 3' in caplog.text
  assert 'log.max_skipped: 2 -> 7' in caplog.text
  with pytest.raises(ValueError, match=r'model\.width: 32 -> 16'):
    train(_config(4, **{'model.width': 16}), str(tmp_path))


@pytest.mark.slow
def test_another_batch_size_goes_on_at_the_right_record(tmp_path, caplog):
  train(_config(2), str(tmp_path))
  train(_config(3, batch_size=16), str(tmp_path))
  assert 'batch_size: 8 -> 16. Data continue at record 16' in caplog.text
  position = tmp_path / 'checkpoints' / '3' / 'data' / 'metadata'
  assert json.loads(position.read_text()) == {'next_record': 32}


def test_a_second_run_in_a_workdir_is_refused(tmp_path):
  with (
    FolderLock(tmp_path, 'train'),
    pytest.raises(InUseError, match=rf'{tmp_path} is in use by .* since'),
  ):
    train(_config(), str(tmp_path))
  assert not list(tmp_path.iterdir())


def test_a_run_whose_workdir_was_taken_over_stops(tmp_path, monkeypatch):
  monkeypatch.setattr(locking, '_FIRST_BEAT_S', 0.01)
  monkeypatch.setattr(locking, '_BEAT_S', 0.01)

  stopped = threading.Event()

  def take_over():
    _wait_for_rows(tmp_path, 3)
    # Again and again: a beat that had read the lock before writes its own.
    while not stopped.wait(0.01):
      (tmp_path / 'train.lock').write_text('{}')

  thread = threading.Thread(target=take_over)
  thread.start()
  try:
    with pytest.raises(InUseError, match='taken over by an unknown writer'):
      train(_config(10_000), str(tmp_path))
  finally:
    stopped.set()
    thread.join()
  assert (tmp_path / 'train.lock').read_text() == '{}'


@pytest.mark.usefixtures('one_device')
def test_values_not_finite_stop_the_run(tmp_path):
  with pytest.raises(FloatingPointError, match='3 steps between 2 and 4 were'):
    train(_config(9, **{'optimizer.lr_per_256': 1e30}), str(tmp_path))


@pytest.mark.usefixtures('one_device')
def test_steps_of_zero_mean_only_at_the_end(tmp_path):
  entry = {'name': 'cost', 'every_steps': 0}
  never = {'checkpoint.every_steps': 0, 'log.every_steps': 0, 'evals.e': entry}
  train(_config(2, **never), str(tmp_path))
  assert [row['step'] for row in _rows(tmp_path)] == [2]
  assert _checkpoints(tmp_path) == [2]


def test_more_classes_than_the_head_has_are_refused(tmp_path):
  recipe = pathlib.Path(RECIPE).parents[1] / 'configs/from_scratch.py'
  config = load_config(f'{recipe}:runlocal,num_classes=3')
  config.batch_size = 8
  with config.unlocked():
    config.data.sources = {'videos': {'name': 'fake', 'num_classes': 4}}
  with pytest.raises(ValueError, match=r'4 classes, .*model\.num_classes=3'):
    train(config, str(tmp_path))


@pytest.mark.parametrize(
  ('num_classes', 'tested', 'message'),
  [
    (0, 0, r'no video of data\.sources\.noise has one'),
    (3, 5, r'evals\.accuracy\.videos\.sources\.noise has 5 classes.*=3'),
  ],
)
def test_labels_are_checked_before_the_first_step(
  num_classes, tested, message, tmp_path, monkeypatch
):
  recipe = pathlib.Path(RECIPE).parents[1] / 'configs/from_scratch.py'
  config = load_config(f'{recipe}:runlocal,num_classes=3')
  config.batch_size = 8
  with config.unlocked():
    source = {'name': 'fake', 'num_classes': num_classes}
    config.data.sources = {'noise': source}
    asked = {'name': 'fake', 'split': 'val', 'num_classes': tested}
    data = {'sources': {'noise': asked}, 'clip': 'run', 'crop': 'run'}
    entry = {'name': 'accuracy', 'every_steps': 4, 'data': data}
    config.evals = {'accuracy': entry}
  # Nothing is compiled or computed for it.
  state = types.SimpleNamespace(step=0)
  monkeypatch.setattr(jax, 'jit', lambda *_, **__: lambda *_: state)
  with pytest.raises(ValueError, match=message):
    train(config, str(tmp_path))
  assert not (tmp_path / 'metrics.jsonl').exists()


def test_batch_that_does_not_fit_the_devices_is_refused(tmp_path):
  with pytest.raises(
    ValueError, match=r'batch_size=12 .* 8 devices .* 8 or 16'
  ):
    train(_config(batch_size=12), str(tmp_path))


@pytest.mark.parametrize(
  ('key', 'value', 'message'),
  [
    ('ema_decay', 0.0, 'set config.ema_decay'),
    ('accumulation_steps', 2, 'accumulation_steps=2 must be 1'),
  ],
)
def test_contrastive_learning_asks_for_what_it_needs(key, value, message):
  config = load_config(str(MOCO))
  config[key] = value
  with pytest.raises(ValueError, match=message):
    build_parts(config)


@pytest.mark.parametrize(
  ('mask', 'num_frames', 'message'),
  [
    ('random', 16, "'videomae'.* needs .* same places .* one of: block, tube"),
    ('running_cell', 16, 'shows and rebuilds the same places'),
    ('tube', 15, '15 frames, which cannot be cut into tubelets of 2'),
  ],
)
def test_masks_and_clips_that_do_not_fit_are_refused_before_data_is_read(
  tmp_path, mask, num_frames, message
):
  recipe = pathlib.Path(RECIPE).parents[1] / 'configs/videomae_divided.py'
  config = load_config(f'{recipe}:runlocal,videos=/not/there')
  config.batch_size = 8
  config.data.mask.name = mask
  config.data.clip.num_frames = num_frames
  with pytest.raises(ValueError, match=message):
    train(config, str(tmp_path))


@pytest.mark.usefixtures('one_device')
def test_init_from_run_and_from_exported_file(tmp_path):
  trained = train(_config(2), str(tmp_path / 'run'))
  file = tmp_path / 'weights.npz'
  export.export(str(tmp_path / 'run'), file)
  mesh = sharding.make_mesh(fsdp=2, devices=jax.local_devices()[:2])
  for path, scan_layers in ((tmp_path / 'run', False), (file, True)):
    changes = {'ema_decay': 0.5, 'model.scan_layers': scan_layers}
    parts = build_parts(_config(**changes))
    shardings = sharding.state_shardings(parts.shapes, mesh)
    fresh = jax.jit(parts.init, out_shardings=shardings)()
    state = start_from(str(path), fresh, shardings)
    expected = jax.device_get(trained.params)
    if scan_layers:
      expected = stack_blocks(expected)
    for params in (state.params, state.ema_params):
      jax.tree.map(np.testing.assert_array_equal, params, expected)
    assert int(state.step) == 0


def test_dry_run_describes_parameters_batch_and_flops():
  text = describe(_config())
  for part in ('output/kernel', 'target_delta', '[8, 2, 4]', 'Training FLOPs'):
    assert part in text


@pytest.mark.usefixtures('one_device')
def test_a_finished_run_keeps_its_record_and_gets_what_it_lacks(tmp_path):
  train(_config(2), str(tmp_path), command='first')
  before = (tmp_path / 'config.json').read_text()
  (tmp_path / manifest.FILE).unlink()  # As if killed before it was there.
  changed = _config(2, **{'data.sources.noise.num_videos': 21})
  train(changed, str(tmp_path), command='second')
  assert (tmp_path / 'config.json').read_text() == before
  assert (tmp_path / 'command.txt').read_text() == 'first\n'
  [listed] = manifest.read(tmp_path)['sources']
  assert listed['num_videos'] == 20


def test_typo_is_answered_with_the_near_name(tmp_path):
  output = _finish(_start(tmp_path, '--config.total_stps=3'), expected=1)
  assert 'no setting \'total_stps\'. Did you mean "total_steps"' in output
  assert 'Traceback' not in output


@pytest.mark.slow
def test_kill_9_and_start_again_equals_an_uninterrupted_run(tmp_path):
  whole, killed = tmp_path / 'whole', tmp_path / 'killed'
  _finish(_start(whole, num_steps=16))
  process = _start(killed, num_steps=16)
  _wait_for_rows(killed, 8)  # By then step 3 is saved: step 6 waits for it.
  process.kill()
  process.wait()
  assert len(_rows(killed)) < 16
  output = _finish(_start(killed, num_steps=16))
  assert 'Resuming after step' in output
  assert [row['step'] for row in _rows(killed)] == list(range(1, 17))
  assert _losses(killed) == _losses(whole)
  jax.tree.map(
    np.testing.assert_array_equal,
    load_params(killed)[0],
    load_params(whole)[0],
  )


def _start_two(workdir, num_steps, *arguments, first=(), devices=1):
  """Two processes of some devices; `first` are arguments of one alone."""
  with contextlib.closing(socket.socket()) as free:
    free.bind(('localhost', 0))
    port = free.getsockname()[1]
  return [
    _start(
      workdir,
      f'--coordinator=localhost:{port}',
      '--num_processes=2',
      f'--process_id={process_id}',
      *arguments,
      *(() if process_id else first),
      devices=devices,
      num_steps=num_steps,
    )
    for process_id in range(2)
  ]


@pytest.mark.slow
@pytest.mark.parametrize(
  ('method', 'fsdp'), [('contrastive=False', 2), ('contrastive', 8)]
)
def test_two_processes_equal_one_which_goes_on_with_their_run(
  tmp_path, method, fsdp
):
  """Also where rows of both meet in the loss, and both hold a part of all."""
  two, one = tmp_path / 'two', tmp_path / 'one'
  mesh = f'--config.mesh.fsdp={fsdp}'
  for process in _start_two(two, f'3,{method}', mesh, devices=4):
    _finish(process)
  for workdir in (two, one):
    train(_config(f'4,{method}'), str(workdir))
  _assert_same_run(two, one)


@pytest.mark.slow
def test_two_processes_fail_together(tmp_path):
  """The second would wait for ever for a first that cannot build its model."""
  failing, waiting = _start_two(tmp_path, 4, first=('--config.model.name=rvn',))
  assert "Did you mean 'rvm'" in _finish(failing, expected=1)
  assert waiting.wait(60)


@pytest.mark.slow
def test_two_processes_stop_together(tmp_path):
  """A signal to one of them; both save the same step and leave."""
  last = 0
  for number in (signal.SIGTERM, signal.SIGINT):
    processes = _start_two(tmp_path, 1000)
    _wait_for_rows(tmp_path, last + 3)
    processes[1].send_signal(number)
    resumed_at = f'Resuming after step {last}' if last else ''
    for process in processes:
      output = _finish(process, expected=128 + signal.SIGTERM)
      assert 'the same command resumes there' in output
      assert resumed_at in output
    last = _rows(tmp_path)[-1]['step']
    assert last < 1000
  for process in _start_two(tmp_path, last + 2):
    assert f'Resuming after step {last}' in _finish(process)
  steps = [row['step'] for row in _rows(tmp_path)]
  assert steps == list(range(1, last + 3))
