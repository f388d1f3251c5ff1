"""Checks that methods can overfit a few clips; if not, more data cannot help.

  python -m rvmae_jax.tools.overfit --config configs/compare_sprites.py \\
    --out overfit.json [--clips 16] [--max_steps 2000] [--methods rvm,videomae]

Trains every method of the comparison that rebuilds pixels on a single batch,
with the same clips and masks in each step, until hidden patches are rebuilt at
`--target_db` or `--max_steps` is reached. After a short warm-up, the learning
rate falls to zero at `--max_steps`. There is no weight decay; everything else
is as in the recipe. Run the same command again to continue with the methods
that are not in the file yet.
"""

import contextlib
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
from absl import flags
from ml_collections import ConfigDict

from rvmae_jax import config_utils, files
from rvmae_jax.commands import run_command
from rvmae_jax.parts import build_parts, rebuilt_frames
from rvmae_jax.registry import check_known
from rvmae_jax.tools.batches import training_batches
from rvmae_jax.tools.comparison.recipes import (
  configs_digest,
  is_trained,
  run_recipe,
)
from rvmae_jax.tools.result_file import write_result

_CHECK_EVERY = 10
_WARMUP_STEPS = 20


def masked_methods(config: ConfigDict) -> list[str]:
  """The methods of a comparison that are trained to rebuild pixels."""
  return [
    method
    for method in config.methods
    if is_trained(config, method)
    and rebuilt_frames(run_recipe(config, method, seed=0))
  ]


def overfit(
  recipe: ConfigDict,
  *,
  num_clips: int,
  target_db: float,
  max_steps: int,
  lr: float,
) -> list[tuple[int, float]]:
  """Trains on one batch until its hidden patches are rebuilt well.

  Args:
    recipe: of a method that rebuilds pixels; it is not changed.
    num_clips: clips in the batch.
    target_db: PSNR of hidden patches to stop at, mean over clips or frames.
    max_steps: updates after which it gives up.
    lr: learning rate.

  Returns:
    (updates made, PSNR after them) from 0 on, every few steps.
  """
  recipe = config_utils.merged(
    recipe,
    {
      'batch_size': num_clips,
      'total_steps': max_steps + 1,
      'optimizer': {'lr_per_256': lr * 256 / num_clips, 'weight_decay': 0.0},
      'schedule': {
        'name': 'cosine',
        'warmup_steps': _WARMUP_STEPS,
        'end_factor': 0.0,
      },
      'data': {'repeats': 1},
    },
  )
  parts = build_parts(recipe)
  with contextlib.closing(training_batches(recipe)) as batches:
    batch = next(batches)
  batch = jax.device_put(batch)
  state = jax.jit(parts.init)()
  step = jax.jit(parts.train_step, donate_argnums=0)
  curve = []
  for number in range(max_steps + 1):
    state, metrics = step(state, batch)  # Metrics are those before the update.
    if number % _CHECK_EVERY == 0 or number == max_steps:
      curve.append((number, float(metrics['psnr_hidden'])))
      if curve[-1][1] >= target_db:
        break
  return curve


def table_row(
  method: str, curve: Sequence[tuple[int, float]], target_db: float
) -> tuple[Any, ...]:
  """Method, PSNR at the start and the best, steps to the target or None."""
  best = max(psnr for _, psnr in curve)
  reached = next((n for n, psnr in curve if psnr >= target_db), None)
  return method, round(curve[0][1], 1), round(best, 1), reached


def known_methods(
  path: pathlib.Path,
  columns: Sequence[str],
  notes: str,
  recipes: Mapping[str, str],
) -> tuple[list[Any], dict[str, Any], dict[str, str]]:
  """What a file holds that an earlier command wrote; nothing if none did.

  Args:
    path: of the file.
    columns, notes: as they would be written now.
    recipes: method -> digest of its recipe, of those that are to be tried.

  Returns:
    Rows, curves and digests of recipes, as they were written.

  Raises:
    ValueError: it was written with other settings or recipes.
  """
  if not path.exists():
    return [], {}, {}
  written = files.read_json(path)
  remedy = 'Take another --out, or delete it.'
  if [written.get(k) for k in ('columns', 'notes')] != [list(columns), notes]:
    raise ValueError(
      f'{path} was written with other settings ({written.get("notes")}); these '
      f'are {notes} {remedy}'
    )
  known = written.get('recipes', {})
  if changed := [
    method
    for method in written['curves']
    if method in recipes and known.get(method) != recipes[method]
  ]:
    raise ValueError(
      f'{path} was written with other recipes of {", ".join(changed)}. {remedy}'
    )
  return written['rows'], written['curves'], known


def main(args: flags.FlagValues) -> None:
  """Runs the command."""
  reached = f'steps to {args.target_db:g} dB'
  columns = 'method', 'PSNR before, dB', 'best PSNR, dB', reached
  notes = (
    f'{args.clips} clips under fixed masks, at most {args.max_steps} steps at '
    f'a rate of {args.lr:g}.'
  )
  known = masked_methods(args.config)
  check_known('method that rebuilds pixels', known, *args.methods)
  recipes = {
    method: run_recipe(args.config, method, seed=0)
    for method in args.methods or known
  }
  digests = {method: configs_digest(r) for method, r in recipes.items()}
  rows, curves, written = known_methods(
    pathlib.Path(args.out), columns, notes, digests
  )
  for method, recipe in recipes.items():
    if method in curves:
      continue
    curve = overfit(
      recipe,
      num_clips=args.clips,
      target_db=args.target_db,
      max_steps=args.max_steps,
      lr=args.lr,
    )
    rows.append(table_row(method, curve, args.target_db))
    curves[method], written[method] = curve, digests[method]
    print(rows[-1], flush=True)
    write_result(args.out, columns, rows, notes, curves=curves, recipes=written)


if __name__ == '__main__':
  config_utils.define_config_flag()
  flags.DEFINE_string('out', None, 'The JSON file to write.')
  flags.DEFINE_integer('clips', 16, 'Clips in the batch.', lower_bound=1)
  flags.DEFINE_integer(
    'max_steps', 2000, 'Steps before giving up.', lower_bound=1
  )
  flags.DEFINE_float('target_db', 30.0, 'PSNR of hidden patches to reach, dB.')
  flags.DEFINE_float('lr', 3e-3, 'Learning rate.')
  flags.DEFINE_list('methods', [], 'Methods to try; default: all.')
  flags.mark_flag_as_required('out')
  run_command(main)
