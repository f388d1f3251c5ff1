"""Temporal localization: what happens when in long videos; mAP at tIoU.

  python -m rvmae_jax.evaluate --config configs/eval_localization.py \\
    --checkpoint runs/quickstart --workdir runs/quickstart/localization

  ... --config configs/eval_localization.py:dataset=thumos14,path=DIR
  ... --config configs/eval_localization.py:dataset=activitynet,path=FILE.json

Arguments: dataset=sprites|activitynet|thumos14; path=the annotations (for
ActivityNet a JSON file, for THUMOS14 a folder); videos=the folder of the video
files, if they are not below that of the annotations; train, test=subsets, if
not the usual ones. If you have test videos only: clips=a list or folder of
labelled clips, whose train split is joined to long videos for training; or
folds=N, which tests a head on each of N parts of the test videos after training
it on the others.
Cost: for sprites 2 minutes on 2 CPU cores.
Expect, for sprites and the quick start: mean mAP at tIoU .3 to .7 of 56 %; raw
pixels 30, per-frame features 14, random weights 8.
"""

import ml_collections

from rvmae_jax.config_utils import check_unused, folder_or_list, parse_arg
from rvmae_jax.registry import check_known

_SUBSETS = {
  'sprites': ('probe_train', 'probe_test'),
  'activitynet': ('training', 'validation'),
  'thumos14': ('validation', 'test'),
}


def get_config(arg=None):
  """The config; see the module's docstring for `arg`."""
  arg = parse_arg(
    arg,
    dataset='sprites',
    path='',
    videos='',
    train='',
    test='',
    clips='',
    folds=0,
  )
  check_known('dataset', _SUBSETS, arg.dataset)
  if arg.dataset == 'sprites':
    check_unused(arg, 'dataset=sprites', 'path', 'videos')
  if arg.folds:
    check_unused(arg, f'folds={arg.folds}', 'train', 'clips')
  if arg.clips:
    check_unused(arg, f'clips={arg.clips}', 'train')
  if arg.dataset != 'sprites' and not arg.path:
    raise ValueError(f'dataset={arg.dataset} needs path; add path=... to it.')
  config = ml_collections.ConfigDict()
  config.seed = 0
  config.batch_size = 1  # Videos are read one after the other.
  # Frames are as large as the run's.
  config.data = {'crop': 'run'}
  train, test = _SUBSETS[arg.dataset]
  evaluation = {
    'name': 'localization',
    'train': {'subset': arg.train or train},
    'test': {'subset': arg.test or test},
    'num_folds': arg.folds,
    'encoders': ('trained', 'random', 'per_frame', 'pixels'),
    # Of tIoU; sprites are asked as THUMOS14 is.
    'thresholds': (0.3, 0.4, 0.5, 0.6, 0.7),
  }
  if arg.dataset == 'sprites':
    evaluation['dataset'] = {'name': 'sprites', 'num_segments': 6}
    evaluation['train']['num_videos'] = 96
    evaluation['test']['num_videos'] = 32
    # All frames; 8 steps a second.
    evaluation |= {'fps': 0.0, 'frames_per_step': 2}
    evaluation['head'] = {'num_steps': 800, 'num_blocks': 4, 'crop': 128}
  else:
    evaluation['dataset'] = {
      'name': arg.dataset,
      'path': arg.path,
      'videos': arg.videos,
      'allow_missing': True,
    }
    # 4 steps a second.
    evaluation |= {'fps': 16.0, 'frames_per_step': 4}
    evaluation['head'] = {'num_steps': 2_000, 'num_blocks': 6, 'crop': 256}
  if arg.dataset == 'activitynet':
    evaluation['thresholds'] = (
      *(0.5, 0.55, 0.6, 0.65, 0.7),
      *(0.75, 0.8, 0.85, 0.9, 0.95),
    )
  if arg.clips:
    evaluation['train'] = {
      'name': 'composed',
      'source': folder_or_list(arg.clips, 'train'),
    }
  if arg.folds:  # Of the test videos, which are learned from in turn.
    del evaluation['train']
  config.evals = {'localization': evaluation}
  return config
