"""Evaluates a checkpoint: a table, metrics.json, arrays and pictures.

    python -m rvmae_jax.evaluate --config configs/eval_sprites.py \\
      --checkpoint runs/quickstart --workdir runs/quickstart/evaluation

The config says everything about an evaluation; from the run it takes only what
it asks for by name, see `rvmae_jax.evals.build_eval`. `--dry_run` prints what
each evaluation would read, pool and train. Run again, the command repeats only
what is unfinished or has changed. `--untrained` evaluates the same network with
random weights. Written to the workdir:

    metrics.json             all numbers, and what was measured how
    <evaluation>/arrays.npz  what the pictures show
    <evaluation>/*.png       the pictures
"""

import contextlib
import dataclasses
import datetime
import hashlib
import json
import os
import time
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from absl import app, flags, logging
from etils import epath
from ml_collections import ConfigDict

from rvmae_jax import config_utils, evals, files, visualize, weights
from rvmae_jax.batch import fake_batch
from rvmae_jax.commands import run_command
from rvmae_jax.data import manifest
from rvmae_jax.data.locking import FolderLock
from rvmae_jax.data.pipeline import batch_spec
from rvmae_jax.data.writing import whole_file, write_whole
from rvmae_jax.evals import leakage
from rvmae_jax.evals.description import describe
from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.evals.schedule import check_ready
from rvmae_jax.evals.tables import format_tables
from rvmae_jax.models import build_model
from rvmae_jax.objectives import build_objective
from rvmae_jax.parts import model_functions, rebuilt_frames
from rvmae_jax.training import checkpointing, sharding
from rvmae_jax.training.distributed import (
  define_process_flags,
  failing_together,
  join_processes,
)
from rvmae_jax.training.environment import environment, typed_command
from rvmae_jax.training.logging import show_own_lines


def evaluate(
  config: ConfigDict,
  params: Any,
  run_config: ConfigDict,
  workdir: epath.PathLike,
  *,
  seen: manifest.SeenVideos | None = None,
  allow_leakage: bool = False,
  **origin: Any,
) -> dict[str, dict[str, Any]]:
  """Runs the evaluations of a config on one network, on all devices.

  Args:
    config: `evals` (alias -> evaluation), `data` (what they share),
      `batch_size` and `seed`; see `rvmae_jax.evals.build_eval`.
    params: nested dict of arrays.
    run_config: the config that made them.
    workdir: where results go; what is finished is taken from there.
    seen: the videos that the network has learned from, if they are known.
    allow_leakage: continue even if some of them are test videos.
    **origin: further entries of metrics.json, such as the checkpoint's path.

  Returns:
    alias -> `name`, `metrics`, `pictures` (paths in the workdir), `seconds`,
    `description` and `key`, which tells whether it has to be repeated; as in
    metrics.json. Also `leakage`, where test videos were trained on.

  Raises:
    ValueError: settings that make no sense, videos that are missing or were
      trained on, or labels that do not match the classes learned. It is raised
      before any evaluation is run.
    InUseError: another process evaluates into `workdir`.
  """
  workdir, is_writing = epath.Path(workdir), jax.process_index() == 0
  evaluations = build_evaluations(
    config, run_config, seen.class_names if seen else {}
  )
  leaks = {}
  if seen and not origin.get('untrained'):  # Random weights have seen nothing.
    leaks = leakage.find_leaks(evaluations, run_config.data, seen)
  leakage.check(leaks, allow_leakage)
  functions = model_functions(
    build_model(run_config.model),
    build_objective(run_config),
    params,
    sharding.make_mesh(),
  )
  digest = weights.params_digest(params)
  keys = {k: _key(e, run_config, digest) for k, e in evaluations.items()}
  lock = FolderLock(workdir, 'evaluate')
  with lock if is_writing else contextlib.nullcontext():
    finished = _finished(workdir / 'metrics.json', digest, origin)
    todo = [k for k in evaluations if finished.get(k, {}).get('key') != keys[k]]
    results, start_s = {}, time.monotonic()
    for place, (alias, evaluation) in enumerate(evaluations.items(), start=1):
      progress = f'[{place}/{len(evaluations)}] {alias}'
      if alias in todo:
        print(f'{progress}: running', flush=True)
        results[alias] = _run(
          evaluation, functions, workdir / alias if is_writing else None
        ) | {
          'description': describe(alias, evaluation).splitlines(),
          'date': datetime.date.today().isoformat(),
          'key': keys[alias],
        }
        number = todo.index(alias) + 1
        left_s = (time.monotonic() - start_s) / number * (len(todo) - number)
        seconds = results[alias]['seconds']
        print(f'{progress}: {seconds} s, about {left_s:.0f} s left')
      else:
        results[alias] = finished[alias]
        print(f'{progress}: already finished, in {workdir}')
      if alias in leaks:
        results[alias]['leakage'] = dataclasses.asdict(leaks[alias])
        print(f'  Not to be trusted: {leakage.of_result(results[alias])}')
      print(
        format_tables(results[alias]['metrics']) or '  nothing to measure\n'
      )
      # After each, so that a run cut short loses one evaluation at most.
      content = origin | {
        'weights': digest,
        'environment': environment(),
        'run_config': run_config,
        'config': config,
        'evaluations': finished | results,
      }
      if is_writing:
        write_whole(workdir / 'metrics.json', _json(content))
  return results


def build_evaluations(
  config: ConfigDict,
  run_config: ConfigDict,
  learned: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any]:
  """The evaluations of a config that a run can be asked, by alias.

  Args:
    config: see `evaluate`.
    run_config: of the run.
    learned: the classes that its network has learned, see `check_ready`.

  Raises:
    ValueError: settings that make no sense, videos that are not there, or
      labels that are not those that are learned.
  """
  unfit = evals.unfit_evals(config.evals, rebuilt_frames(run_config))
  for alias, reason in unfit.items():
    print(f'{alias}: skipped, because {reason}')
  entries = {k: entry for k, entry in config.evals.items() if k not in unfit}
  evaluations = evals.build_evals(
    entries,
    run_config=run_config,
    shared=config.data,
    batch_size=config.batch_size,
    seed=config.seed,
  )
  check_ready(evaluations, learned, run_config.model.get('num_classes', 0))
  return evaluations


def _key(evaluation: Any, run_config: ConfigDict, params_digest: str) -> str:
  """A hash of all that decides a result: if it changes, the result is redone.

  That is the evaluation's settings, the network with its parameters, and the
  videos (for evaluations that measure the device: the kind of device instead).
  A dataset that an evaluation brings along is assumed not to change.
  """
  sides = evaluation.videos_by_side().values()
  surroundings = [videos.records_digest() for videos in sides]
  if evaluation.is_of_device:
    surroundings = [jax.devices()[0].device_kind]
  asked = [evals.VERSION, evals.spec(evaluation), run_config.model]
  asked += [params_digest, surroundings]
  judge = getattr(evaluation, 'perceptual', '')
  if judge not in ('', 'own'):
    asked.append(weights.content_digest(judge))
  return hashlib.sha256(_json(asked).encode()).hexdigest()


def fresh_params(run_config: ConfigDict) -> Any:
  """Parameters that a run's network has before training, by the run's seed."""
  spec = batch_spec(
    run_config.data, 1, **config_utils.token_size(run_config.model)
  )
  init = jax.jit(build_model(run_config.model).init)
  return init(jax.random.key(run_config.seed), fake_batch(spec))['params']


def _run(
  evaluation: Any, functions: ModelFunctions, folder: epath.Path | None
) -> dict[str, Any]:
  """A result as in metrics.json; writes arrays and pictures into a folder."""
  name, start_s = evals.EVALS.name_of(type(evaluation)), time.monotonic()
  metrics, arrays = evaluation.run(functions)
  pictures = []
  if folder and arrays:
    folder.mkdir(exist_ok=True)
    with whole_file(folder / 'arrays.npz') as path, path.open('wb') as file:
      np.savez_compressed(file, **arrays)
  if folder:
    try:
      pictures = visualize.draw(name, arrays, metrics, folder)
    except Exception as error:  # The numbers stay: they may have taken hours.
      traceback.print_exc()
      print(f'  Its pictures could not be drawn ({error}); its numbers stay.')
  return {
    'name': name,
    'metrics': metrics,
    'pictures': [f'{folder.name}/{path.name}' for path in pictures],
    'seconds': round(time.monotonic() - start_s, 1),
  }


def _json(value: Any) -> str:
  def plain(other):
    return other.to_dict() if isinstance(other, ConfigDict) else list(other)

  return json.dumps(value, indent=2, default=plain)


def _finished(
  path: epath.Path, params_digest: str, origin: Mapping[str, Any]
) -> dict[str, Any]:
  """The finished evaluations in metrics.json, if they are of these weights.

  Results of other weights of the same run are discarded.

  Raises:
    ValueError: the file holds results of another checkpoint, or results whose
      `untrained` or `ema` differs.
  """

  def is_other(name):
    before, now = found[name], origin.get(name, found[name])
    if name == 'checkpoint':  # One path may be typed in several ways.
      before, now = (
        str(p).rstrip('/') if '://' in str(p) else os.path.abspath(p)
        for p in (before, now)
      )
    return before != now

  found = files.read_json(path) if path.exists() else {}
  if found and found.get('weights') != params_digest:
    for name in ('checkpoint', 'untrained', 'ema'):
      if name in found and is_other(name):
        raise ValueError(
          f'{path} holds results with {name}={found[name]}, and this is '
          f'{name}={origin[name]}: give another --workdir, or delete it.'
        )
    print(f'{path} holds results of other weights; it is replaced.')
    return {}
  return found.get('evaluations', {})


def main(args: flags.FlagValues) -> None:
  """Runs the command."""
  show_own_lines()
  join_processes(args.coordinator, args.num_processes, args.process_id)
  params, run_config = weights.load(args.checkpoint, ema=args.ema)
  if args.dry_run:
    for item in build_evaluations(args.config, run_config).items():
      print(describe(*item))
    return
  if not args.workdir:
    raise app.UsageError('--workdir=DIR is needed, except with --dry_run.')
  step = checkpointing.step_of(args.checkpoint)
  if args.untrained:
    params, step = fresh_params(run_config), None
  run = manifest.find_run(args.checkpoint)
  if run is None:
    logging.info(
      'No training manifest with %s: it is unknown whether it was trained on '
      'test videos.',
      args.checkpoint,
    )
  with failing_together():
    evaluate(
      args.config,
      params,
      run_config,
      args.workdir,
      seen=run and manifest.SeenVideos(run),
      allow_leakage=args.allow_leakage,
      checkpoint=args.checkpoint,
      step=step,
      ema=args.ema,
      untrained=args.untrained,
      command=typed_command('rvmae_jax.evaluate'),
    )


if __name__ == '__main__':
  config_utils.define_config_flag()
  flags.DEFINE_string(
    'checkpoint',
    None,
    'A run, a checkpoint, or a weights file: exported, released, or of the '
    'VideoMAE family in PyTorch.',
  )
  flags.DEFINE_string('workdir', None, 'Folder for the results.')
  flags.DEFINE_bool('ema', False, 'Evaluate the moving average.')
  flags.DEFINE_bool(
    'untrained',
    False,
    'Evaluate the same network with random weights, to compare with.',
  )
  flags.DEFINE_bool(
    'allow_leakage', False, 'Continue even if test videos were trained on.'
  )
  flags.DEFINE_bool(
    'dry_run', False, 'Print what would be read, pooled and trained; then stop.'
  )
  define_process_flags()
  flags.mark_flag_as_required('checkpoint')
  run_command(main)
