"""What a pre-trained model knows about motion: the quick start's evaluation.

  python -m rvmae_jax.evaluate --config configs/eval_sprites.py \\
    --checkpoint runs/quickstart --workdir runs/quickstart/evaluation

For videos of your own, `--config configs/eval_sprites.py:own_videos` reads them
from the run's source, rebuilds its `val` split, and tests probes on `val` that
were trained on `train`. Without labels there are no probes.

Arguments: own_videos; source=the run's name for its source (videos).
Cost: 65 seconds on 2 CPU cores.
Expect, for the quick start: linear probe (mean and std of the last 8 frames)
77 % of 12 motions; random weights 38, per-frame features 43, raw pixels 15,
chance 8.3.
"""

import ml_collections

from rvmae_jax.config_utils import parse_arg


def get_config(arg=None):
  """The config; see the module's docstring for `arg`."""
  arg = parse_arg(arg, own_videos=False, source='videos')

  def split(name):
    # The run's source holds fewer or more videos; 0 is the split's own number.
    entire = {} if arg.own_videos else {'num_videos': 0}
    source = {'name': 'run', 'split': name, **entire}
    return {'sources': {arg.source: source}}

  config = ml_collections.ConfigDict()
  config.seed = 0
  config.batch_size = 64
  # For all evaluations: frames of the run's size, masks where it has them.
  config.data = {'crop': 'run', 'mask': 'run'}

  probe = {
    'data': {'clip': {'name': 'uniform', 'num_frames': 16}},
    'train': split('train' if arg.own_videos else 'probe_train'),
    'test': split('val' if arg.own_videos else 'probe_test'),
    'encoders': ('trained', 'random', 'per_frame', 'pixels'),
  }
  rebuilt = {'data': {**split('val'), 'clip': 'run'}}
  config.evals = {
    'reconstruction': {
      'name': 'reconstruction',
      **rebuilt,
      # Empty: spread over the gaps of the run.
      'gaps': () if arg.own_videos else (1, 2, 4),
    },
    # Of the two reconstructions a run gets the one that its mask is for.
    'clip_reconstruction': {'name': 'clip_reconstruction', **rebuilt},
    'recurrence': {'name': 'recurrence', **rebuilt, 'num_frames': 12},
    'knn': {
      'name': 'knn',
      'poolings': ('mean_std_8',),
      'k': 20,
      'temperature': 0.07,
      **probe,
    },
    'linear_probe': {
      'name': 'linear_probe',
      'poolings': ('mean', 'mean_2', 'mean_std_8', 'change_2'),
      **probe,
    },
  }
  return config
