"""Their training beside ours: the same steps, where torch is there."""

import importlib.util
import pathlib

import jax
import numpy as np
import pytest

from rvmae_jax.config_utils import load_config, merged
from rvmae_jax.parts import build_parts
from rvmae_jax.tools import train_hugging_face
from rvmae_jax.tools.hugging_face_network import build_network

ROOT = pathlib.Path(__file__).parents[2]
NOISE = {'name': 'fake', 'num_videos': 16, 'num_frames': 4, 'size': (32, 32)}
FIXED_TABLES = {
  'vit.embeddings.position_embeddings',
  'decoder.decoder_pos_embed',
}

needs_torch = pytest.mark.skipif(
  not all(map(importlib.util.find_spec, ('torch', 'transformers'))),
  reason='needs torch and transformers',
)


def recipe(method, **changes):
  config = load_config(f'{ROOT}/configs/compare_hugging_face.py:{method}')
  clip = {'num_frames': 4} if method.startswith('method=videomae') else {}
  small = {
    'batch_size': 2,
    'total_steps': 6,
    'model': {'encoder_blocks': 1, 'decoder_blocks': 1, 'width': 32},
    # So much that a step without clipping or decay would be seen.
    'optimizer': {'lr_per_256': 0.2, 'weight_decay': 3.0, 'clip_norm': 0.1},
    'schedule': {'warmup_steps': 2},
    'data': {'sources': {'videos': NOISE}, 'clip': clip},
  }
  return merged(merged(config, small), changes)


@needs_torch
@pytest.mark.parametrize('targets', ['', ',pixels'])
@pytest.mark.parametrize('method', ['method=videomae', 'method=image_mae'])
def test_steps_are_theirs(method, targets):
  """Warm-up, clipping and decay all act within these steps."""
  config = recipe(method + targets)
  curves = train_hugging_face.train_both(config)
  for metric in ('loss', 'grad_norm', 'lr'):
    differences = train_hugging_face.relative_differences(curves, metric)
    assert differences.max() < 1e-4, metric
  assert curves['grad_norm/ours'].max() > config.optimizer.clip_norm
  # It learns: equal losses of networks that stand still would say nothing.
  assert np.ptp(curves['loss/ours']) > 1e-3


@needs_torch
def test_fixed_tables_of_theirs_stay_fixed():
  config = recipe('method=image_mae')
  params = jax.device_get(jax.jit(build_parts(config).init)().params)
  for given in (None, params):
    network = build_network(config, given)
    fixed = {n for n, p in network.named_parameters() if not p.requires_grad}
    assert fixed == FIXED_TABLES


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'optimizer': {'name': 'sgd'}}, "config.optimizer.name='sgd'"),
    ({'accumulation_steps': 2}, 'set --config.accumulation_steps=1'),
    ({'model': {'dtype': 'bfloat16'}}, "written for 'float32'"),
  ],
)
def test_other_recipes_are_refused(changes, message):
  config = recipe('method=videomae', **changes)
  with pytest.raises(ValueError, match=message):
    train_hugging_face.TorchTraining(config, {})


def test_differences_are_shares_of_theirs():
  curves = {
    'loss/ours': np.array([2.0, 1.1]),
    'loss/theirs': np.array([2.0, 1]),
  }
  found = train_hugging_face.relative_differences(curves)
  np.testing.assert_allclose(found, [0, 0.1])


def test_a_thinned_curve_has_means_of_its_parts():
  steps, means = train_hugging_face.thinned(np.array([1.0, 3, 5, 7]), 2)
  assert (steps, means) == ([2, 4], [2.0, 6.0])


def test_the_summary_has_the_largest_differences():
  theirs = np.ones(200)
  ours = theirs.copy()
  ours[3], ours[150] = 1.001, 1.5  # The second comes after the first 50.
  curves = {
    f'{metric}/{who}': values
    for metric in ('loss', 'grad_norm')
    for who, values in (('ours', ours), ('theirs', theirs))
  }
  summary = train_hugging_face.summarize(curves, 'VideoMAE')
  row = dict(zip(summary['columns'], summary['rows'][0]))
  assert row['steps'] == 200
  assert row['loss, first 50'] == '1.0e-03'
  assert row['curve, all'] == '2.5e-01'  # Two steps to a point.
