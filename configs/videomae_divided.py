"""VideoMAE pre-training with divided space-time attention (TimeSformer's).

  python -m rvmae_jax.train --workdir runs/videomae_divided \\
    --config configs/videomae_divided.py:variant=B,dataset=ssv2,videos=DIR

Tube masks leave the same places visible in every time slot, so that visible
tokens form a full grid of slots by places; `train` refuses other masks.

Arguments: those of configs/videomae.py: variant=tiny|S|B|L|H, dataset, videos,
published, shards, runlocal.
Cost: ViT-B takes 37.9 GMAC a clip forward, 33.8 with joint attention: at 20
visible of 196 places, the second attention's projections outweigh its savings.
Expect: no number has been published. Joint attention: configs/videomae.py;
TimeSformer itself, supervised from ImageNet-21k (arXiv 2102.05095): K400 78.0.
"""

from rvmae_jax.configs import videomae


def get_config(arg=None):
  """The config; see the module's docstring for `arg`."""
  config = videomae.get_config(arg)
  config.model.space_time = 'divided'
  # A CLS token, and learned tables of places and times, as in TimeSformer.
  config.model.num_prefix_tokens = 1
  config.model.position = 'learned'
  height, width = config.data.crop.size
  config.model.learned_grid = (
    config.data.clip.num_frames // config.model.tubelet_size,
    height // config.model.patch_size,
    width // config.model.patch_size,
  )
  return config
