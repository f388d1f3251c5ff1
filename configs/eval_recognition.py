"""Recognition from frozen features on published datasets.

  python -m rvmae_jax.evaluate --checkpoint runs/rvm \\
    --config configs/eval_recognition.py:dataset=ucf101,videos=DIR \\
    --workdir runs/rvm/ucf101

Linear, attentive and kNN probes are trained on the training videos and tested
on the test videos (on those of `val` where the labels of `test` are secret);
retrieval looks for test videos among the training videos. To fine-tune, use
configs/finetune.py:dataset=ucf101,videos=DIR,published.

Arguments: dataset=ucf101, hmdb51, kinetics, ssv2 or diving48; videos=its folder
(see rvmae_jax/data/sources); fold=1, 2 or 3 of ucf101 and hmdb51; num_frames=of
a clip; stride=frames in a step, 0 spreads the clip over the video; source=the
run's name for its source (videos).
Cost: a forward pass for each video, 260,000 for Kinetics-400.
Expect (RVM's paper, frozen, attentive probe): SSv2 66.7 for L, 59.7 for S.
"""

import ml_collections

from rvmae_jax.config_utils import check_unused, parse_arg
from rvmae_jax.registry import check_known

# Which split is tested on.
TESTED = {
  'ucf101': 'test',
  'hmdb51': 'test',
  'kinetics': 'val',
  'ssv2': 'val',
  'diving48': 'test',
}
WITH_FOLDS = ('ucf101', 'hmdb51')


def get_config(arg=None):
  """The config; see the module's docstring for `arg`."""
  arg = parse_arg(
    arg,
    dataset='ucf101',
    videos='',
    fold=0,
    num_frames=16,
    stride=0,
    source='videos',
  )
  check_known('dataset', TESTED, arg.dataset)
  if arg.dataset not in WITH_FOLDS:
    check_unused(arg, f'dataset={arg.dataset}', 'fold')

  def split(name):
    source = {'name': arg.dataset, 'path': arg.videos, 'split': name}
    if arg.dataset in WITH_FOLDS:
      source['fold'] = arg.fold or 1
    return {'sources': {arg.source: source}}

  clip = {'name': 'uniform', 'num_frames': arg.num_frames, 'stride': arg.stride}
  probe = {
    'train': split('train'),
    'test': split(TESTED[arg.dataset]),
    'encoders': ('trained',),
  }
  config = ml_collections.ConfigDict()
  config.seed = 0
  config.batch_size = 32
  config.data = {'clip': clip, 'crop': 'run'}
  config.evals = {
    'linear_probe': {
      'name': 'linear_probe',
      **probe,
      'poolings': ('mean', 'mean_std_8'),
    },
    'attentive_probe': {
      'name': 'attentive_probe',
      # False: encoded again every epoch, where tokens do not fit into memory.
      'cache': True,
      # As in RVM's paper.
      'width': 768,
      'num_heads': 12,
      **probe,
    },
    'knn': {'name': 'knn', **probe},
    'retrieval': {'name': 'retrieval', **probe},
  }
  return config
