"""What the mid-size RVM knows about motion, objects and points.

  python -m rvmae_jax.evaluate --config configs/eval_midsize.py \\
    --checkpoint runs/midsize --workdir runs/midsize/evaluation

This recipe runs the evaluations of eval_sprites.py on 24 frames. It then
propagates masks and points through videos of the same kind, by the similarity
of features alone. For comparison, the table has the encoder without recurrence,
random weights, raw colours, and an answer that ignores the video. Points are
followed for 16 frames.
Cost: 12 minutes on one CPU core, 2 of them for rendering, once.
Expect: linear probe (mean and std of the last 8 frames) 50 % of 12 motions;
random weights 27, per-frame features 26, raw pixels 13. All else is in
docs/results.md.
"""

from rvmae_jax.config_utils import parse_arg
from rvmae_jax.configs import (
  eval_label_propagation,
  eval_readouts,
  eval_sprites,
  rvm_midsize,
)


def get_config(arg=None):
  """The config; it takes no `arg`."""
  parse_arg(arg)
  config = eval_sprites.get_config()
  for name in ('knn', 'linear_probe'):
    config.evals[name].data.clip.num_frames = rvm_midsize.LOOK['num_frames']
  config.evals.reconstruction.gaps = (1, 2, 4, 8)
  tracking = eval_label_propagation.get_config().evals.label_propagation
  tracking.dataset.update(rvm_midsize.LOOK)
  tracking.dataset.num_videos = 24
  readouts = eval_readouts.get_config('dataset=sprites,size=64,frames=16')
  points = readouts.evals.points_zero_shot
  points.dataset.update(rvm_midsize.LOOK)
  config.evals.label_propagation = tracking
  # Three tests of what hides objects in the state: its start from zeros, what
  # it has in common in all videos, and what it keeps of earlier frames.
  warm = {**tracking, 'warm_up': 8}
  config.evals.label_propagation_warm = warm
  config.evals.label_propagation_standardised = {**warm, 'standardise': True}
  config.evals.label_propagation_forgetful = {
    **tracking,
    'standardise': True,
    'reset_every': 1,
  }
  config.evals.points_zero_shot = points
  return config
