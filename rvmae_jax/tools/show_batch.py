"""Draws the first training batch with its masks: what the model will see.

  python -m rvmae_jax.tools.show_batch --config configs/rvm_pretrain.py \\
    --out batch.png [--num 4]
"""

import pathlib

from absl import flags
from ml_collections import ConfigDict

from rvmae_jax.commands import run_command
from rvmae_jax.config_utils import define_config_flag, token_size
from rvmae_jax.data.pipeline import training_dataset
from rvmae_jax.data.writing import make_folder_of, whole_file
from rvmae_jax.visualize.batch import draw_batch


def show_batch(config: ConfigDict, out: str, num: int = 4) -> None:
  """Writes a picture of `num` clips to `out` and prints the batch's shapes.

  Args:
    config: a recipe.
    out: path; its suffix decides the format.
    num: clips to draw.
  """
  repeats = config.data.get('repeats', 1)
  iterator = iter(training_dataset(config, -(-num // repeats) * repeats))
  batch = next(iterator)
  iterator.close()
  for key, value in batch.items():
    print(f'{key:16} {value.dtype!s:6} {list(value.shape)}')
  figure = draw_batch(batch, **token_size(config.model), num_rows=num)
  with whole_file(pathlib.Path(out)) as partial:
    figure.savefig(partial, dpi=150)
  print(f'Wrote {out}')


def main(args: flags.FlagValues) -> None:
  """Runs the command."""
  make_folder_of(args.out)
  show_batch(args.config, args.out, args.num)


if __name__ == '__main__':
  define_config_flag()
  flags.DEFINE_string('out', 'batch.png', 'Picture to write.')
  flags.DEFINE_integer('num', 4, 'Clips to draw.', lower_bound=1)
  run_command(main)
