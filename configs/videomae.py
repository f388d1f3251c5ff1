"""VideoMAE pre-training, the paper's recipe (arXiv 2203.12602).

  python -m rvmae_jax.train --workdir runs/videomae \\
    --config configs/videomae.py:variant=B,dataset=kinetics,videos=DIR

Arguments: variant=tiny|S|B|L|H; dataset=kinetics, ssv2, ucf101 or hmdb51 sets
stride, mask and length as in the paper, diving48 takes those of ssv2;
videos=a folder of videos (class = folder), or empty for the built-in moving
sprites; published: the folder holds the dataset in its published layout (see
rvmae_jax/data/sources); shards=a folder written by tools/prepare, instead of
videos; runlocal shrinks everything to a minute on a laptop.
Cost: ViT-B takes 33.8 GMAC a clip forward (the paper's code 35.4: it embeds
hidden tubelets too), 58 % of it in the decoder; 800 epochs of Kinetics-400 are
192 M clips.
Expect (paper, ViT-B fine-tuned, 800 epochs): K400 80.0, SSv2 69.6; UCF101 91.3.
"""

import ml_collections

from rvmae_jax.config_utils import parse_arg
from rvmae_jax.configs import rvm_pretrain
from rvmae_jax.registry import check_known

# Recipes that change this one take them, too.
ARGUMENTS = {
  'variant': 'B',
  'dataset': 'kinetics',
  'videos': '',
  'published': False,
  'shards': '',
  'runlocal': False,
}
# Frames in a step, share of hidden tubes, clips in an epoch, epochs.
DATASETS = {
  'kinetics': {'stride': 4, 'ratio': 0.9, 'clips': 240_000, 'epochs': 800},
  'ssv2': {'stride': 2, 'ratio': 0.9, 'clips': 169_000, 'epochs': 800},
  'ucf101': {'stride': 4, 'ratio': 0.75, 'clips': 9_500, 'epochs': 3_200},
  'hmdb51': {'stride': 2, 'ratio': 0.75, 'clips': 3_570, 'epochs': 4_800},
  # No paper of the family pre-trains on it.
  'diving48': {'stride': 2, 'ratio': 0.9, 'clips': 15_000, 'epochs': 800},
}
# Published without a `val`.
TESTED_ON_TEST = ('ucf101', 'hmdb51', 'diving48')
WARMUP_EPOCHS = 40


def get_config(arg=None):
  """The config; see the module's docstring for `arg`."""
  arg = parse_arg(arg, **ARGUMENTS)
  check_known('dataset', DATASETS, arg.dataset)
  dataset = DATASETS[arg.dataset]
  config = ml_collections.ConfigDict()
  config.seed = 0
  config.batch_size = 2048
  config.accumulation_steps = 1
  steps_per_epoch = dataset['clips'] / config.batch_size
  config.total_steps = round(dataset['epochs'] * steps_per_epoch)

  config.model = {
    'name': 'videomae',
    'variant': arg.variant,
    'space_time': 'joint',
    'patch_size': 16,
    'tubelet_size': 2,
    'num_prefix_tokens': 0,
    'position': 'sincos_1d',
    'dtype': 'bfloat16',
    'attention': 'auto',
    'remat': 'none',
    'scan_layers': False,
  }
  config.objective = {
    'name': 'masked_reconstruction',
    'patches': 'hidden',
    'normalize': 'channel',
  }
  config.losses = {'pixel_l2': 1.0}

  config.data = {
    'sources': {'videos': get_source(arg, 'train')},
    'clip': {
      'name': 'uniform',
      'num_frames': 16,
      'stride': dataset['stride'],
    },
    # No flip: in SSv2 left and right are part of the class.
    'crop': {
      'name': 'multi_scale',
      'size': (224, 224),
      'scales': (1.0, 0.875, 0.75, 0.66),
      'flip': False,
    },
    'mask': {'name': 'tube', 'ratio': dataset['ratio']},
    'repeats': 1,
    'num_threads': 16,
    'num_workers': 0,
    'prefetch': 2,
    'max_bad_share': 0.05,
  }

  config.optimizer = {
    'name': 'adamw',
    'lr_per_256': 1.5e-4,
    'weight_decay': 0.05,
    'b1': 0.9,
    'b2': 0.95,
    'moment_dtype': 'float32',
    'clip_norm': 0.0,
  }
  config.schedule = {
    'name': 'cosine',
    'warmup_steps': round(WARMUP_EPOCHS * steps_per_epoch),
    # The peak is 1.5e-4 * 2048 / 256 = 1.2e-3, the end 1e-5.
    'end_factor': 1e-5 / 1.2e-3,
  }
  config.ema_decay = 0.0

  config.mesh = {'data': -1, 'fsdp': 1}
  config.checkpoint = {
    'every_steps': 2_000,
    'keep_last': 3,
    'keep_every': 20_000,
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
      'name': 'clip_reconstruction',
      'every_steps': 5_000,
      'num_batches': 4,
      'data': {
        'sources': {'videos': get_source(arg, 'val')},
        **{key: 'run' for key in ('clip', 'crop', 'mask')},
      },
    },
  }

  if arg.runlocal:
    run_locally(config)
  return config


def get_source(arg, split):
  """The videos of a split: a published one, or as `rvm_pretrain` has them."""
  if arg.published and (arg.shards or not arg.videos):
    raise ValueError(
      'published tells how a folder of videos is laid out: add videos=DIR '
      'without shards, or leave it out.'
    )
  if arg.published:
    if split == 'val' and arg.dataset in TESTED_ON_TEST:
      split = 'test'
    return {'name': arg.dataset, 'path': arg.videos, 'split': split}
  return rvm_pretrain.get_source(arg, split)


def run_locally(config):
  """Makes a run of a recipe a minute on a laptop."""
  config.total_steps = 20
  config.batch_size = 4
  config.schedule.warmup_steps = 5
  config.data.crop.size = (32, 32)
  config.data.num_threads = 2
  config.model.variant = 'tiny'
  config.model.patch_size = 8
  config.model.dtype = 'float32'
  config.checkpoint.every_steps = 10
  config.log.every_steps = 1
  config.log.pictures_every = 10
  for entry in config.evals.values():
    entry.every_steps = 10
    entry.num_batches = 1
