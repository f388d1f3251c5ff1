"""Long videos: features, state, tracking and memory, by length.

  python -m rvmae_jax.evaluate --config configs/eval_long_video.py \\
    --checkpoint runs/quickstart --workdir runs/quickstart/long_video

Arguments: frames=the greatest length, which is that of the rendered sprites;
own_videos: use the run's videos instead, which must be as long; objects are
then not tracked.
Cost: 3 minutes on 2 CPU cores.
Expect, for the quick start: after 1,024 frames, features differ from those of a
new stream over the last 16 frames by half of their variance, by a fifth if the
state is reset every 64; the state's norm stays at 11, and memory stays the
same.
"""

import ml_collections

from rvmae_jax.config_utils import parse_arg


def get_config(arg=None):
  """The config; see the module's docstring for `arg`."""
  arg = parse_arg(arg, frames=1024, own_videos=False)
  config = ml_collections.ConfigDict()
  config.seed = 0
  config.batch_size = 1  # Videos are read one after the other.
  config.data = {'crop': 'run'}
  # Half as many each time, down to 16 or less.
  lengths = [arg.frames]
  while lengths[0] > 16:
    lengths.insert(0, lengths[0] // 2)
  shared = {
    'name': 'long_video',
    'lengths': tuple(lengths),
    'context': 16,
    'reset_every': 64,
  }
  if arg.own_videos:
    config.evals = {'long_video': {**shared, 'data': {'sources': 'run'}}}
    return config
  sprites = {'split': 'probe_test', 'num_videos': 4, 'num_frames': arg.frames}
  config.evals = {
    # What the quick start was trained on, but for the length; 4x4 patches are
    # too few to track anything.
    'as_trained': {
      **shared,
      'data': {'sources': {'videos': {'name': 'run', **sprites}}},
    },
    # Larger frames, two sprites and a busy background.
    'tracking': {
      **shared,
      'dataset': {'name': 'sprites', **sprites},
      'warm_up': 8,
    },
  }
  return config
