"""Pruning: what counts for nothing goes, and nothing else changes."""

import types

import flax.traverse_util
import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from rvmae_jax.config_utils import load_config, merged
from rvmae_jax.models import build_model
from rvmae_jax.tools import prune

ROOT = prune.epath.Path(__file__).parents[2]


@pytest.fixture(scope='module')
def config():
  """The quick start with two core blocks, on a few videos."""
  recipe = load_config(f'{ROOT}/configs/rvm_quickstart.py:runlocal')
  recipe = recipe.copy_and_resolve_references()
  with recipe.unlocked():
    recipe.evals = ConfigDict()
  small = {'core_blocks': 2, 'encoder_blocks': 1, 'decoder_blocks': 1}
  videos = {'num_videos': 16, 'split': 'val'}
  return merged(
    recipe,
    {
      'batch_size': 4,
      'model': small,
      'log': {'pictures_every': 0, 'clu': ()},
      'data': {
        'sources': {'videos': videos},
        'clip': {'num_source': 2, 'num_target': 1},
      },
    },
  )


@pytest.fixture(scope='module')
def idle(config):
  """A network of which half of all heads, units and core blocks do nothing.

  Also a clip, and the features.
  """
  model = build_model(config.model)
  video = np.random.default_rng(0).integers(0, 256, (1, 2, 32, 32, 3), np.uint8)
  batch = prune._batches(config, 1)[0]
  params = jax.device_get(model.init(jax.random.key(0), batch)['params'])
  flat = flax.traverse_util.flatten_dict(params)
  for path, leaf in flat.items():
    leaf = flat[path] = np.array(leaf)
    if path[-1] == 'kernel' and path[-2] in ('out', 'dense_out'):
      leaf[1::2] = 0
    if (
      'core' in path
      and 'block_00' in path
      and path[-2]
      in (
        'out',
        'dense_out',
      )
    ):
      leaf[:] = 0
  params = flax.traverse_util.unflatten_dict(flat)
  features = model.apply({'params': params}, video, method='encode')
  return params, video, batch, np.asarray(features)


def test_what_does_nothing_is_taken_away(config, idle):
  params, video, batch, features = idle
  left, smaller = prune.prune(params, config, 0.5, [batch])
  assert smaller.model.encoder_heads == (2, 32)
  assert smaller.model.core_heads == (2, 32)
  assert smaller.model.encoder_mlp_dim == smaller.model.core_mlp_dim == 256
  assert smaller.model.core_blocks == 1
  # The core's first block did nothing, so its second is the one that stays.
  kept = left['core']['transformer']['blocks']['block_00']['mlp']['dense_out']
  old = params['core']['transformer']['blocks']['block_01']['mlp']['dense_out']
  np.testing.assert_array_equal(kept['kernel'], old['kernel'][::2])
  found = build_model(smaller.model).apply(
    {'params': left}, video, method='encode'
  )
  np.testing.assert_allclose(found, features, atol=1e-5)


def test_flops_and_arrays_of_the_pruned_network_fit(config, idle):
  params, video, batch, _ = idle
  left, smaller = prune.prune(params, config, 0.5, [batch])
  model = build_model(smaller.model)
  wanted = jax.eval_shape(model.init, jax.random.key(0), batch)['params']
  assert jax.tree.map(np.shape, left) == jax.tree.map(np.shape, wanted)
  before, after = (
    build_model(c.model).flops_per_clip({'video': video})
    for c in (config, smaller)
  )
  # Queries, keys, values, outputs, logits and MLPs: half of each.
  assert after['encoder'] == before['encoder'] / 2


@pytest.mark.usefixtures('one_device')
def test_zeros_stay_zero_in_training(config, idle, tmp_path):
  params = prune.sparsify(idle[0], 0.5)
  kernel = params['encoder']['blocks']['block_00']['mlp']['dense_in']['kernel']
  assert np.mean(kernel == 0) == pytest.approx(0.5, abs=1e-4)
  config = merged(config, {'optimizer': {'keep_zeros': True}})
  config = prune.recovery(config, '', 2, 0.3)
  prune._save(params, config, tmp_path)
  state = prune.train(config, tmp_path)
  trained = state.params['encoder']['blocks']['block_00']['mlp']['dense_in']
  np.testing.assert_array_equal(trained['kernel'] == 0, kernel == 0)
  assert np.abs(trained['kernel'] - kernel).max() > 0
  # Biases are not kept; those of idle units have no gradient.
  assert np.all(np.asarray(trained['bias'])[::2] != 0)


def test_scanned_layers_have_as_many_zeros_in_each_block():
  rng = np.random.default_rng(0)
  scales = np.array([0.3, 1, 3])[:, None, None]
  kernels = scales * rng.normal(size=(3, 8, 8))
  params = {'blocks': {'block': {'dense': {'kernel': kernels}}}}
  found = prune.sparsify(params, 0.25)['blocks']['block']['dense']['kernel']
  assert np.mean(found == 0, axis=(1, 2)).tolist() == [0.25] * 3


@pytest.mark.usefixtures('one_device')
def test_only_the_same_command_resumes(config, idle, tmp_path, monkeypatch):
  prune._save(idle[0], config, tmp_path / 'run')
  trained = []
  monkeypatch.setattr(prune, 'train', lambda *args: trained.append(args))
  given = {
    'checkpoint': str(tmp_path / 'run'),
    'workdir': str(tmp_path / 'pruned'),
    'share': 0.0,
    'sparsity': 0.5,
    'steps': 2,
    'lr_scale': 0.3,
    'batches': 1,
  }
  (tmp_path / 'pruned' / 'checkpoints').mkdir(parents=True)  # Cut off there.
  for _ in range(2):
    prune.main(types.SimpleNamespace(**given))
  (first, *_), (again, *_) = trained
  assert first.to_dict() == again.to_dict()
  for other in ({'sparsity': 0.25}, {'workdir': str(tmp_path / 'run')}):
    with pytest.raises(prune.app.UsageError, match='another --workdir'):
      prune.main(types.SimpleNamespace(**given | other))


def test_what_cannot_be_pruned_is_named(config):
  with pytest.raises(ValueError, match=r'share=1\.5'):
    prune.prune({}, config, 1.5, [])
  with pytest.raises(ValueError, match='sparsity=0'):
    prune.sparsify({}, 0.0)
  other = ConfigDict({'model': {'name': 'siammae', 'variant': 'tiny'}})
  with pytest.raises(ValueError, match='siammae'):
    prune.prune({}, other, 0.5, [])
