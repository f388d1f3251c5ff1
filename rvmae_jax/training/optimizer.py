"""Optimizers and learning-rate schedules (optax), chosen by name."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from rvmae_jax.registry import check_known, near_names
from rvmae_jax.training.layer_rates import scale_by_layer

SCHEDULES = ('constant', 'cosine', 'exponential', 'step')
OPTIMIZERS = ('adamw', 'sgd')
MOMENT_DTYPES = ('bfloat16', 'float32')


def scaled_lr(lr_per_256: float, batch_size: int) -> float:
  """The learning rate for a global batch, by the linear scaling rule.

  Args:
    lr_per_256: learning rate for a batch of 256 clips.
    batch_size: clips of one update, over all devices and accumulation steps.

  Source: Goyal et al., arXiv 1706.02677, section 2.1.
  """
  return lr_per_256 * batch_size / 256


def make_schedule(
  peak: float,
  total_steps: int,
  *,
  name: str = 'cosine',
  warmup_steps: int = 0,
  end_factor: float = 0.0,
  boundaries: tuple[int, ...] = (),
  factor: float = 0.1,
  every_steps: int = 1000,
) -> optax.Schedule:
  """The learning rate as a function of the number of updates done.

  It climbs linearly from 0 to `peak` over `warmup_steps`; what follows is

  * `constant`: `peak`;
  * `cosine`: half a cosine from `peak` to `peak * end_factor` at `total_steps`;
  * `step`: multiplied by `factor` at each of `boundaries`;
  * `exponential`: multiplied by `factor` every `every_steps`, smoothly.

  Args:
    peak: learning rate at the end of warm-up.
    total_steps: updates of the whole run, warm-up included.
    name: one of `SCHEDULES`.
    warmup_steps: updates until `peak`; 0 starts there.
    end_factor: cosine only.
    boundaries: step only; counted from the start of the run.
    factor: step and exponential.
    every_steps: exponential only.

  Raises:
    ValueError: unknown name, warm-up as long as the run or longer, or a setting
      that makes no sense.
  """
  if warmup_steps < 0:
    raise ValueError(
      f'config.schedule.warmup_steps={warmup_steps} must not be negative.'
    )
  if warmup_steps and warmup_steps >= total_steps:
    raise ValueError(
      f'config.schedule.warmup_steps={warmup_steps} leaves nothing of '
      f'config.total_steps={total_steps}; make it smaller.'
    )
  after = total_steps - warmup_steps
  if name == 'constant':
    main = optax.constant_schedule(peak)
  elif name == 'cosine':
    main = optax.cosine_decay_schedule(peak, after, alpha=end_factor)
  elif name == 'step':
    if boundaries and min(boundaries) < warmup_steps:
      raise ValueError(
        f'config.schedule.boundaries={tuple(boundaries)} begin within '
        f'warmup_steps={warmup_steps}; use later ones.'
      )
    scales = {boundary - warmup_steps: factor for boundary in boundaries}
    main = optax.piecewise_constant_schedule(peak, scales)
  elif name == 'exponential':
    if every_steps < 1:
      raise ValueError(
        f'config.schedule.every_steps={every_steps} must be at least 1.'
      )
    main = optax.exponential_decay(peak, every_steps, factor)
  else:
    raise ValueError(
      f'Unknown schedule {name!r}. {near_names(name, SCHEDULES)}'
    )
  if not warmup_steps:
    return main
  warmup = optax.linear_schedule(0.0, peak, warmup_steps)
  return optax.join_schedules([warmup, main], [warmup_steps])


def make_ema_decay(
  decay: float, total_steps: int, name: str = 'constant'
) -> float | optax.Schedule:
  """The decay of the running mean of the parameters, for `step.make_update`.

  Args:
    decay: at the start; 0 = no running mean.
    total_steps: updates of the whole run.
    name: 'constant', or 'cosine': half a cosine from `decay` to 1 at
      `total_steps`, as the momentum of MoCo v3 goes (arXiv 2104.02057).

  Raises:
    ValueError: unknown name, or a decay that is out of range.
  """
  known = ('constant', 'cosine')
  if name not in known:
    raise ValueError(f'Unknown ema_schedule {name!r}; use one of {known}.')
  if not 0 <= decay < 1:
    raise ValueError(f'ema_decay={decay} must be at least 0 and below 1.')
  if name == 'constant' or not decay:
    return decay
  rest = optax.cosine_decay_schedule(1 - decay, total_steps)
  return lambda num_updates: 1 - rest(num_updates)


def make_optimizer(
  learning_rate: optax.Schedule,
  *,
  name: str = 'adamw',
  weight_decay: float = 0.0,
  clip_norm: float = 0.0,
  b1: float = 0.9,
  b2: float = 0.95,
  eps: float = 1e-8,
  moment_dtype: str = 'float32',
  momentum: float = 0.9,
  layer_decay: float = 1.0,
  frozen: Sequence[str] = (),
  keep_zeros: bool = False,
) -> optax.GradientTransformation:
  """Gradient clipping, the optimizer, weight decay on matrices, layer rates.

  Args:
    learning_rate: from `make_schedule`.
    name: one of `OPTIMIZERS`.
    weight_decay: decoupled and scaled by the learning rate for `adamw`
      (arXiv 1711.05101); the L2 term of the gradient for `sgd`.
    clip_norm: the gradient's global norm is cut to this; 0 = off.
    b1, b2, eps: adamw only.
    moment_dtype: adamw only, what its first moment is kept in; bfloat16 saves
      2 bytes a parameter. The second stays float32: bfloat16 is too coarse for
      the small steps by which it grows.
    momentum: sgd only.
    layer_decay, frozen: see `layer_rates.rate_factors`; frozen parameters stay
      as they are and their gradient counts for nothing.
    keep_zeros: values of kernels that are 0 stay 0, see `tools.prune`.

  Raises:
    ValueError: unknown name, a negative norm, or see `rate_factors`.
  """
  if clip_norm < 0:  # It would flip the sign of every gradient.
    raise ValueError(
      f'config.optimizer.clip_norm={clip_norm} must not be negative; 0 is off.'
    )
  check_known('optimizer.moment_dtype', MOMENT_DTYPES, moment_dtype)
  if name == 'adamw':
    parts = [
      optax.adamw(
        learning_rate,
        *(b1, b2, eps),
        mu_dtype=moment_dtype,
        weight_decay=weight_decay,
        mask=decay_mask,
      )
    ]
  elif name == 'sgd':
    parts = [
      optax.add_decayed_weights(weight_decay, decay_mask),
      optax.sgd(learning_rate, momentum),
    ]
  else:
    raise ValueError(
      f'Unknown optimizer {name!r}. {near_names(name, OPTIMIZERS)}'
    )
  before = [scale_by_layer(frozen=frozen)] if frozen else []
  if clip_norm:
    before.append(optax.clip_by_global_norm(clip_norm))
  # The inner chain is kept even if it is empty: checkpoints find each state by
  # its position in the outer chain, and a run may resume with other settings.
  parts.insert(0, optax.chain(*before, optax.identity()))
  if frozen or layer_decay != 1:
    parts.append(scale_by_layer(layer_decay, frozen))
  if keep_zeros:
    parts.append(optax.masked(_keep_zeros(), decay_mask))
  return optax.chain(*parts)


def _keep_zeros() -> optax.GradientTransformation:
  def update(updates, params):
    return jax.tree.map(lambda u, p: jnp.where(p == 0, 0, u), updates, params)

  return optax.stateless(update)


def decay_mask(params: Any) -> Any:
  """True for the leaves that weight decay touches: those named `kernel`.

  The name decides, not the number of dimensions: biases of fused projections,
  tokens and position tables have several dimensions and are not matrices.
  """

  def is_matrix(path, leaf):
    del leaf
    return path[-1].key == 'kernel'

  return jax.tree_util.tree_map_with_path(is_matrix, params)
