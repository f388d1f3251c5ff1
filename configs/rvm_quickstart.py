"""A tiny RVM that learns motion on two CPU cores in minutes.

  python -m rvmae_jax.train --config configs/rvm_quickstart.py \\
    --workdir runs/quickstart

What is not set here is as in configs/rvm_pretrain.py.

Arguments: shards=a folder written by tools/prepare, to learn from your own
videos instead of the built-in moving sprites; runlocal stops after a few steps.
Cost: 6 minutes on 2 CPU cores, 1 of them for rendering and compiling.
Expect: hidden patches rebuilt 3.2 and 3.1 dB better than by copying the last
frame at gaps 2 and 4; for probes see eval_sprites.py.
"""

from rvmae_jax.config_utils import parse_arg
from rvmae_jax.configs import rvm_pretrain


def get_config(arg=None):
  """The config; see the module's docstring for `arg`."""
  arg = parse_arg(arg, shards='', runlocal=False)
  config = rvm_pretrain.get_config({'variant': 'tiny'})
  config.total_steps = 2_400
  config.batch_size = 16

  config.model.update(
    {
      'patch_size': 8,
      # A 4x4 grid needs positions that differ: see layers/positions.py.
      'position': 'sincos_2d',
      'position_base': 5.0,
      # Larger frames get the same positions, closer together.
      'position_grid': (4, 4),
      # Start at mid-grey with faint detail: the first steps are not wasted.
      'output_scale': 0.1,
      'output_bias': 0.5,
      # CPUs are slower in bfloat16.
      'dtype': 'float32',
    }
  )

  config.data.sources.videos = get_source(arg, 'train')
  config.data.clip.gap = (1, 4)
  # Sprites wrap around the frame's edge and turn about: a crop or a flip would
  # break the motion that is to be learned.
  config.data.crop = {
    'size': (32, 32),
    'area': (1.0, 1.0),
    'ratio': (1.0, 1.0),
    'flip': False,
  }
  # 15 of 16 patches.
  config.data.mask.ratio = 15 / 16
  config.data.num_threads = 2
  config.data.prefetch = 4

  config.optimizer.lr_per_256 = 1.5e-3 * 256 / 16
  del config.optimizer.moment_dtype
  config.schedule.warmup_steps = 50
  config.checkpoint.update(
    {'every_steps': 1_200, 'keep_last': 1, 'keep_every': 0}
  )
  config.log.update({'every_steps': 50, 'pictures_every': 1_200})
  config.evals.reconstruction.update({'every_steps': 400, 'num_batches': 2})
  config.evals.reconstruction.data.sources.videos = get_source(arg, 'val')
  # Videos without labels have no kNN; the log says so.
  config.evals.knn = {
    'name': 'knn',
    'every_steps': 1_200,
    'data': {'clip': {'name': 'uniform', 'num_frames': 16}, 'crop': 'run'},
    'train': get_knn_data(arg, 'train', num_videos=480),
    'test': get_knn_data(arg, 'test', num_videos=240),
  }
  if arg.shards:
    use_own_videos(config)
  if arg.runlocal:
    config.total_steps = 20
    config.schedule.warmup_steps = 5
    config.log.every_steps = 5
    config.log.pictures_every = 10
    config.checkpoint.every_steps = 10
    config.evals.reconstruction.every_steps = 10
    config.evals.knn.every_steps = 10
  return config


def get_source(arg, split):
  """The user's videos or the built-in sprites."""
  if arg.shards:
    return {'name': 'shards', 'path': arg.shards, 'split': split}
  return {'name': 'moving_sprites', 'split': split}


def get_knn_data(arg, split, num_videos):
  """Labelled videos of a split; of the sprites, those kept for probes."""
  if arg.shards:
    return {'sources': {'videos': {'name': 'run', 'split': split}}}
  source = {'split': f'probe_{split}', 'num_videos': num_videos}
  return {'sources': {'videos': {'name': 'run', **source}}}


def use_own_videos(config):
  """What real videos need that sprites do not: larger frames, crops, time."""
  # Patches of 16 on 64 pixels: as many tokens as the sprites have, and as fast.
  config.model.patch_size = 16
  config.data.crop = {
    'size': (64, 64),
    'area': (0.5, 1.0),
    'ratio': (0.75, 1.25),
    'flip': True,
  }
  # A fifth of a second is a step, whatever the frame rate: people move slowly.
  config.data.clip.step_s = 0.2
  config.data.clip.gap = (1, 8)
