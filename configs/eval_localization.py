"""Temporal localization: what happens when in long videos; mAP at tIoU.

  python -m rvmae_jax.evaluate --config configs/eval_localization.py \\
    --checkpoint runs/quickstart --workdir runs/quickstart/localization

  ... --config configs/eval_localization.py:dataset=thumos14,path=DIR
  ... --config configs/eval_localization.py:dataset=activitynet,path=FILE.json

Arguments: dataset=sprites|activitynet|thumos14; path=the annotations, of
ActivityNet a JSON file, of THUMOS14 a folder; videos=the folder with the files
if they are not below `path`'s; folds=N: there are test videos alone, and each
of N parts of them is asked about by a head that learned from the others.
Cost: sprites 5 minutes on 2 CPU cores.
"""

import ml_collections

from rvmae_jax.config_utils import parse_arg


def get_config(arg=None):
  """The config; see the module's docstring for `arg`."""
  arg = parse_arg(arg, dataset='sprites', path='', videos='', folds=0)
  config = ml_collections.ConfigDict()
  config.seed = 0
  config.batch_size = 1  # Videos are read one after the other.
  # Frames are as large as the run's.
  config.data = {}
  evaluation = {
    'name': 'localization',
    'num_folds': arg.folds,
    'sources': ('trained', 'random', 'per_frame', 'pixels'),
    # Of tIoU; sprites are asked as THUMOS14 is.
    'thresholds': (0.3, 0.4, 0.5, 0.6, 0.7),
    # 8 steps a second of sprites.
    'stride': 1,
    'frames_per_step': 2,
    'head': {'num_steps': 800, 'num_blocks': 4, 'crop': 128},
  }
  published = {
    'name': arg.dataset,
    'path': arg.path,
    'videos': arg.videos,
    'allow_missing': True,
  }
  if arg.dataset == 'sprites':
    evaluation |= {
      'dataset': {'name': 'sprites', 'num_segments': 6},
      'train': {'subset': 'probe_train', 'num_videos': 96},
      'test': {'subset': 'probe_test', 'num_videos': 32},
    }
  elif arg.dataset == 'activitynet':
    evaluation |= {
      'dataset': published,
      'train': {'subset': 'training'},
      'test': {'subset': 'test' if arg.folds else 'validation'},
      'thresholds': (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95),
    }
  else:
    evaluation |= {
      'dataset': published,
      'train': {'subset': 'validation'},
      'test': {'subset': 'test'},
    }
  if arg.dataset != 'sprites':
    # Of 30 frames a second every other one, and 4 steps.
    evaluation |= {'stride': 2, 'frames_per_step': 4}
    evaluation['head'] = {'num_steps': 2_000, 'num_blocks': 6, 'crop': 256}
  config.evals = {'localization': evaluation}
  return config
