"""Readout heads on real networks, which may learn with them."""

import functools
import pathlib

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from rvmae_jax.config_utils import load_config
from rvmae_jax.evals import build_eval
from rvmae_jax.evals.depth import DepthEval
from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.evals.readouts import TunedReadout
from rvmae_jax.models import MODELS, build_model
from rvmae_jax.training.sharding import make_mesh
from tests.evals.readouts.readout_tasks import (
  FRAMES,
  PATCH,
  SIZE,
  evaluation,
  tiny_network,
)

_CONFIGS = pathlib.Path(__file__).resolve().parents[3] / 'configs'
# What registered networks need beside a name, a size and a patch size.
NETWORKS = {
  'arvideo': {},
  'classifier': {'backbone': 'videomae', 'num_classes': 2},
  'moco_v3': {'backbone': 'videomae'},
  'rvm': {},
  'rvmae': {},
  'siammae': {},
  'videomae': {},
}


def test_devices_change_no_feature():
  """All that heads are given: 10 clips in batches of 8, the last filled up."""
  asked = evaluation('depth', test={'split': 'test', 'num_videos': 10})
  frames = [clip.frames for clip in asked.read_test()]
  found = []
  for number in (1, 2, 8):
    mesh = make_mesh(devices=jax.devices()[:number])
    functions = ModelFunctions(*tiny_network(), mesh)
    found.append(asked.features(functions, frames).astype(np.float32))
  assert len(found[0]) == 10
  for features in found[1:]:
    np.testing.assert_allclose(features, found[0], atol=5e-3)  # Of float16.


def test_a_network_learns_with_its_head():
  """On eight clips; with the encoder frozen, the head finds less of them."""
  asked = evaluation('depth', learning_rates=(3e-3,), num_epochs=40)
  clips = asked.read_test()
  frames = np.stack([clip.frames for clip in clips])
  functions = ModelFunctions(*tiny_network())
  frozen, tuned = (
    asked.fit((rows, clips), (rows, clips), 0, network)[1]['validation_AbsRel']
    for rows, network in (
      (asked.features(functions, [*frames]), None),
      (frames, functions),
    )
  )
  assert tuned < 0.8 * frozen


def test_what_learns_is_what_was_asked_for(monkeypatch):
  """Frames go in instead of features, and only networks are tuned."""
  asked = evaluation(
    'depth', learns='all', encoders=('trained', 'pixels'), network_rate=0.5
  )
  seen = []

  def fit(self, train, validation, seed, network=None):
    seen.append((train[0].dtype, network))
    return (lambda row, truth: truth['depth']), {}

  monkeypatch.setattr(DepthEval, 'fit', fit)
  functions = ModelFunctions(*tiny_network())
  assert asked.run(functions).metrics['trained/AbsRel'] == 0
  assert seen == [(np.uint8, functions), (np.float16, None)]


def test_there_is_a_case_for_every_network():
  assert set(NETWORKS) == set(MODELS.names())


@pytest.mark.parametrize('name', NETWORKS)
def test_every_network_learns_with_its_head(name):
  """All that features need gets a gradient; nothing is computed."""
  model = build_model(
    {'name': name, 'variant': 'tiny', 'patch_size': PATCH} | NETWORKS[name]
  )
  asked = evaluation('depth')
  head = TunedReadout(model, 'encode', asked.make_head(asked.read_test()))
  video = np.zeros((2, FRAMES, SIZE, SIZE, 3), np.uint8)
  params = jax.eval_shape(head.init, jax.random.key(0), video)['params']
  needed = jax.eval_shape(
    functools.partial(model.init, method='encode'), jax.random.key(0), video
  )['params']
  assert jax.tree.structure(params['network']) == jax.tree.structure(needed)
  depth = np.zeros(video.shape[:-1])
  gradients = jax.eval_shape(
    jax.grad(lambda p: asked.loss(head.apply({'params': p}, video), depth)),
    params,
  )
  assert jax.tree.structure(gradients) == jax.tree.structure(params)


def test_a_token_may_span_several_frames():
  """Of a real network, whose clips have fewer tokens than frames in time."""
  run = load_config(f'{_CONFIGS}/videomae.py:variant=tiny,runlocal')
  model = build_model(run.model)
  video = np.zeros((1, 8, SIZE, SIZE, 3), np.uint8)
  init = functools.partial(model.init, method='encode')
  functions = ModelFunctions(
    model, jax.jit(init)(jax.random.key(0), video)['params']
  )
  entry = {
    'name': 'point_tracking',
    'dataset': {'name': 'parallax', 'size': SIZE, 'num_videos': 2},
    'num_frames': 8,
    'encoders': ('trained', 'pixels'),
    'zero_shot': True,
  }
  asked = build_eval(
    ConfigDict(entry | {'data': {'crop': {'size': (SIZE, SIZE)}}}),
    run_config=run,
    batch_size=4,
  )
  assert asked.videos.tubelet_size == 2
  metrics, arrays = asked.run(functions)
  assert 0 <= metrics['trained/strided/AJ'] <= 1
  shapes = {k: arrays[f'points_0/{k}'].shape for k in ('trained', 'true')}
  assert shapes['trained'] == shapes['true']
