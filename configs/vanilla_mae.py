"""Vanilla per-frame MAE: the baseline without recurrence.

  python -m rvmae_jax.train --workdir runs/vanilla_mae \\
    --config configs/vanilla_mae.py:variant=S,videos=DIR

The frames of a clip are encoded, masked and rebuilt each by itself: no token
ever sees another frame. Clips, frames and pixels are those that RVM gets.

Arguments: those of configs/image_mae.py: variant=tiny|S|B|L|H, videos, shards,
runlocal.
Cost: ViT-B takes 77.4 GMAC a clip of 8 frames forward.
Expect: a study's baseline without a published number. RVM with one source
frame, which also sees no motion, has SSv2 41.0 against 52.3 with four (frozen,
arXiv 2512.13684, S).
"""

from rvmae_jax.config_utils import load_recipe

image_mae = load_recipe('image_mae.py', beside=__file__)


def get_config(arg=None):
  """The config; see the module's docstring for `arg`."""
  config = image_mae.get_config(arg)
  config.data.clip = {'name': 'uniform', 'num_frames': 8, 'stride': 4}
  # As many frames as in a batch of ImageMAE.
  config.batch_size = min(config.batch_size, 512)
  return config
