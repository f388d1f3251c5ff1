"""Their model beside ours: figures that fit together, where torch is there."""

import importlib.util

import pytest

from rvmae_jax.benchmarks.hugging_face import (
  TorchBenchmark,
  benchmark_hugging_face,
)
from rvmae_jax.config_utils import load_config

_RECIPE = 'configs/videomae.py:variant=tiny,runlocal'
_HAS_TORCH = all(map(importlib.util.find_spec, ('torch', 'transformers')))


@pytest.fixture(name='config')
def _config():
  config = load_config(_RECIPE)
  config.batch_size = 2
  config.model.dtype = 'float32'
  return config


@pytest.mark.skipif(_HAS_TORCH, reason='torch and transformers are installed')
def test_without_torch_the_remedy_is_named(config):
  with pytest.raises(ModuleNotFoundError, match='pip install torch trans'):
    TorchBenchmark(config, compiled=False)


@pytest.mark.skipif(not _HAS_TORCH, reason='needs torch and transformers')
def test_figures_follow_from_the_times(config):
  results = benchmark_hugging_face(config, 1.0, compiled=False)
  theirs, ours = results['hugging face'], results['rvmae_jax']
  assert theirs['speed_ratio'] == 1
  assert ours['speed_ratio'] == pytest.approx(
    theirs['step_ms'] / ours['step_ms']
  )
