"""The training step: accumulation, running mean, skipping, meshes."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rvmae_jax.training import sharding
from rvmae_jax.training.state import TrainState
from rvmae_jax.training.step import (
  accumulated_grads,
  make_train_step,
  make_update,
)
from tests.training import stand_in


def test_parts_of_a_batch_weigh_by_the_rows_that_count():
  """Two of four rows have a label; both are in the first part."""

  def loss_fn(params, batch, rng):
    del rng
    counts = jnp.float32(batch['label'] >= 0)
    errors = counts * jnp.square(params - batch['x'])
    loss = errors.sum() / jnp.maximum(counts.sum(), 1e-6)
    return loss, {'loss': loss, 'num_counted': counts.sum()}

  batch = {
    # Rows of a part are num_steps apart.
    'label': jnp.array([0, -1, 2, -1]),
    'x': jnp.array([1.0, 50.0, 3.0, 70.0]),
  }
  for num_steps in (1, 2):
    loss, metrics, grads = accumulated_grads(
      loss_fn, jnp.float32(0), batch, jax.random.key(0), num_steps
    )
    # (1 + 9) / 2 and -2 (1 + 3) / 2.
    assert (float(loss), float(grads)) == (5, -4)
    assert metrics == {'loss': 5, 'num_counted': 2}


def test_accumulated_gradient_equals_that_of_the_whole_batch():
  params = stand_in.init_params(jax.random.key(0))
  batch = next(stand_in.batches(1))
  rng = jax.random.key(1)
  whole = accumulated_grads(stand_in.loss_fn, params, batch, rng, 1)
  parts = accumulated_grads(stand_in.loss_fn, params, batch, rng, 4)
  np.testing.assert_allclose(parts[0], whole[0], rtol=1e-6)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7),
    parts[2],
    whole[2],
  )


@pytest.fixture(scope='module')
def on_one_device():
  return stand_in.run(5)


@pytest.mark.parametrize(
  'mesh, options',
  [
    ({'data': 2}, {}),
    ({'data': 2, 'fsdp': 2}, {}),
    ({'data': 8}, {}),
    ({'data': 4, 'fsdp': 2}, {}),
    ({'data': 1, 'fsdp': 8}, {}),
    ({'data': 4, 'fsdp': 2}, {'accumulation_steps': 2}),
  ],
)
def test_many_devices_equal_one(on_one_device, mesh, options):
  one, one_metrics = on_one_device
  devices = jax.devices()[: math.prod(mesh.values())]
  mesh = sharding.make_mesh(**mesh, devices=devices)
  many, many_metrics = stand_in.run(5, mesh, **options)
  for a, b in zip(one_metrics, many_metrics):
    np.testing.assert_allclose(a['loss'], b['loss'], rtol=1e-5)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
    jax.device_get(one.params),
    jax.device_get(many.params),
  )


def test_moments_lie_where_their_parameters_lie():
  state, _ = stand_in.run(1, sharding.make_mesh(data=2, fsdp=4))
  adam = optax.tree_utils.tree_get(state.opt_state, 'mu')
  assert jax.tree.map(lambda x: x.sharding, adam) == jax.tree.map(
    lambda x: x.sharding, state.params
  )
  kernel = state.params['hidden']['kernel']
  assert kernel.addressable_shards[0].data.shape == (48, 32)


def _scalar_step(loss_fn, ema_decay=0.0, **options):
  """A step of plain gradient descent with rate 0.5 on one number."""
  tx = optax.sgd(0.5)
  update = make_update(tx, lambda step: 0.5, ema_decay)
  step = make_train_step(loss_fn, update, seed=0, **options)
  params = {'w': jnp.array(1.0)}
  state = TrainState(
    step=jnp.array(0),
    params=params,
    opt_state=tx.init(params),
    ema_params=params if ema_decay else None,
    num_skipped=jnp.array(0),
  )
  return jax.jit(step), state


def test_ema_worked_by_hand():
  step, state = _scalar_step(
    lambda params, batch, rng: (params['w'] * batch['g'], {}), ema_decay=0.75
  )
  # w: 1 -> 0 -> 2; ema: 1 -> .75 + 0 -> .5625 + .5.
  state, _ = step(state, {'g': 2.0})
  assert float(state.ema_params['w']) == 0.75
  state, _ = step(state, {'g': -4.0})
  assert float(state.params['w']) == 2.0
  assert float(state.ema_params['w']) == 1.0625


def test_ema_whose_decay_changes_worked_by_hand():
  step, state = _scalar_step(
    lambda params, batch, rng: (params['w'] * batch['g'], {}),
    ema_decay=lambda num_updates: num_updates / 4,
  )
  # w: 1 -> 0 -> 2; ema: 1 -> 1/4 * 1 + 3/4 * 0 -> 1/2 * 1/4 + 1/2 * 2.
  state, metrics = step(state, {'g': 2.0})
  assert float(metrics['ema_decay']) == 0.25
  assert float(state.ema_params['w']) == 0.25
  state, _ = step(state, {'g': -4.0})
  assert float(state.ema_params['w']) == 1.125


def test_loss_may_ask_for_the_mean_that_comes_before_the_step():
  def loss_fn(params, batch, rng, ema_params):
    return params['w'] * ema_params['w'], {'seen': ema_params['w']}

  step, state = _scalar_step(loss_fn, ema_decay=0.5, give_ema=True)
  # Slope 1: w 1 -> 0.5, ema 1 -> 0.75. Then slope 0.75: w 0.5 -> 0.125.
  for seen, w in ((1.0, 0.5), (0.75, 0.125)):
    state, metrics = step(state, {})
    assert float(metrics['seen']) == seen
    assert float(state.params['w']) == w


def test_metrics_of_one_step_worked_by_hand():
  step, state = _scalar_step(
    lambda params, batch, rng: (3 * params['w'], {'extra': 7.0})
  )
  _, metrics = step(state, {})
  assert {k: float(v) for k, v in metrics.items()} == {
    'loss': 3.0,
    'extra': 7.0,
    'grad_norm': 3.0,
    'update_norm': 1.5,
    'param_norm': 0.5,
    'lr': 0.5,
    'num_skipped': 0.0,
  }


@pytest.mark.parametrize('g', [np.nan, np.inf])
def test_step_that_is_not_finite_changes_only_the_counts(g):
  step, state = _scalar_step(
    lambda params, batch, rng: (params['w'] * batch['g'], {}), ema_decay=0.5
  )
  skipped, metrics = step(state, {'g': g})
  assert float(skipped.params['w']) == float(skipped.ema_params['w']) == 1.0
  assert (int(skipped.step), int(skipped.num_skipped)) == (1, 1)
  assert int(skipped.num_updates) == 0
  assert float(metrics['num_skipped']) == 1
  resumed, _ = step(skipped, {'g': 1.0})
  assert float(resumed.params['w']) == 0.5


def test_random_numbers_depend_on_the_step_alone():
  step, state = _scalar_step(
    lambda params, batch, rng: (jax.random.uniform(rng) + 0 * params['w'], {})
  )
  first, metrics_0 = step(state, {})
  _, metrics_1 = step(first, {})
  _, again_1 = step(state.replace(step=jnp.array(1)), {})
  assert float(metrics_0['loss']) != float(metrics_1['loss'])
  assert float(metrics_1['loss']) == float(again_1['loss'])


def test_a_skipped_step_leaves_the_moments_alone():
  tx = optax.adam(0.5)
  update = jax.jit(make_update(tx, lambda step: 0.5))
  params, zero = {'w': jnp.array(1.0)}, jnp.array(0)
  state = TrainState(zero, params, tx.init(params), None, zero)
  before, _ = update(state, jnp.array(1.0), {}, {'w': jnp.array(2.0)})
  nan = jnp.array(jnp.nan)
  skipped, _ = update(before, nan, {}, {'w': nan})
  jax.tree.map(
    np.testing.assert_array_equal, skipped.opt_state, before.opt_state
  )
  after, _ = update(skipped, jnp.array(1.0), {}, {'w': jnp.array(2.0)})
  assert np.isfinite(float(after.params['w']))


def test_parts_of_a_batch_draw_their_own_random_numbers():
  def loss_fn(params, batch, rng):
    del batch
    return jax.random.uniform(rng) + 0 * params, {}

  rng = jax.random.key(0)
  loss, _, _ = accumulated_grads(
    loss_fn, jnp.float32(0), {'x': jnp.zeros(4)}, rng, 2
  )
  drawn = [jax.random.uniform(jax.random.fold_in(rng, i)) for i in range(2)]
  assert drawn[0] != drawn[1]
  assert float(loss) == pytest.approx(float(sum(drawn)) / 2)
