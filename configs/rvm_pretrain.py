"""RVM pre-training, the paper's recipe (arXiv 2512.13684).

  python -m rvmae_jax.train --workdir runs/rvm \\
    --config configs/rvm_pretrain.py:variant=S,videos=DIR

Arguments: variant=tiny|S|B|L|H; videos=a folder of videos (class = folder), or
empty for the built-in moving sprites at 256 px; shards=a folder written by
tools/prepare, instead of videos; runlocal shrinks everything to a minute on a
laptop.
The learning rate scales with the batch: 1.5e-4 for 2,048 clips, 1.9e-5 for 256.
To choose another, set optimizer.lr_per_256, the rate for 256.
Cost: the paper trains 1M steps of 2,048 clips on 256 TPU v6 chips.
Expect (paper, RVM-S, frozen): SSv2 59.7.
"""

import ml_collections

from rvmae_jax.config_utils import parse_arg


def get_config(arg=None):
  """The config; see the module's docstring for `arg`."""
  arg = parse_arg(arg, variant='S', videos='', shards='', runlocal=False)
  config = ml_collections.ConfigDict()
  config.seed = 0
  config.total_steps = 1_000_000
  # Clips over all devices; with accumulation, in that many equal parts.
  config.batch_size = 2048
  config.accumulation_steps = 1

  config.model = {
    'name': 'rvm',
    'variant': arg.variant,
    'patch_size': 16,
    'dtype': 'bfloat16',
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
    # Four consecutive frames; targets 4 to 48 steps after the last of them.
    'clip': {
      'name': 'source_target',
      'num_source': 4,
      'num_target': 4,
      'stride': 1,
      'step_s': 0.0,
      'gap': (4, 48),
    },
    'crop': {
      'size': (256, 256),
      'area': (0.3, 1.0),
      'ratio': (0.75, 1.25),
      'flip': True,
    },
    'mask': {'name': 'target', 'ratio': 0.95},
    'repeats': 1,
    'num_threads': 16,
    'num_workers': 0,
    'prefetch': 2,
    'max_bad_share': 0.05,
  }

  # Third-party values; the paper was not seen to state them.
  config.optimizer = {
    'name': 'adamw',
    # 1.5e-4 is the peak at this batch, not the rate of every 256 clips.
    'lr_per_256': 1.5e-4 * 256 / config.batch_size,
    'weight_decay': 0.05,
    'b1': 0.9,
    'b2': 0.95,
    'moment_dtype': 'float32',
    'clip_norm': 1.0,
  }
  config.schedule = {'name': 'cosine', 'warmup_steps': 10_000}
  config.ema_decay = 0.0

  config.mesh = {'data': -1, 'fsdp': 1}
  config.checkpoint = {
    'every_steps': 5_000,
    'keep_last': 3,
    'keep_every': 100_000,
    'init_from': '',
  }
  config.log = {
    'every_steps': 100,
    'pictures_every': 5_000,
    'profile': (0, 0),
    'max_skipped': 10,
    'clu': ('tensorboard',),
  }
  config.evals = {
    'reconstruction': {
      'name': 'reconstruction',
      'every_steps': 5_000,
      'num_batches': 4,
      'data': {
        'sources': {'videos': get_source(arg, 'val')},
        **{key: 'run' for key in ('clip', 'crop', 'mask')},
      },
    },
    # Videos without labels have no kNN; the log says so.
    'knn': {
      'name': 'knn',
      'every_steps': 25_000,
      'data': {
        'clip': {'name': 'uniform', 'num_frames': 16, 'stride': 2},
        'crop': 'run',
        'max_videos': 2_000,
      },
      'train': {'sources': {'videos': get_source(arg, 'train')}},
      'test': {'sources': {'videos': get_source(arg, 'val')}},
    },
  }

  if arg.runlocal:
    config.total_steps = 20
    config.batch_size = 4
    config.schedule.warmup_steps = 5
    config.data.crop.size = (64, 64)
    # 6 of 64 patches stay visible.
    config.data.mask.ratio = 0.9
    config.model.patch_size = 8
    config.data.num_threads = 2
    config.model.dtype = 'float32'
    config.checkpoint.every_steps = 10
    config.log.every_steps = 1
    config.log.pictures_every = 10
    config.evals.reconstruction.every_steps = 10
    config.evals.reconstruction.num_batches = 1
    config.evals.knn.every_steps = 20
  return config


def get_source(arg, split):
  """The videos of a split: shards, a folder, or the built-in sprites."""
  if arg.shards and arg.videos:
    raise ValueError(
      f'videos={arg.videos} and shards={arg.shards}: give one of them.'
    )
  if arg.shards:
    return {'name': 'shards', 'path': arg.shards, 'split': split}
  if arg.videos:
    return {'name': 'folder', 'path': arg.videos, 'split': split}
  # Rendering takes about a quarter of a second a video, once.
  num_videos = {'train': 2_000, 'val': 200}[split]
  return {
    'name': 'moving_sprites',
    'split': split,
    'num_videos': 32 if arg.runlocal else num_videos,
    'size': 64 if arg.runlocal else 256,
    'num_frames': 64,
  }
