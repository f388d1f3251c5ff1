"""A tiny RVM that learns motion on two CPU cores in minutes.

  python -m rvmae_jax.train --config configs/rvm_quickstart.py \\
    --workdir runs/quickstart

Arguments: shards=a folder written by tools/prepare, to learn from your own
videos instead of the embedded moving sprites; runlocal stops after a few steps.
Cost: 5 minutes on 2 CPU cores, 1 of them for rendering and compiling.
Expect: hidden patches rebuilt 3.1 dB better than by copying the last frame at
gaps 2 and 4; for probes see eval_sprites.py.
"""

import ml_collections

from rvmae_jax.config_utils import parse_arg


def get_config(arg=None):
  """The config; see the module's docstring for `arg`."""
  arg = parse_arg(arg, shards='', runlocal=False)
  config = ml_collections.ConfigDict()
  config.seed = 0
  config.total_steps = 2_400
  config.batch_size = 16
  config.accumulation_steps = 1

  config.model = {
    'name': 'rvm',
    'variant': 'tiny',
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
    'attention': 'auto',
    'remat': 'none',
    'core_remat': 'full',
    'scan_layers': False,
    'time_unroll': 1,
  }
  config.objective = {
    'name': 'masked_reconstruction',
    'patches': 'all',
    'normalize': 'none',
  }
  config.losses = {'pixel_l2': 1.0}

  config.data = {
    'sources': {'videos': get_source(arg, 'train')},
    'clip': {
      'name': 'source_target',
      'num_source': 4,
      'num_target': 4,
      'stride': 1,
      'step_s': 0.0,
      'gap': (1, 4),
    },
    # Sprites wrap around the frame's edge and turn about: a crop or a flip
    # would break the motion that is to be learned.
    'crop': {
      'size': (32, 32),
      'area': (1.0, 1.0),
      'ratio': (1.0, 1.0),
      'flip': False,
    },
    # 15 of 16 patches.
    'mask': {'name': 'target', 'ratio': 15 / 16},
    'repeats': 1,
    'num_threads': 2,
    'num_workers': 0,
    'prefetch': 4,
    'max_bad_share': 0.05,
  }

  config.optimizer = {
    'name': 'adamw',
    'lr_per_256': 1.5e-3 * 256 / 16,
    'weight_decay': 0.05,
    'b1': 0.9,
    'b2': 0.95,
    'clip_norm': 1.0,
  }
  config.schedule = {'name': 'cosine', 'warmup_steps': 50}
  config.ema_decay = 0.0

  config.mesh = {'data': -1, 'fsdp': 1}
  config.checkpoint = {
    'every_steps': 1_200,
    'keep_last': 1,
    'keep_every': 0,
    'init_from': '',
  }
  config.log = {
    'every_steps': 50,
    'pictures_every': 1_200,
    'profile': (0, 0),
    'max_skipped': 10,
    'clu': ('tensorboard',),
  }
  config.evals = {
    'reconstruction': {
      'name': 'reconstruction',
      'every_steps': 400,
      'num_batches': 2,
      'data': {
        'sources': {'videos': get_source(arg, 'val')},
        **{key: 'run' for key in ('clip', 'crop', 'mask')},
      },
    },
    # Videos without labels have no kNN; the log says so.
    'knn': {
      'name': 'knn',
      'every_steps': 1_200,
      'data': {'clip': {'name': 'uniform', 'num_frames': 16}, 'crop': 'run'},
      'train': get_knn_data(arg, 'train', num_videos=480),
      'test': get_knn_data(arg, 'test', num_videos=240),
    },
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
  """The user's videos or the embedded sprites."""
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
