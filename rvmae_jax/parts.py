"""Builds the parts of a run from the names in its config."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from rvmae_jax import config_utils
from rvmae_jax.data.pipeline import batch_spec
from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.masking import MASKS, check_mask
from rvmae_jax.models import build_model, flops
from rvmae_jax.objectives import OBJECTIVES, build_objective
from rvmae_jax.perceptual import load_judge
from rvmae_jax.training import optimizer
from rvmae_jax.training.logging import parameter_table
from rvmae_jax.training.state import TrainState, init_state
from rvmae_jax.training.step import (
  LossFn,
  UpdateFn,
  make_train_step,
  make_update,
)


class Parts(NamedTuple):
  """What a config's names stand for, before any array exists.

  Attributes:
    model: the Flax module.
    objective: what it is trained for.
    spec: shapes of the global batch by key.
    init: () -> TrainState, to be jitted.
    shapes: what `init` gives, as `jax.ShapeDtypeStruct`s.
    frozen: a tuple with the parameters of the network that perceptual losses
      use; empty without one.
    loss_fn: (params, batch, rng, *frozen) -> (loss, metrics).
    update: (state, loss, metrics, gradient) -> (state, metrics).
    train_step: (state, batch, *frozen) -> (state, metrics): gradient of
      `loss_fn`, then `update`; to be jitted.
    flops_per_clip: FLOPs of a training step per clip, without those of the
      frozen network; None if the model does not count its FLOPs.
  """

  model: Any
  objective: Any
  spec: dict[str, jax.ShapeDtypeStruct]
  init: Callable[[], TrainState]
  shapes: TrainState
  frozen: tuple[Any, ...]
  loss_fn: LossFn
  update: UpdateFn
  train_step: Callable[..., tuple[TrainState, dict]]
  flops_per_clip: int | None


def build_parts(
  config: ConfigDict, make_model: Callable[[ConfigDict], Any] = build_model
) -> Parts:
  """Builds model, objective, optimizer and step; computes nothing.

  A network that judges is read from its files.

  Args:
    config: a recipe.
    make_model: from `config.model`; a benchmark may have another one made.

  Raises:
    FileNotFoundError: there is no network at `config.perceptual_checkpoint`.
    ValueError: an unknown name or a setting that makes no sense.
  """
  model = make_model(config.model)
  objective = build_objective(config)
  judge, path = None, config.get('perceptual_checkpoint')
  if path and getattr(objective, 'needs_judge', False):
    judge = load_judge(path)
  check_mask(
    config.data.get('mask'),
    getattr(model, 'needs_mask', None),
    f'Model {config.model.name!r} with these settings',
  )
  needs_ema = getattr(objective, 'needs_ema', False)
  check_training(
    config, needs_ema, getattr(objective, 'needs_whole_batch', False)
  )
  spec = batch_spec(
    config.data, config.batch_size, **config_utils.token_size(config.model)
  )
  peak_lr = optimizer.scaled_lr(config.optimizer.lr_per_256, config.batch_size)
  schedule = optimizer.make_schedule(
    peak_lr, config.total_steps, **config.schedule
  )
  options = dict(config.optimizer)
  del options['lr_per_256']
  tx = optimizer.make_optimizer(schedule, **options)

  def init_params(rng):
    clip = {k: jnp.zeros((1, *v.shape[1:]), v.dtype) for k, v in spec.items()}
    return model.init(rng, clip, train=True)['params']

  def apply(params, batch, *, train, rng):
    rngs = {'dropout': rng}
    return model.apply({'params': params}, batch, train=train, rngs=rngs)

  def loss_fn(params, batch, rng, frozen=None, **given):
    # `given`: `ema_params`, where needed.
    if judge:
      given['perceptual_features'] = functools.partial(judge.features, frozen)
    return objective(apply, params, batch, rng=rng, train=True, **given)

  init = functools.partial(
    init_state, init_params, tx, seed=config.seed, ema_decay=config.ema_decay
  )
  update = make_update(
    tx,
    schedule,
    optimizer.make_ema_decay(
      config.ema_decay,
      config.total_steps,
      config.get('ema_schedule', 'constant'),
    ),
  )
  train_step = make_train_step(
    loss_fn,
    update,
    seed=config.seed,
    accumulation_steps=config.accumulation_steps,
    give_ema=needs_ema,
  )
  flops_per_clip = None
  if hasattr(model, 'flops_per_clip'):
    forward = model.flops_per_clip(spec)
    flops_per_clip = flops.training(forward)
    if needs_ema:  # One more forward pass.
      flops_per_clip += sum(forward.values())
    if getattr(objective, 'encodes_view2', False):
      flops_per_clip += flops.training(flops.features(forward))
  shapes = jax.eval_shape(init)
  return Parts(
    model=model,
    objective=objective,
    spec=spec,
    init=init,
    shapes=shapes,
    frozen=(judge.params,) if judge else (),
    loss_fn=loss_fn,
    update=update,
    train_step=train_step,
    flops_per_clip=flops_per_clip,
  )


def model_functions(
  model: Any, objective: Any, params: Any, mesh: jax.sharding.Mesh
) -> ModelFunctions:
  """The functions by which evaluations and tools use a network.

  Args:
    model: the Flax module.
    objective: that it is trained for.
    params: its parameters, placed on the mesh; None where they are given later.
    mesh: over which the rows of batches are spread.
  """
  return ModelFunctions(
    model,
    params,
    mesh,
    # Only objectives that rebuild frames have it.
    to_frames=getattr(objective, 'to_frames', None),
    build_model=build_model,
    load_judge=load_judge,
  )


def check_training(
  config: ConfigDict, needs_ema: bool, needs_whole_batch: bool
) -> None:
  """Checks that a config trains as its objective needs it.

  Raises:
    ValueError: the objective needs a running mean and the config keeps none,
      or it needs whole batches and the config cuts them into parts.
  """
  name = config.objective.name
  if needs_ema and not config.ema_decay:
    raise ValueError(
      f'Objective {name!r} learns from the running mean of the parameters: set '
      'config.ema_decay, to 0.99 for example.'
    )
  if needs_whole_batch and config.accumulation_steps > 1:
    raise ValueError(
      f'Objective {name!r} compares the rows of a batch, which cannot be cut '
      f'into parts: config.accumulation_steps={config.accumulation_steps} must '
      'be 1; save memory with config.model.remat or more devices.'
    )


def rebuilt_frames(config: ConfigDict) -> str:
  """What a run rebuilds: 'target' frames, parts of its 'video', or '' nothing.

  Its mask decides that. An objective without `to_frames` rebuilds no pixels.
  """
  has_pixels = hasattr(OBJECTIVES.get(config.objective.name), 'to_frames')
  mask = config.data.get('mask')
  return MASKS.get(mask.name).layout.hides if mask and has_pixels else ''


def describe(config: ConfigDict) -> str:
  """The parameter table, the batch and the FLOPs of a config, as text."""
  parts = build_parts(config)
  lines = [parameter_table(parts.shapes.params), '', 'Batch:']
  lines += [
    f'  {key:14} {value.dtype!s:6} {list(value.shape)}'
    for key, value in parts.spec.items()
  ]
  if parts.flops_per_clip:
    judge = ', without the network that judges' if parts.frozen else ''
    lines.append(
      f'Training FLOPs: {parts.flops_per_clip / 1e9:.2f} G per clip, '
      f'{parts.flops_per_clip * config.batch_size / 1e12:.2f} T per step'
      f'{judge}.'
    )
  return '\n'.join(lines)
