"""MoCo v3 on video, contrastive learning (arXiv 2104.02057).

  python -m rvmae_jax.train --workdir runs/moco_v3 \\
    --config configs/moco_v3.py:variant=B,dataset=kinetics,videos=DIR

The loss is contrastive: from one of two independently augmented clips of a
video, the network must identify the other among the clips of the whole batch.

Arguments: those of configs/videomae.py: variant=tiny|S|B|L|H, dataset, videos,
published, shards, runlocal.
Cost: 1,440 GMAC a video and step with ViT-B: two clips of 180, each forward
through the momentum encoder, and forward and backward through the trained one.
In VideoMAE's paper it takes 3.2 times as long as VideoMAE.
Expect (VideoMAE's paper, ViT-B): SSv2 54.2 fine-tuned, 33.7 linear.
"""

from rvmae_jax.config_utils import parse_arg
from rvmae_jax.configs import videomae


def get_config(arg=None):
  """The config; see the module's docstring for `arg`."""
  arg = parse_arg(arg, **videomae.ARGUMENTS)
  config = videomae.get_config(arg)
  steps_per_epoch = videomae.DATASETS[arg.dataset]['clips'] / config.batch_size
  config.total_steps = round(300 * steps_per_epoch)
  config.schedule = {
    'name': 'cosine',
    'warmup_steps': round(40 * steps_per_epoch),
  }

  config.model.update(
    {
      'name': 'moco_v3',
      'backbone': 'videomae',
      'hidden_dim': 4096,
      'output_dim': 256,
    }
  )
  config.objective = {'name': 'contrastive', 'temperature': 0.2}
  config.losses = {'info_nce': 1.0}
  # The momentum encoder, with 0.99 -> 1.
  config.ema_decay = 0.99
  config.ema_schedule = 'cosine'
  # A random patch projection, frozen, keeps the gradient from spiking.
  config.optimizer.update(
    {'weight_decay': 0.1, 'b2': 0.999, 'frozen': ('patch_embedding',)}
  )

  config.data.mask = {}
  config.data.clip = {
    'name': 'two_views',
    'clip': config.data.clip.to_dict(),
  }
  config.data.crop = {
    'size': config.data.crop.size,
    'area': (0.08, 1.0),
    'ratio': (0.75, 1.3333),
    'flip': True,
  }
  config.data.augment = get_augmentation(blur=1.0, solarise=0.0)
  config.data.augment_view2 = get_augmentation(blur=0.1, solarise=0.2)
  config.evals = {}
  if arg.runlocal:
    videomae.run_locally(config)
    config.model.hidden_dim = 64
  return config


def get_augmentation(blur, solarise):
  """What changes the pixels of a view; the numbers are probabilities."""
  return {
    'colour_jitter': {
      'brightness': 0.4,
      'contrast': 0.4,
      'saturation': 0.2,
      'hue': 0.1,
      'probability': 0.8,
    },
    'grey': {'probability': 0.2},
    'blur': {'probability': blur},
    'solarise': {'probability': solarise},
  }
