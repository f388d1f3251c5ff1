"""Evaluates a checkpoint: a table, metrics.json, arrays and pictures.

  python -m rvmae_jax.evaluate --config configs/eval_sprites.py \\
    --checkpoint runs/sprites --workdir runs/sprites/evaluation

Videos come from the data config of the run, changed by the evaluation config's
`data` and by each evaluation's own. Started again, it repeats only what is not
finished or what has changed; `--untrained` asks the same network with fresh
parameters. What it leaves in its workdir:

  metrics.json             all numbers, and what was measured how
  <evaluation>/arrays.npz  what the pictures show
  <evaluation>/*.png       the pictures
"""

import dataclasses
import hashlib
import json
import shlex
import sys
import time
from typing import Any

import jax
import numpy as np
from absl import app, flags, logging
from etils import epath
from ml_collections import ConfigDict, config_flags

from rvmae_jax import config_utils, perceptual, visualize, weights
from rvmae_jax.batch import fake_batch
from rvmae_jax.data import manifest
from rvmae_jax.data.locking import FolderLock
from rvmae_jax.data.pipeline import batch_spec
from rvmae_jax.data.writing import whole_file, write_whole
from rvmae_jax.evals import build_eval, leakage
from rvmae_jax.evals.fitting import unfit_evals
from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.evals.tables import format_tables
from rvmae_jax.evals.videos import override
from rvmae_jax.models import build_model
from rvmae_jax.objectives import build_objective
from rvmae_jax.parts import rebuilt_frames
from rvmae_jax.training.environment import environment
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
  """Runs the evaluations of a config on one network.

  Args:
    config: `evals` (alias -> evaluation, see `rvmae_jax.evals`), `data`
      (changes to the run's), `batch_size` and `seed`.
    params: nested dict of arrays.
    run_config: the config that made them.
    workdir: where results go; what is finished is taken from there.
    seen: the videos that the network has learned from, if they are known.
    allow_leakage: go on where some of them are asked about.
    **origin: further entries of metrics.json, such as the checkpoint's path.

  Returns:
    alias -> `name`, `metrics`, `pictures` (paths in the workdir), `seconds` and
    `key`, which tells whether it has to be repeated; as in metrics.json. Also
    `leakage`, where test videos were trained on.

  Raises:
    ValueError: test videos were trained on; before anything is run.
    InUseError: another process evaluates into `workdir`.
  """
  workdir = epath.Path(workdir)
  with FolderLock(workdir, 'evaluate'):
    return _evaluate(
      config, params, run_config, workdir, seen, allow_leakage, origin
    )


def _evaluate(
  config: ConfigDict,
  params: Any,
  run_config: ConfigDict,
  workdir: epath.Path,
  seen: manifest.SeenVideos | None,
  allow_leakage: bool,
  origin: dict[str, Any],
) -> dict[str, dict[str, Any]]:
  data = override(run_config.data, config.data)
  leaks = {}
  if seen:
    leaks = leakage.find_leaks(config.evals, data, run_config.data, seen)
  if leaks and allow_leakage:
    logging.warning('Trained on test videos:\n%s', leakage.describe(leaks))
  else:
    leakage.refuse(leaks)
  functions = ModelFunctions(
    build_model(run_config.model),
    jax.device_put(params),
    # Only objectives that rebuild frames have it.
    to_frames=getattr(build_objective(run_config), 'to_frames', None),
    build_model=build_model,
    load_judge=perceptual.frozen_distance,
  )
  unfit = unfit_evals(config.evals, rebuilt_frames(run_config))
  for alias, reason in unfit.items():
    print(f'{alias}: left out, since {reason}')
  entries = {k: entry for k, entry in config.evals.items() if k not in unfit}
  weights_digest = digest(params)
  finished, results = _read(workdir / 'metrics.json', weights_digest), {}
  spent_s, num_done = 0.0, 0
  for number, (alias, entry) in enumerate(entries.items(), start=1):
    progress = f'[{number}/{len(entries)}] {alias}'
    evaluation = build_eval(
      entry,
      data=data,
      **config_utils.token_size(run_config.model),
      batch_size=config.batch_size,
      seed=config.seed,
    )
    asked = [entry, data, config.batch_size, config.seed, weights_digest]
    asked.append(_surroundings(evaluation))
    key = hashlib.sha256(_json(asked).encode()).hexdigest()
    if finished.get(alias, {}).get('key') == key:
      results[alias] = finished[alias]
      print(f'{progress}: finished before, in {workdir}')
    else:
      print(f'{progress}: running', flush=True)
      start_s = time.monotonic()
      metrics = evaluation.run(functions)
      results[alias] = {
        'name': entry.name,
        'metrics': metrics,
        'pictures': _save(
          entry.name, evaluation.arrays, metrics, workdir / alias
        ),
        'seconds': round(time.monotonic() - start_s, 1),
        'key': key,
      }
      spent_s, num_done = spent_s + results[alias]['seconds'], num_done + 1
      left_s = spent_s / num_done * (len(entries) - number)
      print(f'{progress}: {results[alias]["seconds"]} s, ', end='')
      print(f'about {left_s:.0f} s left' if left_s else 'all done')
    if alias in leaks:
      results[alias]['leakage'] = dataclasses.asdict(leaks[alias])
      print(f'  Not to be trusted: {leakage.of_result(results[alias])}')
    print(format_tables(results[alias]['metrics']) or '  nothing to measure\n')
    # After each, so that a run cut short loses one evaluation at most.
    content = origin | {
      'weights': weights_digest,
      'environment': environment(),
      'run_config': run_config,
      'config': config,
      'evaluations': finished | results,
    }
    write_whole(workdir / 'metrics.json', _json(content))
  return results


def _surroundings(evaluation: Any) -> list[str]:
  """What a result depends on besides settings and weights.

  The videos that there are, or the device for what measures it; a dataset that
  an evaluation brings along is taken to stay as it is.
  """
  if getattr(evaluation, 'is_of_device', False):
    return [jax.devices()[0].device_kind]
  if getattr(evaluation, 'dataset', None):
    return []
  sides = [s for s in ('train', 'test') if hasattr(evaluation, s)]
  if not sides:
    return [evaluation.videos.digest()]
  changes = [getattr(evaluation, side) for side in sides]
  return [evaluation.videos.changed(change).digest() for change in changes]


def fresh_params(run_config: ConfigDict) -> Any:
  """Parameters that a run's network has before training, by the run's seed."""
  spec = batch_spec(
    run_config.data, 1, **config_utils.token_size(run_config.model)
  )
  init = jax.jit(build_model(run_config.model).init)
  return init(jax.random.key(run_config.seed), fake_batch(spec))['params']


def _save(
  name: str,
  arrays: dict[str, np.ndarray],
  metrics: dict[str, float],
  folder: epath.Path,
) -> list[str]:
  """Writes arrays and pictures; returns the pictures, seen from the workdir."""
  if arrays:
    folder.mkdir(exist_ok=True)
    with (
      whole_file(folder / 'arrays.npz') as partial,
      partial.open('wb') as file,
    ):
      np.savez_compressed(file, **arrays)
  paths = visualize.draw(name, arrays, metrics, folder)
  return [f'{folder.name}/{path.name}' for path in paths]


def digest(params: Any) -> str:
  """A hash of all parameters by name: the same weights, wherever they lie."""
  digest = hashlib.sha256()
  for path, leaf in jax.tree_util.tree_leaves_with_path(params):
    digest.update(jax.tree_util.keystr(path).encode())
    digest.update(np.ascontiguousarray(leaf).data)
  return digest.hexdigest()


def _json(value: Any) -> str:
  def plain(other):
    return other.to_dict() if isinstance(other, ConfigDict) else list(other)

  return json.dumps(value, indent=2, default=plain)


def _read(path: epath.Path, weights_digest: str) -> dict[str, Any]:
  """Evaluations that were finished before, if they were of these weights."""
  found = json.loads(path.read_text()) if path.exists() else {}
  if found and found.get('weights') != weights_digest:
    print(f'{path} is of other weights, and is replaced.')
    return {}
  return found.get('evaluations', {})


def main(argv: list[str]) -> None:
  """Runs the command."""
  if argv[1:]:
    raise app.UsageError(f'Unexpected arguments: {argv[1:]}.')
  args = flags.FLAGS
  show_own_lines()
  params, run_config = weights.load(args.checkpoint, ema=args.ema)
  if args.untrained:
    params = fresh_params(run_config)
  run = manifest.find_run(args.checkpoint)
  if run is None:
    logging.info(
      'No training manifest with %s: nobody knows whether it was trained on '
      'test videos.',
      args.checkpoint,
    )
  evaluate(
    args.config,
    params,
    run_config,
    args.workdir,
    seen=run and manifest.SeenVideos(run),
    allow_leakage=args.allow_leakage,
    checkpoint=args.checkpoint,
    ema=args.ema,
    untrained=args.untrained,
    command=shlex.join(['python', '-m', 'rvmae_jax.evaluate', *sys.argv[1:]]),
  )


if __name__ == '__main__':
  config_flags.DEFINE_config_file('config', lock_config=True)
  flags.DEFINE_string(
    'checkpoint',
    None,
    'Workdir of a run, a checkpoint, or a file of weights: exported, released, '
    "or PyTorch's of the VideoMAE family.",
  )
  flags.DEFINE_string('workdir', None, 'Where results go.')
  flags.DEFINE_bool('ema', False, 'The moving average of the parameters.')
  flags.DEFINE_bool(
    'untrained', False, 'Fresh parameters of the same network, to compare with.'
  )
  flags.DEFINE_bool(
    'allow_leakage', False, 'Go on where test videos were trained on.'
  )
  flags.mark_flags_as_required(['config', 'checkpoint', 'workdir'])
  app.run(main)
