"""Trains a model: pre-training or fine-tuning, as the config says.

    python -m rvmae_jax.train --workdir runs/rvm \\
      --config configs/rvm_pretrain.py:variant=S --config.batch_size=256

Run the same command again to resume. A run writes to its workdir:
`command.txt`, `config.json`, `environment.json`, the training manifest
(`rvmae_jax.data.manifest`), `checkpoints/`, `metrics.jsonl`, TensorBoard files,
`pictures/` and, where asked for, `profile/`.
"""

import collections
import contextlib
import functools
import json
import os
from collections.abc import Callable
from typing import Any

import jax
from absl import app, flags, logging
from etils import epath
from ml_collections import ConfigDict

from rvmae_jax import config_utils
from rvmae_jax.commands import run_command
from rvmae_jax.data import manifest
from rvmae_jax.data.bad_videos import BadVideoGuard
from rvmae_jax.data.locking import FolderLock
from rvmae_jax.data.pipeline import (
  check_config,
  source_classes,
  training_dataset,
)
from rvmae_jax.data.writing import write_whole
from rvmae_jax.evals import RUN, build_eval
from rvmae_jax.evals.schedule import ScheduledEvals
from rvmae_jax.parts import (
  build_parts,
  describe,
  model_functions,
  rebuilt_frames,
)
from rvmae_jax.training import guards, health, sharding
from rvmae_jax.training.checkpointing import Checkpointer, SaveError
from rvmae_jax.training.distributed import (
  define_process_flags,
  failing_together,
  join_processes,
  sum_over_processes,
)
from rvmae_jax.training.environment import (
  environment,
  memory_hint,
  typed_command,
)
from rvmae_jax.training.logging import (
  MetricWriter,
  Profiler,
  Progress,
  parameter_table,
  show_own_lines,
  storage_errors,
)
from rvmae_jax.training.prefetch import Prefetcher
from rvmae_jax.training.state import TrainState
from rvmae_jax.transfer import start_from
from rvmae_jax.visualize import can_draw
from rvmae_jax.visualize.training import TrainingPictures

# Steps given to the device before the host reads back the oldest: enough to
# keep the device busy, few enough to see a bad one at once.
_STEPS_IN_FLIGHT = 2


def train(config: ConfigDict, workdir: str, command: str = '') -> TrainState:
  """Trains, or resumes training, until `config.total_steps`.

  Args:
    config: a recipe; see `configs/rvm_pretrain.py`.
    workdir: of the run; it resumes from the newest checkpoint there.
    command: kept in `command.txt`, for whoever finds the workdir later.

  Returns:
    The state after the last step.

  Raises:
    Interrupted: the run was told to stop (SIGTERM, Ctrl-C) and has saved.
    FloatingPointError: too many steps whose loss was not finite.
    RuntimeError: too many videos that cannot be decoded.
    VideoError: so many of them in a row that none was found in their place.
    InUseError: another run is at the same workdir.
    OSError: the workdir cannot be written to; what is saved stays.
    ValueError: a config that contradicts itself or the checkpoint.
  """
  workdir = epath.Path(workdir)
  if jax.process_index():
    return _train(config, workdir, check_lock=lambda: None)
  # Only process 0 writes, so it takes the lock; if it fails, all processes end.
  with contextlib.ExitStack() as stack:
    with storage_errors(workdir):
      lock = stack.enter_context(FolderLock(workdir, 'train'))
    return _train(config, workdir, check_lock=lock.check, command=command)


def _train(
  config: ConfigDict,
  workdir: epath.Path,
  check_lock: Callable[[], None],
  command: str = '',
) -> TrainState:
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
  if hint := memory_hint():
    logging.info(hint)

  # ---- Model, objective, optimizer ----
  parts = build_parts(config)
  logging.info('Parameters:\n%s', parameter_table(parts.shapes.params))

  # ---- Data ----
  num_classes = getattr(parts.objective, 'num_classes', 0)
  data = iter(
    training_dataset(
      config,
      config.batch_size // jax.process_count(),
      process_index=jax.process_index(),
      process_count=jax.process_count(),
      num_classes=num_classes,
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
    logging.info(
      'Resuming after step %d, at record %d.',
      *(state.step, position['next_record']),
    )
  else:
    state = jax.jit(parts.init, out_shardings=shardings)()
    if config.checkpoint.init_from:
      state = start_from(
        config.checkpoint.init_from, state, shardings, parts.model
      )
  first_step = int(state.step) + 1
  is_done = first_step > config.total_steps
  if is_done:
    logging.info('Nothing to do: config.total_steps=%d.', config.total_steps)

  # ---- Step ----
  frozen = sharding.place(parts.frozen, mesh)
  train_step = sharding.jit_step(parts.train_step, shardings, mesh, frozen)

  # ---- Evaluations ----
  # Parameters are passed later: each step donates those that it is given.
  functions = model_functions(parts.model, parts.objective, None, mesh)
  evaluations = ScheduledEvals(
    config.evals,
    total_steps=config.total_steps,
    run_config=config,
    learned=source_classes(config.data.sources) if num_classes else {},
    num_classes=num_classes,
    batch_size=eval_batch_size(config),
    seed=config.seed,
  )

  # ---- Logs and guards ----
  if jax.process_index() == 0:
    if not is_done:  # A finished run keeps the files from its training.
      with storage_errors(workdir):
        if command:
          write_whole(workdir / 'command.txt', f'{command}\n')
        write_whole(workdir / 'config.json', config_utils.to_json(config))
        about = json.dumps(environment(), indent=1)
        write_whole(workdir / 'environment.json', about)
    # Also for a finished run, which may have been killed before this was done:
    # it has seen the videos of its own config, whatever this one says.
    trained = checkpointer.saved_config() if is_done else config
    recording = manifest.record_in_background(
      workdir, trained.data.sources, trained.checkpoint.init_from
    )
  progress = Progress(
    config.total_steps, config.batch_size, parts.flops_per_clip
  )
  profiler = Profiler(
    workdir / 'profile', config.log.profile, config.total_steps
  )
  non_finite = guards.NonFiniteGuard(config.log.max_skipped)
  watch = health.Watch(config.losses, config.model.get('core_kind', ''))
  data_config = check_config(config.data)
  bad_videos = BadVideoGuard(
    data_config['max_bad_share'], repeats=data_config['repeats']
  )
  pictures = TrainingPictures(
    workdir / 'pictures',
    every_steps=_drawing_every(config.log.pictures_every),
    **config_utils.token_size(config.model),
    reconstruction=fixed_clips_eval(config),
  )

  # ---- Loop ----
  if not is_done:
    logging.info('Compiling the first step; this takes a while.')
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
    guards.StopSignal(checkpointer.last_complete_step) as stop,
  ):
    # A run that ended in the evaluations of its last step has saved that step.
    owed = evaluations.due(first_step - 1) if first_step > 1 else []
    owed = writer.without_line(owed)
    if owed:
      logging.info(
        'Evaluations that step %d still lacks: %s.',
        first_step - 1,
        ', '.join(owed),
      )
      writer.write(
        first_step - 1,
        evaluations.run(
          functions.with_params(state.params), first_step - 1, owed
        ),
      )

    for step in range(first_step, config.total_steps + 1):
      check_lock()
      checkpointer.check()
      fetched = next(batches)
      bad_videos.update(fetched.host['host/bad_videos'])
      profiler.before(step)
      with jax.transfer_guard('disallow'):
        state, metrics = train_step(state, fetched.batch, *frozen)
      profiler.after(step, metrics)

      # What is due after this step.
      is_last = step == config.total_steps
      due = evaluations.due(step)
      is_stopping = stop.received(step) and (due or not is_last)
      every_steps = config.log.every_steps  # 0: at the last step only.
      is_logging = is_last or (every_steps and step % every_steps == 0)
      is_saving = is_last or is_stopping or checkpointer.is_due(step)
      is_drawing = pictures.is_due(step)
      is_quiet = step > first_step and not (
        is_logging or is_saving or due or is_drawing
      )

      # Read back; the device stays a few steps ahead while nothing is due.
      in_flight.append((step, metrics))
      while len(in_flight) > (_STEPS_IN_FLIGHT if is_quiet else 0):
        read_step, metrics = in_flight.popleft()
        metrics = jax.device_get(metrics)
        non_finite.check(read_step, metrics)

      if step == first_step:
        progress.start(step, batches.wait_s)
        with storage_errors(workdir):
          pictures.draw_batch(fetched.batch, step)
      if is_logging:
        scalars = metrics | progress.speed(step, batches.wait_s)
        scalars |= sum_over_processes(bad_videos.metrics())
        logging.info(progress.line(step, scalars))
        for problem in watch.update(step, scalars):
          logging.warning('Step %d: %s %s', step, problem.text, problem.remedy)
        writer.write(step, scalars)
      # Save before evaluations, which take long and may fail. A run that has to
      # stop leaves its evaluations to the command that resumes it.
      if is_saving:
        writer.flush()
        checkpointer.save(step, state, fetched.position)
      if is_stopping:
        checkpointer.wait()
        stop.leave(
          f'saved step {step} of {config.total_steps} in {workdir}; the same '
          'command resumes there.'
        )
      if due:
        with progress.paused():
          numbers = evaluations.run(
            functions.with_params(state.params), step, due
          )
        writer.write(step, numbers)
        writer.flush()
      if is_drawing:
        with progress.paused():
          rebuilt = pictures.rebuild(functions.with_params(state.params))
          with storage_errors(workdir):
            pictures.draw_reconstructions(rebuilt, step)
  if jax.process_index() == 0:
    recording.join()
  return state


def _drawing_every(steps: int) -> int:
  """`steps`, or 0 on all processes if process 0, which draws, cannot."""
  if not steps:
    return 0
  draws = jax.process_index() == 0 and can_draw()
  return steps if sum_over_processes({'draws': float(draws)})['draws'] else 0


def eval_batch_size(config: ConfigDict, most: int = 64) -> int:
  """Clips to evaluate at once: about `most`, the same on each device."""
  devices = jax.device_count()
  return min(config.batch_size, -(-most // devices) * devices)


def fixed_clips_eval(config: ConfigDict) -> tuple[str, Any] | None:
  """The evaluation that rebuilds the first few clips, for pictures.

  Returns:
    Its name and the evaluation; None where nothing is rebuilt.
  """
  evals = {'target': 'reconstruction', 'video': 'clip_reconstruction'}
  name = evals.get(rebuilt_frames(config))
  if not name:
    return None
  evaluation = build_eval(
    {'name': name, 'num_batches': 1},
    run_config=config,
    shared=dict.fromkeys(('sources', 'clip', 'crop', 'mask'), RUN),
    batch_size=eval_batch_size(config, most=4),
    seed=config.seed,
  )
  return name, evaluation


def main(args: flags.FlagValues) -> None:
  """Runs the command."""
  show_own_lines()
  if args.compile_cache:
    jax.config.update('jax_compilation_cache_dir', args.compile_cache)
  if args.dry_run:
    print(describe(args.config))
    return
  if not args.workdir:
    raise app.UsageError('--workdir=DIR is needed, except with --dry_run.')
  join_processes(args.coordinator, args.num_processes, args.process_id)
  command = typed_command('rvmae_jax.train')
  try:
    with failing_together():
      train(args.config, args.workdir, command)
  except SaveError as error:
    # Orbax, cut off in its work, would bury this under complaints at exit.
    logging.error('%s', error)
    logging.flush()
    os._exit(1)


if __name__ == '__main__':
  config_utils.define_config_flag()
  flags.DEFINE_string('workdir', None, 'Folder for everything the run writes.')
  flags.DEFINE_bool(
    'dry_run', False, 'Print parameters, batch and FLOPs; then stop.'
  )
  flags.DEFINE_string(
    'compile_cache', '', 'Folder to cache compiled programs in.'
  )
  define_process_flags()
  run_command(main)
