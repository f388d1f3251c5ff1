"""The table of smaller networks: what is compared, and against what."""

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from rvmae_jax.config_utils import load_config, merged
from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.tools import prune, smaller

pytest.importorskip('qwix', reason='needs the extra [quant]')
ROOT = prune.epath.Path(__file__).parents[2]


@pytest.fixture(scope='module')
def networks(tmp_path_factory):
  """Small networks made of one run, and a clip."""
  run = tmp_path_factory.mktemp('run')
  config = merged(
    load_config(f'{ROOT}/configs/rvm_quickstart.py'),
    {
      'model': {
        'width': 32,
        'decoder_width': 16,
        'encoder_blocks': 1,
        'decoder_blocks': 1,
      }
    },
  )
  params = jax.device_get(prune.build_parts(config).init().params)
  prune._save(params, config, run)
  video = np.random.default_rng(0).integers(0, 256, (2, 2, 16, 16, 3), np.uint8)
  found = smaller.networks(str(run), [str(run)], video)
  return {network.name: network for network in found}, video, str(run)


def test_a_released_network_is_compared_too(networks, monkeypatch):
  """Its config, read off the arrays, says neither `scan_layers` nor `dtype`."""
  found, video, _ = networks
  full = found['float32']
  config = ConfigDict({'model': {**full.run_config.model}})
  for key in ('scan_layers', 'dtype'):
    del config.model[key]
  monkeypatch.setattr(
    smaller.weights, 'load', lambda _: (full.params, config.lock())
  )
  first = next(smaller.networks('released.npz', [], video))
  assert first.model == full.model


def test_pruned_runs_are_compared_in_float32(networks, monkeypatch):
  found, video, _ = networks
  full = found['float32']
  config = ConfigDict({'model': {**full.run_config.model, 'dtype': 'bfloat16'}})
  monkeypatch.setattr(smaller.weights, 'load', lambda _: (full.params, config))
  *_, pruned = smaller.networks('run', ['pruned'], video)
  assert pruned.model == full.model


def test_rows_are_of_the_same_network(networks):
  found, video, run = networks
  assert list(found) == [
    *('float32', 'bfloat16', 'int8', 'int4', 'dynamic_int8'),
    run,
  ]
  full = found['float32']
  assert 'decoder' not in full.params
  expected = ModelFunctions(full.model, full.params).encode(video)
  config = ConfigDict({'evals': {}, 'data': {}, 'batch_size': 2, 'seed': 0})
  config.columns = ()
  num, flops, alike = zip(
    *(
      smaller.measure(network, config, video, expected)
      for network in found.values()
    )
  )
  assert num[0] == num[5] > num[1] > num[2] == num[4] > num[3]
  assert len(set(flops)) == 1
  assert alike[0] == pytest.approx(1) and alike[5] == pytest.approx(1)
  assert 1 > alike[2] > alike[3] > 0.9
  times_ms = smaller.milliseconds({'float32': full}, video)
  assert times_ms['float32'] > 0
