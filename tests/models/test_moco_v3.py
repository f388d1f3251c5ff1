import functools

import jax
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from rvmae_jax.batch import fake_batch
from rvmae_jax.models import build_model
from rvmae_jax.objectives.contrastive import Contrastive
from tests import tiny_recipe

MODEL = build_model(tiny_recipe.get_config('contrastive').model)
CLIPS = jax.ShapeDtypeStruct((16, 2, 16, 16, 3), np.uint8)


@pytest.fixture(scope='module')
def batch():
  return fake_batch({'video': CLIPS, 'view2': CLIPS})


@pytest.fixture(scope='module')
def params(batch):
  return [
    jax.jit(MODEL.init)(jax.random.key(seed), batch)['params']
    for seed in range(2)
  ]


def loss_fn(params, ema_params, batch):
  def apply(params, batch, *, train, rng):
    del rng
    return MODEL.apply({'params': params}, batch, train=train)

  objective = Contrastive({'info_nce': 1.0})
  return objective(
    apply, params, batch, rng=None, train=True, ema_params=ema_params
  )


def test_eight_devices_equal_one(batch, params):
  """Batch norm and negatives are those of the global batch."""
  step = jax.jit(jax.value_and_grad(loss_fn, has_aux=True))
  (loss, metrics), gradient = step(*params, batch)
  mesh = Mesh(jax.devices(), ('data',))
  rows = NamedSharding(mesh, PartitionSpec('data'))
  everywhere = NamedSharding(mesh, PartitionSpec())
  (loss_8, metrics_8), gradient_8 = step(
    *jax.device_put(params, everywhere), jax.device_put(batch, rows)
  )
  assert float(loss_8) == pytest.approx(float(loss), rel=1e-5)
  for name, value in metrics.items():
    assert float(metrics_8[name]) == pytest.approx(float(value), rel=1e-4), name
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4),
    gradient,
    gradient_8,
  )


def test_a_view_does_not_see_the_other(batch, params):
  run = jax.jit(MODEL.apply)
  both = run({'params': params[0]}, batch)
  other = run({'params': params[0]}, {**batch, 'view2': 255 - batch['view2']})
  for key in ('projection', 'prediction'):
    np.testing.assert_allclose(both[key][:, 0], other[key][:, 0], atol=1e-5)
    assert np.abs(both[key][:, 1] - other[key][:, 1]).max() > 0.1


def test_features_are_those_of_encode(batch, params):
  variables = {'params': params[0]}
  out = jax.jit(MODEL.apply)(variables, batch)
  encode = jax.jit(functools.partial(MODEL.apply, method='encode'))
  features = encode(variables, batch['view2'])
  np.testing.assert_allclose(out['features'][:, 1], features, atol=1e-4)


def test_one_view_is_answered(batch):
  with pytest.raises(ValueError, match="clip sampler 'two_views'"):
    MODEL.init(jax.random.key(0), {'video': batch['video']})
