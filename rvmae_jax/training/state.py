"""What a training run carries from step to step."""

from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax


@flax.struct.dataclass
class TrainState:
  """Everything that one step reads and the next one needs.

  Attributes:
    step: [] int32, batches consumed so far, skipped ones included.
    params: nested dict of float32 arrays.
    opt_state: optax's.
    ema_params: running mean of `params`, or None where it is off.
    num_skipped: [] int32, steps whose loss or gradient was not finite.
  """

  step: jax.Array
  params: Any
  opt_state: Any
  ema_params: Any
  num_skipped: jax.Array

  @property
  def num_updates(self) -> jax.Array:
    """Updates made: the optimizer's, and so the schedule's, own count."""
    return self.step - self.num_skipped


def init_state(
  init_params: Callable[[jax.Array], Any],
  optimizer: optax.GradientTransformation,
  *,
  seed: int,
  ema_decay: float = 0.0,
) -> TrainState:
  """A fresh state; meant to run under `jax.jit` or `jax.eval_shape`.

  Args:
    init_params: rng -> parameters.
    optimizer: from `make_optimizer`.
    seed: of the parameters.
    ema_decay: above 0 the state carries a running mean of the parameters.
  """
  params = init_params(jax.random.key(seed))
  return TrainState(
    step=jnp.zeros((), jnp.int32),
    params=params,
    opt_state=optimizer.init(params),
    ema_params=jax.tree.map(jnp.copy, params) if ema_decay else None,
    num_skipped=jnp.zeros((), jnp.int32),
  )
