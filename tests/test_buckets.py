"""A run whose workdir is a bucket: all of it goes there and comes back."""

import json
import pathlib
import sys

import jax
import numpy as np
import pytest

from rvmae_jax.config_utils import load_config
from rvmae_jax.data import manifest
from rvmae_jax.train import train
from rvmae_jax.training.checkpointing import find_checkpoint, load_params

RECIPE = pathlib.Path(__file__).with_name('tiny_recipe.py')


def _train(num_steps, workdir):
  return train(load_config(f'{RECIPE}:steps={num_steps}'), workdir)


def _steps(folder):
  lines = (folder / 'metrics.jsonl').read_text().splitlines()
  return [json.loads(line)['step'] for line in lines]


def test_a_run_goes_on_and_is_read_where_it_lies(bucket):
  run, folder = 'gs://bucket/run', bucket / 'run'
  _train(2, run)
  state = _train(4, run)
  assert _steps(folder) == [1, 2, 3, 4]
  [listed] = manifest.read(run)['sources']
  assert (listed['alias'], listed['num_videos']) == ('noise', 20)
  params, config = load_params(run)
  jax.tree.map(
    np.testing.assert_array_equal, params, jax.device_get(state.params)
  )
  assert config.total_steps == 4
  # A kill while the last checkpoint was on its way.
  (folder / 'checkpoints/4/commit_success.txt').unlink()
  assert find_checkpoint(run).name == '3'
  assert int(_train(4, run).step) == 4
  assert _steps(folder) == [1, 2, 3, 4]


def test_a_checkpoint_comes_after_the_lines_before_it(bucket, monkeypatch):
  """In a bucket lines wait; those that a run does not write again do not."""
  monkeypatch.setattr('orbax.checkpoint.CheckpointManager.save', _stop)
  with pytest.raises(KeyboardInterrupt):
    _train(4, 'gs://bucket/run')
  assert _steps(bucket / 'run') == [1, 2, 3]


def test_a_bucket_needs_its_client(bucket, monkeypatch):
  monkeypatch.setitem(sys.modules, 'google.cloud.storage', None)
  with pytest.raises(ModuleNotFoundError, match=r'gs://bucket/run .*\[gcs\]'):
    _train(1, 'gs://bucket/run')


def _stop(*unused, **also_unused):
  raise KeyboardInterrupt
