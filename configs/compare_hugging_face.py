"""Recipes on moving sprites for which Hugging Face has a PyTorch network.

  python -m rvmae_jax.tools.train_hugging_face --out videomae.json \\
    --config configs/compare_hugging_face.py:method=videomae

They are configs/videomae.py and configs/image_mae.py with their own positions,
targets and loss, at the size of configs/compare_sprites.py: 32x32 pixels,
patches of 8, a width of 128.

Arguments: method=videomae|image_mae; pixels: rebuild plain pixels instead of
normalised patches.
Cost: 2,000 steps of both networks take a few minutes on one CPU core.
"""

from rvmae_jax.config_utils import merged, parse_arg
from rvmae_jax.configs import compare_sprites, image_mae, videomae
from rvmae_jax.registry import check_known

RECIPES = {'videomae': videomae, 'image_mae': image_mae}
# Of 16 places, 4 stay visible: nine tenths would leave one or two.
CHANGES = {
  'videomae': {
    'data': {'clip': compare_sprites.WHOLE_VIDEO, 'mask': {'ratio': 0.75}}
  },
  'image_mae': {},
}


def get_config(arg=None):
  """The config; see the module's docstring for `arg`."""
  arg = parse_arg(arg, method='videomae', pixels=False)
  check_known('method', RECIPES, arg.method)
  config = RECIPES[arg.method].get_config('variant=tiny')
  shared = compare_sprites.get_config().shared
  for changes in (shared, CHANGES[arg.method]):
    config = merged(config, changes)
  config.total_steps = 2_000
  if arg.pixels:
    config.objective.normalize = 'none'
  config.evals = {}
  return config
