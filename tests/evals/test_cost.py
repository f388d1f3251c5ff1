"""Cost: all cases are there, and counts are right; timings are only shown."""

import jax
import pytest
from ml_collections import ConfigDict

from rvmae_jax import visualize
from rvmae_jax.batch import fake_batch
from rvmae_jax.data.pipeline import batch_spec
from rvmae_jax.evals import build_eval
from rvmae_jax.evals.cost import other_model
from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.models import build_model
from rvmae_jax.training import sharding

_DATA = ConfigDict(
  {
    'sources': {'noise': {'name': 'fake', 'num_videos': 2}},
    'clip': {'name': 'source_target', 'gap': (1, 2)},
    'crop': {'size': (16, 16)},
    'mask': {'name': 'target', 'ratio': 0.75},
  }
)
_TINY = {'variant': 'tiny', 'patch_size': 8, 'encoder_blocks': 1}
_BESIDE = {'name': 'videomae', **_TINY}


def test_every_case_is_measured_and_counted(tmp_path):
  model = build_model({'name': 'rvm', **_TINY})
  batch = fake_batch(batch_spec(_DATA, 1, 8))
  params = jax.jit(model.init)(jax.random.key(0), batch)['params']
  # Spread over devices, as while training.
  mesh = sharding.make_mesh(data=2, devices=jax.devices()[:2])
  functions = ModelFunctions(
    model,
    jax.device_put(params, sharding.replicated(mesh)),
    mesh,
    build_model=build_model,
  )
  evaluation = build_eval(
    {
      'name': 'cost',
      'batch_sizes': (2,),
      'lengths': (2, 4),
      'seconds': 0.0,
      'beside': {'clips': {'model': _BESIDE}},
    },
    run_config=ConfigDict({'model': {'patch_size': 8}, 'data': {}}),
    shared=_DATA,
    batch_size=2,
  )
  metrics, arrays = evaluation.run(functions)
  assert {key.rpartition('/')[0] for key in metrics} == {
    'this',
    'this/encode/batch_2/frames_2',
    'this/encode/batch_2/frames_4',
    'this/step/batch_2',
    'clips',
    'clips/encode/batch_2/frames_2',
    'clips/encode/batch_2/frames_4',
  }
  in_use = ('patch_embedding', 'cls_token', 'encoder', 'core')
  leaves = jax.tree.leaves({key: params[key] for key in in_use})
  assert metrics['this/parameters'] == sum(leaf.size for leaf in leaves)
  two, four = (metrics[f'this/encode/batch_2/frames_{t}/gflop'] for t in (2, 4))
  assert four == pytest.approx(2 * two)
  assert metrics['this/step/batch_2/gflop'] == pytest.approx(two / 2)
  # The parameters alone, as float32.
  for network in ('this', 'clips'):
    planned = metrics[f'{network}/encode/batch_2/frames_2/mib']
    assert planned > 4 * metrics[f'{network}/parameters'] / 2**20
  [path] = visualize.draw('cost', arrays, metrics, tmp_path)
  assert path.name == 'cost.png'


def test_a_network_beside_is_a_recipes_with_changes():
  entry = {'recipe': 'configs/videomae.py:variant=tiny', 'model': {'width': 8}}
  model = other_model(entry)
  assert (model.name, model.variant, model.width) == ('videomae', 'tiny', 8)
