"""A run of seconds: random 32-pixel videos and a network of one block each."""

import ml_collections

from rvmae_jax.config_utils import parse_arg


def get_config(arg=None):
  """The config; `steps=N` sets its length, `contrastive` takes MoCo v3."""
  arg = parse_arg(arg, steps=4, contrastive=False)
  config = ml_collections.ConfigDict()
  config.seed = 0
  config.total_steps = arg.steps
  config.batch_size = 8
  config.accumulation_steps = 1
  config.model = {
    'name': 'rvm',
    'variant': 'tiny',
    'width': 32,
    'encoder_blocks': 1,
    'encoder_heads': 2,
    'encoder_mlp_dim': 64,
    'core_heads': 2,
    'core_mlp_dim': 64,
    'decoder_width': 32,
    'decoder_blocks': 1,
    'decoder_heads': 2,
    'decoder_mlp_dim': 64,
    'patch_size': 8,
    'dtype': 'float32',
  }
  config.objective = {'name': 'masked_reconstruction', 'patches': 'all'}
  config.losses = {'pixel_l2': 1.0}
  config.data = {
    'sources': {
      'noise': {
        'name': 'fake',
        'num_videos': 20,
        'num_frames': 12,
        'size': (32, 32),
      }
    },
    'clip': {
      'name': 'source_target',
      'num_source': 2,
      'num_target': 2,
      'gap': (1, 4),
    },
    'crop': {'size': (32, 32), 'flip': True},
    'mask': {'name': 'target', 'ratio': 0.75},
    'num_threads': 1,
    'num_workers': 0,
  }
  config.optimizer = {
    'name': 'adamw',
    'lr_per_256': 0.03,
    'weight_decay': 0.05,
    'clip_norm': 1.0,
  }
  # Runs of any length share one compiled step.
  config.schedule = {'name': 'constant', 'warmup_steps': 0}
  config.ema_decay = 0.0
  config.mesh = {'data': -1, 'fsdp': 1}
  config.checkpoint = {
    'every_steps': 3,
    'keep_last': 2,
    'keep_every': 0,
    'init_from': '',
  }
  config.log = {
    'every_steps': 1,
    'pictures_every': 0,
    'profile': (0, 0),
    'max_skipped': 2,
    'clu': (),
  }
  config.evals = ml_collections.ConfigDict()
  if arg.contrastive:
    _compare_views(config)
  return config


def _compare_views(config):
  """MoCo v3: a loss, batch norms and a momentum encoder over all rows."""
  config.model = {
    'name': 'moco_v3',
    'variant': 'tiny',
    'width': 32,
    'encoder_blocks': 1,
    'encoder_mlp_dim': 32,
    'patch_size': 8,
    'tubelet_size': 2,
    'hidden_dim': 16,
    'output_dim': 8,
    'dtype': 'float32',
  }
  config.objective = {'name': 'contrastive'}
  config.losses = {'info_nce': 1.0}
  config.ema_decay = 0.9
  uniform = {'name': 'uniform', 'num_frames': 2}
  config.data.clip = {'name': 'two_views', 'clip': uniform}
  config.data.mask = {}
  # Adam would divide the biases before a batch norm, whose gradient is 0 but
  # for rounding, by their own size.
  config.optimizer = {'name': 'sgd', 'lr_per_256': 0.1, 'momentum': 0.9}
