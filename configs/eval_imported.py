"""Evaluates weights that come without videos: a released RVM, VideoMAE, ...

  python -m rvmae_jax.evaluate --config configs/eval_imported.py:videos=DIR \\
    --checkpoint videomae-base/model.safetensors --workdir runs/imported

`python -m rvmae_jax.tools.doctor checkpoint FILE` says what a file is. Weights
files do not describe their data, so this recipe takes clips, masks and frame
sizes from the paper, and you name the videos. Evaluations of rebuilt pixels are
skipped if the network rebuilds none. The recipe is also useful for a run whose
own videos have no labels.

Arguments: videos=a folder of videos (class = folder), or empty for the built-in
moving sprites; size=pixels of a frame, 0 as in the network's training (sprites
of 32 pixels are scaled up to it); num_frames=of the clips that probes see;
batch_size; runlocal takes a handful of videos.
Cost: 64 videos are rebuilt, and 720 are encoded twice (once by a random
network).
"""

import ml_collections

from rvmae_jax.config_utils import parse_arg

NUM_LOCAL_VIDEOS = 24


def get_config(arg=None):
  """The config; see the module's docstring for `arg`."""
  arg = parse_arg(
    arg, videos='', size=0, num_frames=16, batch_size=16, runlocal=False
  )
  config = ml_collections.ConfigDict()
  config.seed = 0
  config.batch_size = arg.batch_size
  # Frames, clips and masks as the network had them.
  config.data = {
    'sources': {'videos': get_source(arg, 'val', 64)},
    'crop': {'size': (arg.size, arg.size)} if arg.size else 'run',
    'clip': 'run',
    'mask': 'run',
  }

  probe = {
    'data': {'clip': {'name': 'uniform', 'num_frames': arg.num_frames}},
    'train': {'sources': {'videos': get_source(arg, 'train', 480)}},
    'test': {'sources': {'videos': get_source(arg, 'test', 240)}},
    'encoders': ('trained', 'random', 'pixels'),
  }
  num_batches = 4
  if arg.runlocal:
    num_batches, config.data.max_videos = 1, NUM_LOCAL_VIDEOS
  config.evals = {
    'reconstruction': {'name': 'reconstruction', 'num_batches': num_batches},
    'clip_reconstruction': {
      'name': 'clip_reconstruction',
      'num_batches': num_batches,
    },
    'knn': {'name': 'knn', 'k': 20, 'temperature': 0.07, **probe},
    'linear_probe': {'name': 'linear_probe', **probe},
  }
  return config


def get_source(arg, split, num_videos):
  """The user's videos of a split, or sprites."""
  if arg.videos:
    return {'name': 'folder', 'path': arg.videos, 'split': split}
  if arg.runlocal:
    num_videos = NUM_LOCAL_VIDEOS
  split = split if split == 'val' else f'probe_{split}'
  return {
    'name': 'moving_sprites',
    'split': split,
    'num_videos': num_videos,
    'size': arg.size or 32,
  }
