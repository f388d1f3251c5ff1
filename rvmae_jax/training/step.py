"""One training step: gradient, update, running mean, and what to log."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from rvmae_jax.training.state import TrainState

# (params, batch, rng, *frozen) -> (loss [], metrics: name -> []).
LossFn = Callable[..., tuple[jax.Array, dict]]
# (state, loss, metrics, gradient) -> (state, metrics).
UpdateFn = Callable[[TrainState, jax.Array, dict, Any], tuple[TrainState, dict]]


def make_train_step(
  loss_fn: LossFn,
  update: UpdateFn,
  *,
  seed: int,
  accumulation_steps: int = 1,
  give_ema: bool = False,
) -> Callable[..., tuple[TrainState, dict]]:
  """The function of one step, to be jitted with a donated state.

  Random numbers depend on `seed` and `state.step` alone, so that a resumed run
  draws what the uninterrupted one would have drawn.

  Args:
    loss_fn: mean loss over the rows of a batch, and scalars to log.
    update: from `make_update`.
    seed: of the objective's random numbers.
    accumulation_steps: microbatches that a batch is cut into; it must divide
      the batch.
    give_ema: hand `loss_fn` the running mean of the parameters before this
      step, as the keyword `ema_params`.

  Returns:
    (state, batch, *frozen) -> (state, metrics); metrics are float32 scalars.
    `frozen` are parameters that are not trained, for `loss_fn`.
  """

  def train_step(state, batch, *frozen):
    rng = jax.random.fold_in(jax.random.key(seed), state.step)
    given = {'ema_params': state.ema_params} if give_ema else {}

    def step_loss_fn(params, batch, rng):
      return loss_fn(params, batch, rng, *frozen, **given)

    loss, metrics, grads = accumulated_grads(
      step_loss_fn, state.params, batch, rng, accumulation_steps
    )
    return update(state, loss, metrics, grads)

  return train_step


def make_update(
  optimizer: optax.GradientTransformation,
  schedule: optax.Schedule,
  ema_decay: float | optax.Schedule = 0.0,
) -> UpdateFn:
  """The second half of a step: from a gradient to the next state.

  A step whose loss or gradient is not finite changes nothing but the counts.

  Args:
    optimizer: from `make_optimizer`.
    schedule: its learning rate, for the log.
    ema_decay: d in `ema = d * ema + (1 - d) * params`, a number or a function
      of the updates done; 0 = off.

  Returns:
    (state, loss, metrics, gradient) -> (state, metrics).
  """

  def update(state, loss, metrics, grads):
    grad_norm = optax.global_norm(grads)
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    ema_params = state.ema_params
    if ema_decay:
      decay = ema_decay
      if callable(ema_decay):
        decay = ema_decay(state.num_updates + 1)
        metrics = {**metrics, 'ema_decay': decay}
      ema_params = optax.incremental_update(params, ema_params, 1 - decay)

    updated = state.replace(
      params=params, opt_state=opt_state, ema_params=ema_params
    )
    is_finite = jnp.isfinite(loss) & jnp.isfinite(grad_norm)
    kept = jax.tree.map(
      lambda new, old: jnp.where(is_finite, new, old), updated, state
    )
    metrics = {
      **metrics,
      'loss': loss,
      'grad_norm': grad_norm,
      'param_norm': optax.global_norm(kept.params),
      'update_norm': optax.global_norm(updates),
      'lr': schedule(state.num_updates),
    }
    state = kept.replace(
      step=state.step + 1,
      num_skipped=state.num_skipped + ~is_finite,
    )
    metrics['num_skipped'] = state.num_skipped
    return state, jax.tree.map(jnp.float32, metrics)

  return update


def accumulated_grads(
  loss_fn: LossFn, params: Any, batch: dict, rng: jax.Array, num_steps: int
) -> tuple[jax.Array, dict, Any]:
  """Loss, metrics and gradient of a batch, one microbatch after the other.

  Equal to the whole batch at once (up to rounding) as long as the loss is a
  mean over rows, or over those that metrics count as `num_counted`; the memory
  for activations is that of one microbatch.
  """
  grad_fn = jax.value_and_grad(loss_fn, has_aux=True)
  if num_steps == 1:
    (loss, metrics), grads = grad_fn(params, batch, rng)
    return loss, metrics, grads

  def split(array):
    # [B, ...] -> [B/n, n, ...] -> [n, B/n, ...]. A device's rows are spread
    # over all microbatches, so that no row has to change its device.
    rows = array.shape[0] // num_steps
    return array.reshape(rows, num_steps, *array.shape[1:]).swapaxes(0, 1)

  def add(total, part):
    index, microbatch = part
    rng_part = jax.random.fold_in(rng, index)
    (loss, metrics), grads = grad_fn(params, microbatch, rng_part)
    weight = metrics.get('num_counted', 1.0)
    weighted = jax.tree.map(lambda leaf: weight * leaf, (loss, metrics, grads))
    return jax.tree.map(jnp.add, total, (weight, weighted)), None

  parts = (jnp.arange(num_steps), jax.tree.map(split, batch))
  (loss_shape, metric_shapes), grad_shapes = jax.eval_shape(
    grad_fn, params, jax.tree.map(lambda x: x[0], parts[1]), rng
  )
  zeros = jax.tree.map(
    lambda leaf: jnp.zeros(leaf.shape, leaf.dtype),
    (loss_shape, metric_shapes, grad_shapes),
  )
  (weight, sums), _ = jax.lax.scan(add, (jnp.zeros(()), zeros), parts)
  loss, metrics, grads = jax.tree.map(
    lambda leaf: leaf / jnp.maximum(weight, 1e-6), sums
  )
  if 'num_counted' in metrics:
    metrics['num_counted'] = weight
  return loss, metrics, grads
