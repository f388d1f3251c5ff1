"""Draws the first training batch with its masks: what the model will see.

  python -m rvmae_jax.tools.show_batch --config configs/rvm_pretrain.py \\
    --out batch.png [--num 4]
"""

from absl import flags
from ml_collections import ConfigDict

from rvmae_jax.commands import run_command
from rvmae_jax.config_utils import define_config_flag, token_size
from rvmae_jax.data.pipeline import training_dataset
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
  figure.savefig(out, dpi=150)
  print(f'Wrote {out}')


def main(args: flags.FlagValues) -> None:
  """Runs the command."""
  show_batch(args.config, args.out, args.num)


if __name__ == '__main__':
  define_config_flag()
  flags.DEFINE_string('out', 'batch.png', 'Picture to write.')
  flags.DEFINE_integer('num', 4, 'Clips to draw.', lower_bound=1)
  run_command(main)
