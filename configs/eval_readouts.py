"""Depth, points and boxes, read from frozen features by small heads.

  python -m rvmae_jax.evaluate --config configs/eval_readouts.py \\
    --checkpoint runs/quickstart --workdir runs/quickstart/readouts

For comparison, the table has the same network with random weights, features of
each frame alone, the colours of patches, and an answer that ignores the video:
the mean depth, points that stand still, the first box. Points are also followed
by the similarity of features alone (`points_zero_shot`), without training. By
default, scenes are synthetic (`parallax`). Sprites and published sets:

  ... --config configs/eval_readouts.py:dataset=sprites
  ... --config configs/eval_readouts.py:dataset=tap_vid,path=DAVIS.pkl
  ... --config configs/eval_readouts.py:dataset=perception_test,path=DIR
  ... --config configs/eval_readouts.py:dataset=scannet,path=DIR
  ... --config configs/eval_readouts.py:dataset=waymo,path=DIR

Arguments: dataset; path; train, test=what to train and test on: splits of
ScanNet and Waymo, annotation files of Perception Test (all_train.json,
all_valid.json), pickles of TAP-Vid (without `train`, no head is trained);
learns=head, or all for the network too; size=the height and width of frames;
frames, stride=of a clip; few=how many synthetic videos to train on, for a quick
try; only=some of the evaluations, joined by +.
Cost: for each row of the table, heads at three rates, on one CPU core beside
other programs: boxes 80 s, depth 5 minutes, points 6 minutes, without a head
4 s.
Expect, for the quick start: docs/readouts.md.
"""

import ml_collections

from rvmae_jax.config_utils import check_unused, named, parse_arg
from rvmae_jax.evals.readouts import LEARNS
from rvmae_jax.registry import check_known

# What can be asked; what chooses videos, and its values for train and test.
DATASETS = {
  'parallax': (('depth', 'points', 'boxes'), 'split', 'train', 'test'),
  'sprites': (('points', 'boxes'), 'split', 'probe_train', 'probe_test'),
  'tap_vid': (('points',), 'path', '', ''),
  'perception_test': (
    ('points', 'boxes'),
    'annotations',
    'all_train.json',
    'all_valid.json',
  ),
  'scannet': (('depth',), 'split', 'train', 'val'),
  'waymo': (('boxes',), 'split', 'training', 'validation'),
}
DRAWN = ('parallax', 'sprites')
NAMES = {
  'depth': 'depth',
  'points': 'point_tracking',
  'boxes': 'box_tracking',
}


def get_config(arg=None):
  """The config; see the module's docstring for `arg`."""
  arg = parse_arg(
    arg,
    dataset='parallax',
    path='',
    train='',
    test='',
    learns='head',
    size=0,
    frames=0,
    stride=0,
    few=0,
    only='',
  )
  check_known('dataset', DATASETS, arg.dataset)
  check_known('value of learns', LEARNS, arg.learns)
  is_drawn = arg.dataset in DRAWN
  check_unused(arg, f'dataset={arg.dataset}', 'path' if is_drawn else 'few')
  if not is_drawn and not arg.path:
    raise ValueError(f'dataset={arg.dataset} needs path; add path=... to it.')
  if arg.learns == 'all' and arg.dataset == 'tap_vid' and not arg.train:
    raise ValueError('learns=all needs videos to learn from; add train=...')
  tasks, key, train, test = DATASETS[arg.dataset]
  # Drawn scenes are as large as what the quick start learns from.
  size = arg.size or (32 if is_drawn else 224)
  config = ml_collections.ConfigDict()
  config.seed = 0
  config.batch_size = 16 if is_drawn else 8
  # Every run is tested on the same frames, so they are as large for all.
  config.data = {'crop': {'size': (size, size)}}
  entry = {
    'dataset': {'name': arg.dataset},
    'test': {key: arg.test or test},
    # 8 frames of a drawn scene are a third of the camera's circle.
    'num_frames': arg.frames or (8 if is_drawn else 16),
    'stride': arg.stride or 1,
    'encoders': ('trained', 'random', 'per_frame', 'pixels'),
    'num_pictures': 2,
  }
  learning = {'train': {key: arg.train or train}}
  if arg.learns == 'all':
    learning |= {'learns': 'all', 'encoders': ('trained', 'random')}
  heads = {task: {} for task in tasks}
  if is_drawn:
    # Videos of a seed of their own: those of seed 0 were looked at while the
    # recipe was made.
    entry['test'] |= {'seed': 1, 'num_videos': 200}
    entry['dataset']['size'] = size
    learning['train']['num_videos'] = arg.few or 1_000
    learning['validation'] = {'split': 'val', 'num_videos': 60}
    # Some hundred steps pass before a head finds where to look: 32 epochs are
    # 2,000.
    learning |= {'learning_rates': (1e-3, 3e-3, 1e-2), 'num_epochs': 32}
    width = {'width': 128, 'num_heads': 4}
    heads = {
      'depth': {**width, 'patch_shape': (2, 8, 8)},
      'points': {**width, 'query_width': 128},
      'boxes': {**width, 'query_width': 128},
    }
  elif arg.dataset == 'tap_vid':
    entry['test'] = {key: arg.test or arg.path}
  else:
    entry['dataset']['path'] = arg.path
  config.evals = {}
  for task in tasks:
    if arg.dataset != 'tap_vid' or arg.train:
      config.evals[task] = {
        'name': NAMES[task],
        **entry,
        **learning,
        'head': heads[task],
      }
      if is_drawn and task != 'depth':
        # From few videos, heads do not learn to copy the place of a query.
        config.evals[task].relative = True
      if is_drawn and task == 'points':
        # It needs errors below 0.75 pixels of such frames, which are rare.
        config.evals[task].needs_certain = False
    if task == 'points' and arg.learns == 'head':
      config.evals.points_zero_shot = {
        'name': NAMES[task],
        **entry,
        'zero_shot': True,
      }
  if arg.dataset == 'perception_test' and not arg.stride:
    config.evals.boxes.stride = 30  # Of which only every 30th frame has any.
  config.evals = named(config.evals, arg.only, 'evaluation')
  return config
