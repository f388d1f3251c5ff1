"""R-VMAE: RVM's recurrence under one mask over space and time of a clip.

  python -m rvmae_jax.train --workdir runs/rvmae \\
    --config configs/rvmae.py:variant=S,videos=DIR

Two of eight frames are hidden whole, and three quarters of the patches of the
others. A term of the loss makes the state change steadily from frame to frame.
Its baseline is configs/vanilla_mae.py: no recurrence, but the same clips,
pixels, targets and training.

Arguments: variant=tiny|S|B|L|H; videos, shards and runlocal as those of
configs/rvm_pretrain.py; causal: the decoder sees no later frames; views: add a
contrastive loss on two clips of each video; perceptual=the network whose
features compare rebuilt frames in the loss: a run, a checkpoint, a weights
file, or VGG16 and LPIPS, see rvmae_jax/perceptual.py.
Cost: `--dry_run` prints the FLOPs of a clip.
Expect: no number has been published.
"""

from rvmae_jax.config_utils import parse_arg
from rvmae_jax.configs import rvm_pretrain


def get_config(arg=None):
  """The config; see the module's docstring for `arg`."""
  arg = parse_arg(
    arg,
    variant='S',
    videos='',
    shards='',
    causal=False,
    views=False,
    perceptual='',
    runlocal=False,
  )
  variant = 'tiny' if arg.runlocal else arg.variant
  config = rvm_pretrain.get_config({**arg, 'variant': variant})
  # As many frames as in half a batch of RVM.
  config.batch_size = min(config.batch_size, 512)
  # MAE's rule, 3e-4 at this batch; no source gives R-VMAE's own.
  config.optimizer.lr_per_256 = 1.5e-4
  config.model.name = 'rvmae'
  config.model.core_kind = 'gated'
  config.model.causal = arg.causal

  config.objective.patches = 'hidden'
  # Plain change (temporal_l1) at 0.1 stops the state: docs/results.md.
  config.losses = {'pixel_l2': 1.0, 'temporal_slowness': 0.01}
  config.perceptual_checkpoint = arg.perceptual
  if arg.perceptual:
    config.losses.perceptual = 0.1

  config.data.clip = {'name': 'uniform', 'num_frames': 8, 'stride': 4}
  config.data.mask = {'name': 'space_time', 'ratio': 0.75, 'frame_ratio': 0.25}
  if arg.views:
    config.data.clip = {'name': 'two_views', 'clip': config.data.clip}
    config.losses.info_nce = 0.1

  config.evals.reconstruction.name = 'clip_reconstruction'
  return config
