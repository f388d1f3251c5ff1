"""Supervised training of a video ViT from scratch, VideoMAE's baseline.

  python -m rvmae_jax.train --workdir runs/from_scratch \\
    --config configs/from_scratch.py:variant=B,num_classes=174,videos=DIR

Fine-tuning is this recipe with `--config.checkpoint.init_from=RUN`, where RUN
is a pre-training run of the same backbone.

Arguments: variant=tiny|S|B|L|H; num_classes=of the dataset; videos=a folder of
videos (class = folder), or empty for the embedded moving sprites; shards=a
folder written by tools/prepare, instead of videos; runlocal shrinks everything
to a minute on a laptop.
Cost: 180 GMAC a clip forward (ViT-B).
Expect (VideoMAE's paper, ViT-B from scratch): SSv2 32.6, UCF101 51.4, HMDB51
18.0.
"""

from rvmae_jax.config_utils import load_recipe, parse_arg

videomae = load_recipe('videomae.py', beside=__file__)


def get_config(arg=None):
  """The config; see the module's docstring for `arg`."""
  arg = parse_arg(
    arg, variant='B', num_classes=174, videos='', shards='', runlocal=False
  )
  config = videomae.get_config(
    f'variant={arg.variant},dataset=ssv2,videos={arg.videos},'
    f'shards={arg.shards},runlocal={arg.runlocal}'
  )
  config.batch_size = 512
  steps_per_epoch = videomae.DATASETS['ssv2']['clips'] / config.batch_size
  config.total_steps = round(100 * steps_per_epoch)
  config.schedule = {
    'name': 'cosine',
    'warmup_steps': round(5 * steps_per_epoch),
    'end_factor': 1e-3,
  }

  config.model.update(
    {
      'name': 'classifier',
      'backbone': 'videomae',
      'num_classes': arg.num_classes,
      'pool': 'mean',
      # The norm comes after pooling.
      'norm': True,
      'encoder_norm': False,
    }
  )
  config.objective = {
    'name': 'supervised',
    'label_smoothing': 0.1,
    'mixing': {'mixup': 0.8, 'cutmix': 1.0},
  }
  config.losses = {'cross_entropy': 1.0}
  # The whole video, one frame from each of 16 equal parts.
  config.data.clip = {'name': 'uniform', 'num_frames': 16}
  config.data.crop = {
    'size': (224, 224),
    'area': (0.08, 1.0),
    'ratio': (0.75, 1.3333),
    'flip': False,
  }
  # RandAugment m7-n4-mstd0.5, erasing of one clip in four, two clips a video.
  config.data.augment = {'rand_augment': {}, 'erase': {}}
  config.data.repeats = 2
  config.data.mask = {}
  config.optimizer.update({'lr_per_256': 5e-4, 'b2': 0.999})
  config.evals = {}
  if arg.runlocal:
    videomae.run_locally(config)
  return config
