"""Vanilla per-frame MAE: the baseline without recurrence.

  python -m rvmae_jax.train --workdir runs/vanilla_mae \\
    --config configs/vanilla_mae.py:variant=S,videos=DIR

Each frame of a clip is encoded, masked and rebuilt by itself: no token ever
sees another frame. Clips, crops, targets, batch, optimizer, schedule and
evaluations are those of configs/rvmae.py. The network and the mask are those of
configs/image_mae.py (three quarters of every frame hidden, but no frame whole),
and the loss is on pixels alone, since there is no state to be consistent in
time.

Arguments: variant=tiny|S|B|L|H; videos, shards and runlocal as those of
configs/rvm_pretrain.py.
Cost: ViT-S takes 68.3 GMAC a clip of 8 frames forward, ViT-B 102.0.
Expect: no number has been published. RVM with one source frame, which also
sees no motion, reaches 41.0 on SSv2, against 52.3 with four (frozen, arXiv
2512.13684, S).
"""

from rvmae_jax.config_utils import parse_arg
from rvmae_jax.configs import image_mae, rvmae


def get_config(arg=None):
  """The config; see the module's docstring for `arg`."""
  arg = parse_arg(arg, variant='S', videos='', shards='', runlocal=False)
  config = rvmae.get_config(arg)
  per_frame = image_mae.get_config(arg)
  config.model = per_frame.model
  config.data.mask = per_frame.data.mask
  config.losses = {'pixel_l2': 1.0}
  del config.perceptual_checkpoint
  return config
