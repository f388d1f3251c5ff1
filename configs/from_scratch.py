"""Supervised training of a video ViT from scratch, VideoMAE's baseline.

  python -m rvmae_jax.train --workdir runs/from_scratch \\
    --config configs/from_scratch.py:variant=B,num_classes=174,videos=DIR

This is configs/finetune.py from random weights and with more epochs (100 passes
over the videos, two clips of each in a pass), on Something-Something v2.

Arguments: variant=tiny|S|B|L|H; num_classes=of the dataset; videos=a folder of
videos (class = folder), or empty for the built-in moving sprites; published:
the folder holds Something-Something v2 in its published layout; shards=a folder
written by tools/prepare, instead of videos; runlocal shrinks everything to a
minute on a laptop.
Cost: 180 GMAC a clip forward (ViT-B).
Expect (VideoMAE's paper, ViT-B from scratch): SSv2 32.6, UCF101 51.4, HMDB51
18.0.
"""

from rvmae_jax.config_utils import parse_arg
from rvmae_jax.configs import finetune

EPOCHS = 100


def get_config(arg=None):
  """The config; see the module's docstring for `arg`."""
  arg = parse_arg(
    arg,
    variant='B',
    num_classes=174,
    videos='',
    published=False,
    shards='',
    runlocal=False,
  )
  config = finetune.get_config({**arg, 'dataset': 'ssv2'})
  if not arg.runlocal:
    factor = EPOCHS / finetune.DATASETS['ssv2']['epochs']
    config.total_steps = round(factor * config.total_steps)
    config.evals.accuracy_views.every_steps = config.total_steps
  # There are no pre-trained layers to preserve.
  config.optimizer.layer_decay = 1.0
  return config
