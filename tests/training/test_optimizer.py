"""Schedule values and optimizer steps, worked by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rvmae_jax.training import optimizer


def test_lr_scales_with_the_batch():
  assert optimizer.scaled_lr(1.5e-4, 2048) == pytest.approx(1.2e-3)
  assert optimizer.scaled_lr(1.5e-4, 64) == pytest.approx(3.75e-5)


@pytest.mark.parametrize(
  'config, expected',
  [
    ({'name': 'constant'}, {0: 2.0, 99: 2.0}),
    # Half a cosine over steps 20..120: half way it is at half of the peak.
    (
      {'name': 'cosine', 'warmup_steps': 20},
      {0: 0.0, 5: 0.5, 20: 2.0, 70: 1.0, 120: 0.0},
    ),
    # Down to a tenth: 0.2 + (2 - 0.2) * (1 + cos(pi/2)) / 2 half way.
    (
      {'name': 'cosine', 'warmup_steps': 20, 'end_factor': 0.1},
      {70: 1.1, 120: 0.2},
    ),
    (
      {'name': 'step', 'warmup_steps': 10, 'boundaries': (30, 60)},
      {5: 1.0, 29: 2.0, 31: 0.2, 61: 0.02},
    ),
    (
      {'name': 'exponential', 'factor': 0.25, 'every_steps': 10},
      {0: 2.0, 5: 1.0, 10: 0.5, 20: 0.125},
    ),
  ],
)
def test_schedule_values(config, expected):
  schedule = optimizer.make_schedule(2.0, 120, **config)
  for step, value in expected.items():
    assert float(schedule(step)) == pytest.approx(value, abs=1e-6), step


def test_unknown_names_are_answered_with_near_ones():
  with pytest.raises(ValueError, match=r"schedule 'cosin'.*mean 'cosine'"):
    optimizer.make_schedule(1.0, 10, name='cosin')
  with pytest.raises(ValueError, match=r"optimizer 'adam'.*mean 'adamw'"):
    optimizer.make_optimizer(lambda step: 1.0, name='adam')
  with pytest.raises(ValueError, match=r"dtype 'bf16'.*mean 'bfloat16'"):
    optimizer.make_optimizer(lambda step: 1.0, moment_dtype='bf16')


def test_warmup_longer_than_the_run_is_refused():
  with pytest.raises(ValueError, match=r'warmup_steps=10 .*total_steps=10'):
    optimizer.make_schedule(1.0, 10, warmup_steps=10)


@pytest.mark.parametrize(
  ('settings', 'message'),
  [
    ({'warmup_steps': -5}, 'warmup_steps=-5 must not'),
    (
      {'name': 'step', 'warmup_steps': 20, 'boundaries': (10, 50)},
      r'boundaries=\(10, 50\) begin within warmup_steps=20',
    ),
    ({'name': 'exponential', 'every_steps': 0}, 'every_steps=0 must be'),
  ],
)
def test_senseless_schedules_are_refused(settings, message):
  with pytest.raises(ValueError, match=message):
    optimizer.make_schedule(1.0, 100, **settings)


def test_a_run_may_go_on_with_other_settings():
  """Checkpoints know an optimizer's state by its place."""
  params = {'encoder': {'kernel': jnp.ones(2)}, 'decoder': jnp.ones(1)}
  states = [
    optimizer.make_optimizer(lambda _: 1.0, **settings).init(params)
    for settings in ({}, {'clip_norm': 1.0}, {'frozen': ('encoder',)})
  ]
  places = [
    [p for p, _ in jax.tree_util.tree_leaves_with_path(state)]
    for state in states
  ]
  assert places[0] == places[1] == places[2]


def test_ema_decay_rises_to_one():
  assert optimizer.make_ema_decay(0.9, 100) == 0.9
  decay = optimizer.make_ema_decay(0.99, 100, 'cosine')
  # 1 - 0.01 * (1 + cos(pi * step / 100)) / 2
  wanted = {0: 0.99, 50: 0.995, 75: 0.99853553, 100: 1.0}
  for num_updates, value in wanted.items():
    assert float(decay(num_updates)) == pytest.approx(value, abs=1e-6)
  assert optimizer.make_ema_decay(0.0, 100, 'cosine') == 0


def test_senseless_ema_decays_are_refused():
  with pytest.raises(ValueError, match='ema_decay=2 must'):
    optimizer.make_ema_decay(2, 100)
  with pytest.raises(ValueError, match="ema_schedule 'linear'"):
    optimizer.make_ema_decay(0.5, 100, 'linear')


def test_a_norm_that_would_turn_gradients_round_is_refused():
  with pytest.raises(ValueError, match=r'clip_norm=-1 must not be negative'):
    optimizer.make_optimizer(optax.constant_schedule(0.1), clip_norm=-1)


def test_decay_touches_kernels_only():
  params = {
    'query': {'kernel': jnp.ones((4, 2, 2)), 'bias': jnp.ones((2, 2))},
    'norm': {'scale': jnp.ones(4)},
    'cls_token': jnp.ones((1, 1, 4)),
  }
  assert optimizer.decay_mask(params) == {
    'query': {'kernel': True, 'bias': False},
    'norm': {'scale': False},
    'cls_token': False,
  }


def _step(params, grads, **config):
  tx = optimizer.make_optimizer(lambda step: 0.1, **config)
  updates, _ = tx.update(grads, tx.init(params), params)
  return optax.apply_updates(params, updates)


def test_adamw_first_step():
  params = {'kernel': jnp.full((1, 1), 2.0), 'bias': jnp.full(1, 2.0)}
  grads = {'kernel': jnp.full((1, 1), 5.0), 'bias': jnp.full(1, -5.0)}
  new = _step(params, grads, name='adamw', weight_decay=0.5)
  # Adam's first step is lr * sign(g); decay adds lr * 0.5 * 2 to the kernel.
  np.testing.assert_allclose(new['kernel'], 2 - 0.1 - 0.1, rtol=1e-5)
  np.testing.assert_allclose(new['bias'], 2 + 0.1, rtol=1e-5)


def test_a_first_moment_in_bfloat16_takes_half_its_memory():
  """1/3 of the first moment's true value to 8 bits; the second is exact."""
  tx = optimizer.make_optimizer(
    optax.constant_schedule(0.1), b1=0.5, b2=0.75, moment_dtype='bfloat16'
  )
  params = {'kernel': jnp.zeros(1)}
  updates, state = tx.update(
    {'kernel': jnp.full(1, 2 / 3)}, tx.init(params), params
  )
  adam = state[1][0]
  assert adam.mu['kernel'].dtype == jnp.bfloat16
  assert float(adam.mu['kernel'][0]) == 0.333984375
  assert adam.nu['kernel'].dtype == jnp.float32
  np.testing.assert_allclose(adam.nu['kernel'], 0.25 * 4 / 9)
  np.testing.assert_allclose(updates['kernel'], -0.1, rtol=1e-2)


def test_sgd_decays_kernels_alone():
  params = {'kernel': jnp.full((1, 1), 2.0), 'bias': jnp.full(1, 2.0)}
  zeros = jax.tree.map(jnp.zeros_like, params)
  new = _step(params, zeros, name='sgd', weight_decay=0.5)
  np.testing.assert_allclose(new['kernel'], 2 - 0.1 * 0.5 * 2, rtol=1e-6)
  np.testing.assert_array_equal(new['bias'], 2)


def test_sgd_with_clipping_and_momentum():
  params = {'kernel': jnp.zeros((1, 2))}
  tx = optimizer.make_optimizer(
    lambda step: 0.1, name='sgd', momentum=0.5, clip_norm=1.0
  )
  state = tx.init(params)
  # The gradient (3, 4) has norm 5 and is cut to (0.6, 0.8).
  for factor in (1.0, 1.5):  # m_1 = g, m_2 = 0.5 m_1 + g
    grads = {'kernel': jnp.array([[3.0, 4.0]])}
    updates, state = tx.update(grads, state, params)
    np.testing.assert_allclose(
      updates['kernel'], -0.1 * factor * np.array([[0.6, 0.8]]), rtol=1e-6
    )
