"""A network seen as functions: what is the same and what is fresh."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvmae_jax.batch import fake_batch
from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.models import build_model
from rvmae_jax.training.sharding import make_mesh

_SPEC = {
  'video': jax.ShapeDtypeStruct((8, 2, 16, 16, 3), 'uint8'),
  'target': jax.ShapeDtypeStruct((8, 1, 16, 16, 3), 'uint8'),
  'target_delta': jax.ShapeDtypeStruct((8, 1), 'int32'),
  'ids_keep': jax.ShapeDtypeStruct((8, 1, 1), 'int32'),
}


@pytest.fixture(scope='module')
def network():
  """A small model, its parameters of seed 3 and a batch."""
  small = {'patch_size': 8, 'encoder_blocks': 1, 'decoder_blocks': 1}
  model = build_model({'name': 'rvm', 'variant': 'tiny', **small})
  batch = fake_batch(_SPEC)
  params = jax.jit(model.init)(jax.random.key(3), batch)['params']
  return model, params, batch


def test_a_mesh_changes_no_number(network):
  model, params, batch = network
  one = ModelFunctions(model, params)
  mesh = make_mesh(data=4, fsdp=2)
  many = ModelFunctions(model, jax.device_get(params), mesh)
  batch = batch | {'host/bad_videos': np.zeros(8)}
  np.testing.assert_allclose(
    one.predict(batch)['pred'], many.predict(batch)['pred'], atol=1e-5
  )
  np.testing.assert_allclose(
    one.encode(batch['video']), many.encode(batch['video']), atol=1e-5
  )


def test_the_untrained_network_is_that_of_a_full_init(network):
  model, params, batch = network
  trained = jax.tree.map(lambda leaf: leaf + 0.1, params)
  untrained = ModelFunctions(model, trained).untrained(batch['video'], seed=3)
  np.testing.assert_allclose(
    untrained.encode(batch['video']),
    ModelFunctions(model, params).encode(batch['video']),
    atol=1e-5,
  )


def test_fresh_networks_of_other_seeds_are_compiled_once(network, caplog):
  model, params, batch = network
  functions = ModelFunctions(model, params)
  compiled = []
  with jax.log_compiles(), caplog.at_level('DEBUG'):
    for seed in range(2):
      functions.with_params(params).untrained(batch['video'], seed)
      compiled.append('Compiling' in caplog.text)
      caplog.clear()
  assert compiled == [True, False]


def test_other_parameters_start_with_an_empty_cache(network):
  model, params, batch = network
  functions = ModelFunctions(model, params)
  functions.cache['key'] = 1
  other = functions.with_params(jax.tree.map(np.zeros_like, params))
  assert other.cache == {} and functions.cache == {'key': 1}
  assert not other.encode(batch['video']).any()


def test_per_frame_features_ignore_other_frames(network):
  model, params, batch = network
  functions = ModelFunctions(model, params)
  alone, video = functions.per_frame(), batch['video']
  assert functions.is_recurrent and not alone.is_recurrent
  np.testing.assert_allclose(
    alone.encode(video)[:, ::-1], alone.encode(video[:, ::-1]), atol=1e-5
  )
  with pytest.raises(AssertionError):
    np.testing.assert_allclose(
      functions.encode(video)[:, ::-1], functions.encode(video[:, ::-1])
    )


def test_predictions_become_frames(network):
  model, params, batch = network
  functions = ModelFunctions(
    model,
    params,
    to_frames=lambda out, batch: 0 * out['pred'] + len(batch['video']),
  )
  assert (np.asarray(functions.predict(batch)['rebuilt']) == 8).all()


def test_a_frame_is_as_far_away_as_it_differs(network):
  model, params, batch = network
  functions = ModelFunctions(model, params)
  frames = batch['video'][:, 0] / np.float32(255)
  nearer, further = (
    functions.perceptual_distance(frames, frames * share).mean()
    for share in (0.9, 0.2)
  )
  assert functions.perceptual_distance(frames, frames).max() < 1e-6
  assert 0 < nearer < further < 4


@pytest.mark.parametrize('on_mesh', [False, True])
def test_another_network_can_judge(network, on_mesh):
  model, params, batch = network
  loaded = []

  def load_judge(path):
    loaded.append(path)
    return _Judge(params=np.full(2, 3, np.float32))

  mesh = make_mesh(fsdp=2) if on_mesh else None
  functions = ModelFunctions(model, params, mesh, load_judge=load_judge)
  frames = batch['video'][:, 0] / np.float32(255)
  for _ in range(2):
    distance = functions.perceptual_distance(frames, frames / 2, 'vgg.pth')
  np.testing.assert_allclose(distance, frames.mean((1, 2, 3)) * 3, rtol=1e-5)
  assert loaded == ['vgg.pth']


class _Judge(NamedTuple):
  """Looks at the mean of pixels, many times over."""

  params: np.ndarray

  def distance(self, params, video, other):
    # No NumPy array: one would be a constant of the program.
    assert isinstance(params, jax.core.Tracer)
    return params.sum() * jnp.abs(video - other).mean((1, 2, 3, 4))


def test_parameters_of_the_host_are_placed_once(network):
  model, params, batch = network
  host = jax.device_get(params)
  functions = ModelFunctions(model, host)
  other = functions.with_params(host)
  video = jax.device_put(batch['video'])
  wanted = functions.encode(video)
  with jax.transfer_guard_host_to_device('disallow'):
    found = other.encode(video)
  np.testing.assert_array_equal(found, wanted)
