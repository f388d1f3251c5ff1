"""Label propagation: labels of a first frame, tracked by features alone.

  python -m rvmae_jax.evaluate --config configs/eval_label_propagation.py \\
    --checkpoint runs/quickstart --workdir runs/quickstart/tracking

That tracks sprites, which need no download. Published sets and your own video:

  --config configs/eval_label_propagation.py:dataset=davis,path=DAVIS
  --config configs/eval_label_propagation.py:dataset=jhmdb,path=JHMDB
  --config configs/eval_label_propagation.py:dataset=vip,path=VIP_Fine
  --config configs/eval_label_propagation.py:dataset=folder,path=V,labels=L

The layout of each dataset is described in its file in
`rvmae_jax/data/tracking/`. The labels of your own video are a mask of its first
frame or a table of keypoints; those of sprites are `masks` or `keypoints`.
Change anything else as in `--config.evals.label_propagation.num_videos=3`.

Arguments: dataset; path; labels; height and width of the frames that the
network sees (0: as usual for the dataset); save_to=a folder for the predicted
labels.
Cost: 1 minute on 2 CPU cores for sprites.
Expect, for sprites and the quick start: J&F 0.20, or 0.33 with
`--config.evals.label_propagation.warm_up=8`; random weights 0.08 (0.27),
without recurrence 0.43, the first masks 0.33, patch colours 0.41. The network
was trained on 4x4 patches and a plain background; here it sees 8x8 patches and
a busy one.
"""

import ml_collections

from rvmae_jax.config_utils import check_unused, parse_arg
from rvmae_jax.registry import check_known

# Settings of each dataset; users have to give those that are ''.
DATASETS = {
  'davis': {'path': '', 'split': 'val', 'year': 2017},
  'folder': {'path': '', 'labels': ''},
  'jhmdb': {'path': '', 'split': 'test', 'number': 1},
  'sprites': {
    'labels': 'masks',
    'split': 'test',
    'num_videos': 12,
    'size': 64,
    'num_frames': 24,
    'num_sprites': 2,
    'background': 'busy',
  },
  'vip': {'path': '', 'split': 'val'},
}


def get_config(arg=None):
  """The config; see the module's docstring for `arg`."""
  arg = parse_arg(
    arg, dataset='sprites', path='', labels='', height=0, width=0, save_to=''
  )
  if bool(arg.height) != bool(arg.width):
    raise ValueError(
      f'height={arg.height} and width={arg.width}: give both, or neither for '
      'the usual size.'
    )
  config = ml_collections.ConfigDict()
  config.seed = 0
  config.batch_size = 1
  config.data = {}  # It reads a dataset of its own.
  config.evals = {
    'label_propagation': {
      'name': 'label_propagation',
      'dataset': get_dataset(arg),
      'size': (arg.height, arg.width) if arg.height else (),
      'encoders': ('trained', 'random', 'per_frame', 'pixels', 'copy'),
      'num_videos': 0,
      'num_previous': 20,
      'radius': 20.0,
      # 0 is the set's custom: 10 for VIP, 7 for the others.
      'top_k': 0,
      'temperature': 0.7,
      # Frames that a model of clips sees at once.
      'window': 16,
      # Frames after which a recurrent state is thrown away; 0 keeps it.
      'reset_every': 0,
      # Times that it sees the first frame before that counts.
      'warm_up': 0,
      # Subtracts what the features of all videos have in common; see
      # `rvmae_jax.evals.dense.Standardised`.
      'standardise': False,
      'save_to': arg.save_to,
      'num_pictures': 1,
    }
  }
  return config


def get_dataset(arg):
  """The dataset's config."""
  check_known('dataset', DATASETS, arg.dataset)
  dataset = {'name': arg.dataset, **DATASETS[arg.dataset]}
  for name in ('path', 'labels'):
    if name not in dataset:
      check_unused(arg, f'dataset={arg.dataset}', name)
    else:
      dataset[name] = arg[name] or dataset[name]
      if not dataset[name]:
        raise ValueError(
          f'dataset={arg.dataset} needs {name}; add {name}=... to it.'
        )
  return dataset
