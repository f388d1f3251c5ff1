"""Checkpoints: round trip, what stays, and errors that name the difference."""

import resource
import shutil
import subprocess
import time

import jax
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from rvmae_jax.data.locking import FolderLock
from rvmae_jax.training import checkpointing, sharding
from rvmae_jax.training.checkpointing import (
  Checkpointer,
  SaveError,
  load_params,
)
from rvmae_jax.training.logging import storage_errors
from tests.training import stand_in

CONFIG = ConfigDict(
  {
    'model': {'width': 128, 'size': (8, 8)},
    'checkpoint': {'every_steps': 1, 'keep_last': 2, 'keep_every': 3},
  }
)


@pytest.fixture(scope='module', name='state')
def _state():
  """Of a run of one step; saving changes nothing of it."""
  return stand_in.run(1)[0]


def _shapes(state):
  return jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state
  )


def _assert_equal(a, b):
  jax.tree.map(np.testing.assert_array_equal, jax.device_get(a), b)


def test_round_trip_with_position_and_shardings(tmp_path):
  state, _ = stand_in.run(2, sharding.make_mesh(fsdp=2), ema_decay=0.5)
  position = {'next_index': 7, 'workers': [1, 2]}
  with Checkpointer(tmp_path, CONFIG) as checkpointer:
    checkpointer.save(2, state, position)
  with Checkpointer(tmp_path, CONFIG) as checkpointer:
    assert checkpointer.latest_step() == 2
    restored, restored_position = checkpointer.restore(_shapes(state))
  assert restored_position == position
  _assert_equal(restored, jax.device_get(state))
  kernel = restored.params['hidden']['kernel']
  assert kernel.sharding == state.params['hidden']['kernel'].sharding


def test_saved_values_are_those_at_the_call(tmp_path):
  """Steps that donate the state while it is being written change nothing."""
  mesh = sharding.make_mesh()
  state, _ = stand_in.run(1, mesh)
  before = jax.device_get(jax.tree.map(np.copy, state.params))
  overwrite = jax.jit(
    lambda state: jax.tree.map(lambda x: x * 0, state), donate_argnums=0
  )
  with Checkpointer(tmp_path, CONFIG) as checkpointer:
    checkpointer.save(1, state, None)
    for _ in range(20):
      state = overwrite(state)
  _assert_equal(load_params(tmp_path)[0], before)


def _file_sizes(limit):
  """Files longer than `limit` bytes cannot be written: like a full disk."""
  _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))


def test_a_save_that_fails_leaves_the_last_one_and_says_so(state, tmp_path):
  config = ConfigDict(CONFIG.to_dict())
  config.checkpoint.update(keep_last=1, keep_every=0)
  later = jax.tree.map(lambda x: x * 0, state)
  try:
    with (
      pytest.raises(SaveError, match=r'that of step 1.*File too large'),
      Checkpointer(tmp_path, config) as checkpointer,
    ):
      checkpointer.save(1, state, None)
      checkpointer.wait()
      _file_sizes(1000)
      checkpointer.save(2, later, None)
      for _ in range(6000):  # As between steps, until it has failed.
        time.sleep(0.01)
        checkpointer.check()
      pytest.fail('no error was seen')
  finally:
    _file_sizes(resource.RLIM_INFINITY)
  _assert_equal(state.params, load_params(tmp_path)[0])
  # There is space again, and what was left half-written is gone.
  with Checkpointer(tmp_path, config) as checkpointer:
    assert checkpointer.latest_step() == 1
    checkpointer.save(2, state, None)
  assert [p.name for p in (tmp_path / 'checkpoints').iterdir()] == ['2']


@pytest.fixture
def mounted(tmp_path):
  """A folder that is a disk of its own, and what makes it read-only or not.

  Root may write to any folder whatever its permissions say, but not to a disk
  that is mounted so.
  """
  folder = tmp_path / 'disk'
  folder.mkdir()

  def mount(*options):
    return subprocess.run(
      ['mount', *options, folder], capture_output=True, check=False
    )

  if shutil.which('mount') is None or mount('-t', 'tmpfs', 'tmpfs').returncode:
    pytest.skip('no disk can be mounted here')
  try:
    yield folder, lambda how: mount('-o', f'remount,{how}')
  finally:
    subprocess.run(['umount', '--lazy', folder], check=True)


def test_a_disk_that_turns_read_only_is_told(state, mounted):
  folder, remount = mounted
  with (
    pytest.raises(SaveError, match=r'that of step 1.*[Rr]ead-only file system'),
    Checkpointer(folder, CONFIG) as checkpointer,
  ):
    checkpointer.save(1, state, None)
    checkpointer.wait()
    remount('ro')
    checkpointer.save(2, state, None)
    checkpointer.wait()
  _assert_equal(state.params, load_params(folder)[0])
  # Asked for a run there, training says what to do before it begins.
  with (
    pytest.raises(OSError, match='make the folder writable'),
    storage_errors(folder),
  ):
    FolderLock(folder, 'train').__enter__()
  remount('rw')
  with Checkpointer(folder, CONFIG) as checkpointer:
    assert checkpointer.latest_step() == 1
    checkpointer.save(2, state, None)
  with Checkpointer(folder, CONFIG) as checkpointer:
    assert checkpointer.latest_step() == 2


def test_a_folder_that_vanishes_is_told(state, tmp_path):
  with (
    pytest.raises(SaveError, match='There is no complete checkpoint'),
    Checkpointer(tmp_path / 'run', CONFIG) as checkpointer,
  ):
    shutil.rmtree(tmp_path / 'run')
    (tmp_path / 'run').touch()  # Root may write anywhere else.
    checkpointer.save(1, state, None)


@pytest.mark.parametrize('part', ['data/metadata', 'state/manifest.ocdbt'])
def test_a_damaged_checkpoint_is_named_with_a_remedy(state, tmp_path, part):
  with Checkpointer(tmp_path, CONFIG) as checkpointer:
    checkpointer.save(1, state, {'next_record': 8})
  file = tmp_path / 'checkpoints/1' / part
  file.write_bytes(file.read_bytes()[:10])
  with (
    pytest.raises(
      ValueError, match=r'checkpoints/1 cannot be read: .*or delete it'
    ) as error,
    Checkpointer(tmp_path, CONFIG) as checkpointer,
  ):
    checkpointer.restore(_shapes(state))
  assert len(str(error.value)) < 1000


def test_another_batch_size_goes_on_at_the_same_record(state, tmp_path, caplog):
  former = CONFIG.to_dict() | {'batch_size': 8}
  with Checkpointer(tmp_path, ConfigDict(former)) as checkpointer:
    checkpointer.save(6, state, {'next_record': 24})
  later = ConfigDict(former | {'batch_size': 32})
  with Checkpointer(tmp_path, later) as checkpointer:
    _, restored = checkpointer.restore(_shapes(state))
  assert restored == {'next_record': 24}
  assert 'batch_size: 8 -> 32. Data continue at record 24' in caplog.text


def test_a_run_that_would_keep_no_checkpoint_is_refused(tmp_path):
  config = ConfigDict(CONFIG.to_dict())
  config.checkpoint.keep_last = 0
  with pytest.raises(ValueError, match='keep_last=0 would delete every'):
    Checkpointer(tmp_path, config)


def test_newest_and_every_kth_stay(state, tmp_path):
  with Checkpointer(tmp_path, CONFIG) as checkpointer:
    for step in range(1, 9):
      checkpointer.save(step, state, None)
  kept = {int(entry.name) for entry in (tmp_path / 'checkpoints').iterdir()}
  assert kept == {3, 6, 7, 8}


def test_load_params_from_workdir_and_checkpoint(tmp_path):
  state, _ = stand_in.run(3, ema_decay=0.5)
  with Checkpointer(tmp_path, CONFIG) as checkpointer:
    checkpointer.save(3, state, None)
  for path in (tmp_path, tmp_path / 'checkpoints' / '3'):
    params, config = load_params(path)
    _assert_equal(state.params, params)
    assert config.to_dict() == CONFIG.to_dict()
  _assert_equal(state.ema_params, load_params(tmp_path, ema=True)[0])


def test_load_params_hands_files_to_the_function_given(tmp_path):
  path = tmp_path / 'weights.npz'
  path.touch()
  loaded = load_params(path, load_file=lambda path: ({'from': path}, CONFIG))
  assert loaded == ({'from': str(path)}, CONFIG)
  with pytest.raises(ValueError, match=r'weights\.npz is a file'):
    load_params(path)


def test_missing_checkpoint_and_missing_mean_are_told(state, tmp_path):
  with pytest.raises(FileNotFoundError, match='No checkpoint at'):
    load_params(tmp_path)
  with Checkpointer(tmp_path, CONFIG) as checkpointer:
    checkpointer.save(1, state, None)
  with pytest.raises(ValueError, match='has no running mean'):
    load_params(tmp_path, ema=True)


def test_restart_with_another_model_names_config_and_arrays(state, tmp_path):
  with Checkpointer(tmp_path, CONFIG) as checkpointer:
    checkpointer.save(1, state, None)
  changed = ConfigDict(CONFIG.to_dict())
  changed.model.width = 64
  shapes = _shapes(state)
  shapes.params['hidden']['bias'] = jax.ShapeDtypeStruct((64,), np.float32)
  shapes.params['extra'] = shapes.params.pop('head')
  with (
    Checkpointer(tmp_path, changed) as checkpointer,
    pytest.raises(ValueError) as error,
  ):
    checkpointer.restore(shapes)
  for part in (
    'model.width: 128 -> 64',
    'no params/extra/kernel',
    'unknown params/head/kernel',
    'params/hidden/bias is (128,), not (64,)',
  ):
    assert part in str(error.value)
  with (
    Checkpointer(tmp_path, CONFIG) as checkpointer,
    pytest.raises(ValueError, match='another version of the code made it'),
  ):
    checkpointer.restore(shapes)


def test_parts_without_arrays_may_differ(state, tmp_path):
  """Such as the state of a part of the optimizer that is no longer needed."""
  empty = optax.EmptyState()
  before = state.replace(opt_state=(empty, state.opt_state))
  after = state.replace(opt_state=((empty, empty, ()), state.opt_state))
  with Checkpointer(tmp_path, CONFIG) as checkpointer:
    checkpointer.save(1, before, None)
  with Checkpointer(tmp_path, CONFIG) as checkpointer:
    restored, _ = checkpointer.restore(_shapes(after))
  _assert_equal(restored, jax.device_get(after))


def test_config_changes_are_named_by_their_full_keys():
  new = ConfigDict({'model': {'width': 64, 'size': (8, 8)}, 'seed': 1})
  assert checkpointing.config_changes(CONFIG, new) == [
    "checkpoint.every_steps: 1 -> '(absent)'",
    "checkpoint.keep_every: 3 -> '(absent)'",
    "checkpoint.keep_last: 2 -> '(absent)'",
    'model.width: 128 -> 64',
    "seed: '(absent)' -> 1",
  ]
