"""A two-layer model and its objective, for tests of training alone."""

import jax
import jax.numpy as jnp
import numpy as np

from rvmae_jax.training import optimizer, sharding, state, step


def init_params(rng):
  """Wide enough that the sharding rule splits the first matrix."""
  return {
    'hidden': {
      'kernel': jax.random.normal(rng, (48, 128)) / 7,
      'bias': jnp.zeros(128),
    },
    'head': {'kernel': jax.random.normal(rng, (128, 48)) / 11},
  }


def loss_fn(params, batch, rng):
  """Mean squared error of rebuilding `video` [B, 48] from itself."""
  del rng
  hidden = batch['video'] @ params['hidden']['kernel']
  hidden = jax.nn.gelu(hidden + params['hidden']['bias'])
  error = hidden @ params['head']['kernel'] - batch['video']
  loss = jnp.mean(jnp.square(error))
  return loss, {'psnr': -10 * jnp.log10(loss)}


def batches(num, batch_size=16):
  """`num` batches, the same at every call."""
  rng = np.random.default_rng(0)
  for _ in range(num):
    yield {'video': rng.random((batch_size, 48), np.float32)}


def run(num_steps, mesh=None, batch_size=16, ema_decay=0.0, **options):
  """Trains for `num_steps` on a mesh; returns the state and all metrics."""
  mesh = mesh or sharding.make_mesh(devices=jax.devices()[:1])
  schedule = optimizer.make_schedule(1e-2, 100)
  tx = optimizer.make_optimizer(schedule, weight_decay=0.05, clip_norm=1.0)
  update = step.make_update(tx, schedule, ema_decay)

  def init():
    return state.init_state(init_params, tx, seed=0, ema_decay=ema_decay)

  shardings = sharding.state_shardings(jax.eval_shape(init), mesh)
  train_state = jax.jit(init, out_shardings=shardings)()
  train_step = step.make_train_step(loss_fn, update, seed=0, **options)
  train_step = sharding.jit_step(train_step, shardings, mesh)
  metrics = []
  for batch in batches(num_steps, batch_size):
    batch = sharding.global_batch(batch, mesh)
    train_state, values = train_step(train_state, batch)
    metrics.append(jax.device_get(values))
  return train_state, metrics
