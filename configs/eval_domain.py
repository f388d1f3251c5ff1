"""A network on videos of another domain, before and after adapting to it.

  python -m rvmae_jax.evaluate --config \\
    configs/eval_domain.py:videos=VIDEOS,tracked=DAVIS,labelled=LIST \\
    --checkpoint runs/adapted --workdir runs/adapted/evaluation

Three evaluations, each run only if its videos are given; none may have been
trained on. Hidden patches of `videos` are rebuilt at several gaps; for
comparison, the last frame is copied, and its mean colour is used. Objects of
`tracked` are followed from the first frame's masks, once with the state kept
and once with it reset after each frame. Linear probes and kNN classify the
videos of `labelled`.

Arguments: videos=a folder, or a list (.csv, .json, .jsonl); split=which of
them, test or all; tracked=a folder in the layout of DAVIS; labelled=a folder
(class = folder) or a list; size=pixels of a frame, 0 as in training; height and
width of the tracked frames; step_s=seconds of a step of a gap.
Cost: 7 minutes on one CPU core for the mid-size RVM, 6 videos of DAVIS and 68
labelled ones.
"""

import ml_collections

from rvmae_jax.config_utils import folder_or_list, parse_arg
from rvmae_jax.configs import eval_label_propagation


def get_config(arg=None):
  """The config; see the module's docstring for `arg`."""
  arg = parse_arg(
    arg,
    videos='',
    split='test',
    tracked='',
    labelled='',
    size=0,
    height=160,
    width=280,
    step_s=0.2,
  )
  if not (arg.videos or arg.tracked or arg.labelled):
    raise ValueError('Nothing is asked; add videos=, tracked= or labelled=.')
  config = ml_collections.ConfigDict()
  config.seed = 0
  config.batch_size = 16
  config.data = {
    'crop': {'size': (arg.size, arg.size)} if arg.size else 'run',
    'mask': 'run',
  }
  config.evals = {}
  if arg.videos:
    config.evals.reconstruction = {
      'name': 'reconstruction',
      'data': {
        'sources': {'videos': folder_or_list(arg.videos, arg.split)},
        'clip': {
          'name': 'source_target',
          'num_source': 4,
          'num_target': 4,
          'step_s': arg.step_s,
        },
      },
      'gaps': (1, 2, 4, 8),
    }
  if arg.tracked:
    tracking = eval_label_propagation.get_config(
      {
        'dataset': 'davis',
        'path': arg.tracked,
        'height': arg.height,
        'width': arg.width,
      }
    ).evals.label_propagation
    config.evals.tracking = tracking
    config.evals.tracking_forgetful = {**tracking, 'reset_every': 1}
  if arg.labelled:
    probe = {
      'data': {'clip': {'name': 'uniform', 'num_frames': 16}},
      'train': {'sources': {'videos': folder_or_list(arg.labelled, 'train')}},
      'test': {'sources': {'videos': folder_or_list(arg.labelled, 'test')}},
      'encoders': ('trained', 'random', 'per_frame', 'pixels'),
      'poolings': ('mean', 'mean_std_8'),
    }
    config.evals.knn = {'name': 'knn', 'k': 20, 'temperature': 0.07, **probe}
    config.evals.linear_probe = {'name': 'linear_probe', **probe}
  return config
