"""Temporal augmentation MAE: the per-frame baseline on clips of uneven speed.

  python -m rvmae_jax.train --workdir runs/temporal_augmentation_mae \\
    --config configs/temporal_augmentation_mae.py:variant=S,videos=DIR

The vanilla MAE (configs/vanilla_mae.py) on clips that are played faster, slower
or backwards, with frames skipped and jittered: how much does variety in time
help a model that sees no motion? Everything else is as in
configs/vanilla_mae.py, and so as in configs/rvmae.py.

Arguments: those of configs/vanilla_mae.py: variant=tiny|S|B|L|H; videos,
shards, runlocal.
Cost: as configs/vanilla_mae.py.
Expect: no number has been published, see configs/vanilla_mae.py. The ranges and
probabilities are our choice; no source gives them.
"""

from rvmae_jax.configs import vanilla_mae


def get_config(arg=None):
  """The config; see the module's docstring for `arg`."""
  config = vanilla_mae.get_config(arg)
  config.data.clip = {
    'name': 'playback',
    'clip': config.data.clip.to_dict(),
    'speed': (0.5, 2.0),
    'skip': 0.2,
    # Half of the clip's stride of 4 at half the speed: frames stay in order.
    'jitter_frames': 1,
    'reverse': 0.5,
  }
  return config
