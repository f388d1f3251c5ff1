"""ImageMAE pre-training on single frames, the paper's recipe (2111.06377).

  python -m rvmae_jax.train --workdir runs/image_mae \\
    --config configs/image_mae.py:variant=B,videos=DIR

A clip is one frame, drawn anywhere in its video.

Arguments: variant=tiny|S|B|L|H; videos=a folder of videos (class = folder), or
empty for the built-in moving sprites; shards=a folder written by tools/prepare,
instead of videos; runlocal shrinks everything to a minute on a laptop.
Cost: ViT-B takes 9.7 GMAC an image forward. The paper trains for 1,600 epochs
of 1.28 M images; total_steps here is 800 epochs.
Expect (paper, ViT-B on ImageNet-1K images, 1,600 epochs, fine-tuned): 83.6.
"""

from rvmae_jax.config_utils import parse_arg
from rvmae_jax.configs import videomae

IMAGENET = {'clips': 1_281_167, 'epochs': 800}


def get_config(arg=None):
  """The config; see the module's docstring for `arg`."""
  arg = parse_arg(arg, variant='B', videos='', shards='', runlocal=False)
  config = videomae.get_config(arg)
  config.batch_size = 4096
  steps_per_epoch = IMAGENET['clips'] / config.batch_size
  config.total_steps = round(IMAGENET['epochs'] * steps_per_epoch)
  config.schedule = {
    'name': 'cosine',
    'warmup_steps': round(40 * steps_per_epoch),
  }

  config.model.update(
    {
      'space_time': 'per_frame',
      'tubelet_size': 1,
      'num_prefix_tokens': 1,
      'position': 'sincos_2d',
      'key_bias': True,
      'embedding_bias': True,
    }
  )
  if arg.variant != 'tiny' and not arg.runlocal:
    # The same decoder at every size.
    config.model.update(
      {
        'decoder_width': 512,
        'decoder_blocks': 8,
        'decoder_heads': 16,
        'decoder_mlp_dim': 2048,
      }
    )
  config.objective = {
    'name': 'masked_reconstruction',
    'patches': 'hidden',
    'normalize': 'patch',
    # The paper normalises patches of pixels that are standardised already.
    'pixel_mean': (0.485, 0.456, 0.406),
    'pixel_std': (0.229, 0.224, 0.225),
  }
  config.data.clip = {'name': 'uniform', 'num_frames': 1}
  config.data.crop = {
    'size': (224, 224),
    'area': (0.2, 1.0),
    'ratio': (0.75, 1.3333),
    'flip': True,
  }
  config.data.mask = {'name': 'per_frame', 'ratio': 0.75}
  if arg.runlocal:
    videomae.run_locally(config)
  return config
