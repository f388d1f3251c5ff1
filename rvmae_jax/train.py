"""Pre-trains a model.

  python -m rvmae_jax.train --workdir runs/rvm \\
    --config configs/rvm_pretrain.py:variant=S --config.batch_size=256

The same command again goes on where the run stood. What a run leaves in its
workdir: `command.txt`, `config.json`, `checkpoints/`, `metrics.jsonl`,
TensorBoard files, `pictures/` and, where asked for, `profile/`.
"""

import collections
import contextlib
import functools
import shlex
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from absl import app, flags, logging
from etils import epath
from ml_collections import ConfigDict, config_flags

from rvmae_jax import config_utils
from rvmae_jax.data.bad_videos import BadVideoGuard
from rvmae_jax.data.pipeline import batch_spec, make_dataset
from rvmae_jax.evals import build_eval
from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.evals.schedule import ScheduledEvals
from rvmae_jax.masking import MASKS, check_mask
from rvmae_jax.models import build_model, flops
from rvmae_jax.objectives import build_objective
from rvmae_jax.training import guards, optimizer, sharding
from rvmae_jax.training.checkpointing import Checkpointer
from rvmae_jax.training.distributed import join_processes
from rvmae_jax.training.logging import (
  MetricWriter,
  Profiler,
  Progress,
  parameter_table,
  show_own_lines,
)
from rvmae_jax.training.prefetch import Prefetcher
from rvmae_jax.training.state import TrainState, init_state
from rvmae_jax.training.step import make_train_step
from rvmae_jax.transfer import frozen_encoder, start_from
from rvmae_jax.visualize.training import TrainingPictures

# Steps given to the device before the host reads back the oldest: enough to
# keep the device busy, few enough to see a bad one at once.
_STEPS_IN_FLIGHT = 2


def train(config: ConfigDict, workdir: str) -> TrainState:
  """Trains, or goes on training, until `config.total_steps`.

  Args:
    config: a recipe; see `configs/rvm_pretrain.py`.
    workdir: what the run leaves; a checkpoint there is gone on from.

  Returns:
    The state after the last step.

  Raises:
    Interrupted: the run was told to stop (SIGTERM, Ctrl-C) and has saved.
    FloatingPointError: too many steps whose loss was not finite.
    RuntimeError: too many videos that cannot be decoded.
    ValueError: a config that contradicts itself or the checkpoint.
  """
  workdir = epath.Path(workdir)

  # ---- Devices ----
  mesh = sharding.make_mesh(**config.mesh)
  guards.check_divisible(
    config.batch_size,
    devices=mesh.size,
    processes=jax.process_count(),
    accumulation_steps=config.accumulation_steps,
  )
  logging.info(
    '%d x %s in %d processes, mesh %s.',
    mesh.size,
    jax.devices()[0].device_kind,
    jax.process_count(),
    dict(mesh.shape),
  )

  # ---- Model, objective, optimizer ----
  parts = build_parts(config)
  logging.info('Parameters:\n%s', parameter_table(parts.shapes.params))

  # ---- Data ----
  data = iter(
    make_dataset(
      config.data,
      seed=config.seed,
      batch_size=config.batch_size // jax.process_count(),
      train=True,
      **config_utils.token_size(config.model),
      process_index=jax.process_index(),
      process_count=jax.process_count(),
    )
  )

  # ---- State: shapes, then the place of each array, then the arrays ----
  shardings = sharding.state_shardings(parts.shapes, mesh)
  checkpointer = Checkpointer(workdir, config)
  # 1. The newest checkpoint of this run. 2. Parameters of another run or file.
  # 3. Fresh parameters.
  if checkpointer.latest_step() is not None:
    state, position = checkpointer.restore(
      sharding.with_shardings(parts.shapes, shardings)
    )
    data.set_state(position)
    logging.info('Going on after step %d.', state.step)
  else:
    state = jax.jit(parts.init, out_shardings=shardings)()
    if config.checkpoint.init_from:
      state = start_from(config.checkpoint.init_from, state, shardings)
  first_step = int(state.step) + 1
  if first_step > config.total_steps:
    logging.info('Nothing to do: config.total_steps=%d.', config.total_steps)

  # ---- Step ----
  train_step = jax.jit(
    parts.train_step,
    in_shardings=(shardings, sharding.batch_sharding(mesh)),
    out_shardings=(shardings, sharding.replicated(mesh)),
    donate_argnums=0,
  )

  # ---- Evaluations ----
  functions = ModelFunctions(
    parts.model,
    None,  # Given at each evaluation: a step donates what it is given.
    mesh,
    to_pixels=getattr(parts.objective, 'to_pixels', None),
  )
  evaluations = ScheduledEvals(
    config.evals,
    total_steps=config.total_steps,
    data=config.data,
    **config_utils.token_size(config.model),
    batch_size=eval_batch_size(config),
    seed=config.seed,
  )

  # ---- Logs and guards ----
  if jax.process_index() == 0:
    workdir.mkdir(parents=True, exist_ok=True)
    (workdir / 'config.json').write_text(config_utils.to_json(config))
  progress = Progress(
    config.total_steps, config.batch_size, parts.flops_per_clip
  )
  profiler = Profiler(workdir / 'profile', config.log.profile)
  non_finite = guards.NonFiniteGuard(config.log.max_skipped)
  bad_videos = BadVideoGuard(config.data.max_bad_share)
  pictures = TrainingPictures(
    workdir / 'pictures',
    every_steps=config.log.pictures_every,
    **config_utils.token_size(config.model),
    reconstruction=fixed_clips_eval(config),
  )

  # ---- Loop ----
  logging.info('The first step compiles; that takes a while.')
  in_flight = collections.deque()
  with (
    checkpointer,
    contextlib.closing(
      MetricWriter(
        workdir,
        resumed_step=first_step - 1,
        clu=config.log.clu,
      )
    ) as writer,
    contextlib.closing(
      Prefetcher(data, functools.partial(sharding.global_batch, mesh=mesh))
    ) as batches,
    guards.StopSignal() as stop,
  ):
    for step in range(first_step, config.total_steps + 1):
      fetched = next(batches)
      bad_videos.update(fetched.host['host/bad_videos'])
      profiler.before(step)
      with jax.transfer_guard('disallow'):
        state, metrics = train_step(state, fetched.batch)
      profiler.after(step, metrics)

      # What is due after this step.
      is_last = step == config.total_steps
      is_stopping = stop.received(step) and not is_last
      is_logging = is_last or step % config.log.every_steps == 0
      is_saving = is_last or is_stopping or checkpointer.is_due(step)
      is_evaluating = evaluations.is_due(step)
      is_drawing = pictures.is_due(step)
      is_quiet = step > first_step and not (
        is_logging or is_saving or is_evaluating or is_drawing
      )

      # Read back; the device stays a few steps ahead while nothing is due.
      in_flight.append((step, metrics))
      while len(in_flight) > (_STEPS_IN_FLIGHT if is_quiet else 0):
        read_step, metrics = in_flight.popleft()
        metrics = jax.device_get(metrics)
        non_finite.check(read_step, metrics)

      if step == first_step:
        progress.start(step, batches.wait_s)
        pictures.draw_batch(fetched.batch, step)
      scalars = {}
      if is_logging:
        scalars |= metrics | progress.speed(step, batches.wait_s)
        scalars |= bad_videos.metrics()
        logging.info(progress.line(step, scalars))
      if is_evaluating:
        with progress.paused():
          scalars |= evaluations.run(functions.with_params(state.params), step)
      if is_drawing:
        with progress.paused():
          pictures.draw_reconstructions(
            functions.with_params(state.params), step
          )
      if scalars:
        writer.write(step, scalars)
      if is_saving:
        checkpointer.save(step, state, fetched.position)
      if is_stopping:
        checkpointer.wait()
        stop.leave(
          f'saved step {step} of {config.total_steps} in {workdir}; the same '
          'command goes on from there.'
        )
  return state


class Parts(NamedTuple):
  """What a config's names stand for, before any array exists.

  Attributes:
    model: the Flax module.
    objective: what it is trained for.
    spec: shapes of the global batch by key.
    init: () -> TrainState, to be jitted.
    shapes: what `init` gives, as `jax.ShapeDtypeStruct`s.
    train_step: (state, batch) -> (state, metrics), to be jitted.
    flops_per_clip: of a training step, None where the model does not count.
  """

  model: Any
  objective: Any
  spec: dict[str, jax.ShapeDtypeStruct]
  init: Callable[[], TrainState]
  shapes: TrainState
  train_step: Callable[[TrainState, dict], tuple[TrainState, dict]]
  flops_per_clip: int | None


def build_parts(config: ConfigDict) -> Parts:
  """Builds model, objective, optimizer and step; computes nothing.

  Raises:
    ValueError: an unknown name or a setting that makes no sense.
  """
  model = build_model(config.model)
  objective = build_objective(
    config,
    perceptual_features=frozen_encoder(config.get('perceptual_checkpoint')),
  )
  check_mask(
    config.data.get('mask'),
    getattr(model, 'needs_mask', ''),
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

  def loss_fn(params, batch, rng, **given):  # `ema_params`, where needed.
    return objective(apply, params, batch, rng=rng, train=True, **given)

  init = functools.partial(
    init_state, init_params, tx, seed=config.seed, ema_decay=config.ema_decay
  )
  train_step = make_train_step(
    loss_fn,
    tx,
    schedule,
    seed=config.seed,
    accumulation_steps=config.accumulation_steps,
    ema_decay=optimizer.make_ema_decay(
      config.ema_decay,
      config.total_steps,
      config.get('ema_schedule', 'constant'),
    ),
    give_ema=needs_ema,
  )
  flops_per_clip = None
  if hasattr(model, 'flops_per_clip'):
    forward = model.flops_per_clip(spec)
    flops_per_clip = flops.training(forward)
    if needs_ema:  # One more forward pass.
      flops_per_clip += sum(forward.values())
  shapes = jax.eval_shape(init)
  return Parts(model, objective, spec, init, shapes, train_step, flops_per_clip)


def check_training(
  config: ConfigDict, needs_ema: bool, needs_whole_batch: bool
) -> None:
  """Checks that a config trains as its objective needs it.

  Raises:
    ValueError: no running mean, or batches in parts.
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


def eval_batch_size(config: ConfigDict, most: int = 64) -> int:
  """Clips to evaluate at once: about `most`, the same on each device."""
  devices = jax.device_count()
  return min(config.batch_size, -(-most // devices) * devices)


def fixed_clips_eval(config: ConfigDict) -> tuple[str, Any] | None:
  """The evaluation that rebuilds the first few clips, for pictures.

  Returns:
    Its name and the evaluation; None without a mask.
  """
  if not config.data.get('mask'):
    return None
  is_clip = MASKS.get(config.data.mask.name).hides == 'video'
  name = 'clip_reconstruction' if is_clip else 'reconstruction'
  evaluation = build_eval(
    {'name': name, 'num_batches': 1},
    data=config.data,
    **config_utils.token_size(config.model),
    batch_size=eval_batch_size(config, most=4),
    seed=config.seed,
  )
  return name, evaluation


def describe(config: ConfigDict) -> str:
  """The parameter table, the batch and the FLOPs of a config, as text."""
  parts = build_parts(config)
  lines = [parameter_table(parts.shapes.params), '', 'Batch:']
  lines += [
    f'  {key:14} {value.dtype!s:6} {list(value.shape)}'
    for key, value in parts.spec.items()
  ]
  if parts.flops_per_clip:
    lines.append(
      f'Training FLOPs: {parts.flops_per_clip / 1e9:.2f} G per clip, '
      f'{parts.flops_per_clip * config.batch_size / 1e12:.2f} T per step.'
    )
  return '\n'.join(lines)


def main(argv: list[str]) -> None:
  """Runs the command."""
  if argv[1:]:
    raise app.UsageError(f'Unexpected arguments: {argv[1:]}.')
  args = flags.FLAGS
  show_own_lines()
  if args.compile_cache:
    jax.config.update('jax_compilation_cache_dir', args.compile_cache)
  if args.dry_run:
    print(describe(args.config))
    return
  if not args.workdir:
    raise app.UsageError('--workdir=DIR is needed, except with --dry_run.')
  join_processes(args.coordinator, args.num_processes, args.process_id)
  if jax.process_index() == 0:
    # For the report, and for whoever finds the workdir later.
    workdir = epath.Path(args.workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    command = shlex.join(['python', '-m', 'rvmae_jax.train', *sys.argv[1:]])
    (workdir / 'command.txt').write_text(f'{command}\n')
  train(args.config, args.workdir)


if __name__ == '__main__':
  config_flags.DEFINE_config_file('config', lock_config=True)
  flags.mark_flag_as_required('config')
  flags.DEFINE_string('workdir', None, 'What the run leaves goes here.')
  flags.DEFINE_bool(
    'dry_run', False, 'Print parameters, batch and FLOPs; then stop.'
  )
  flags.DEFINE_string(
    'compile_cache', '', 'Folder that keeps compiled programs between runs.'
  )
  flags.DEFINE_string(
    'coordinator', '', "Process 0's host:port, or auto; see join_processes."
  )
  flags.DEFINE_integer('num_processes', None, 'Of the job.')
  flags.DEFINE_integer('process_id', None, 'From 0.')
  app.run(main)
