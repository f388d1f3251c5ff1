"""What features know of where things go: labels of a first frame handed on.

  python -m rvmae_jax.evaluate --config configs/eval_label_propagation.py \\
    --checkpoint runs/quickstart --workdir runs/quickstart/tracking

That tracks sprites, which need no download. Published sets and your own video:

  --config configs/eval_label_propagation.py:dataset=davis,path=DAVIS
  --config configs/eval_label_propagation.py:dataset=jhmdb,path=JHMDB
  --config configs/eval_label_propagation.py:dataset=vip,path=VIP_Fine
  --config configs/eval_label_propagation.py:dataset=folder,path=V,labels=L

What lies where is written in `rvmae_jax/data/tracking/`, in the file of the
dataset; `labels` of a folder is a mask of the first frame or a table of
keypoints, `labels` of sprites is masks or keypoints. All settings are those of
`rvmae_jax/evals/label_propagation.py`, so
`--config.evals.label_propagation.num_videos=3` tracks three videos.

Arguments: dataset; path; labels; height, width (of the frames that the network
sees; 0 is the set's custom); save_to (a folder for the predicted labels).
Cost: 1 minute on 2 CPU cores for sprites.
Expect, of sprites: see the README.
"""

import ml_collections

from rvmae_jax.config_utils import parse_arg

# What a dataset has to be told.
ARGUMENTS = {
  'davis': ('path',),
  'folder': ('path', 'labels'),
  'jhmdb': ('path',),
  'sprites': (),
  'vip': ('path',),
}


def get_config(arg=None):
  """The config; see the module's docstring for `arg`."""
  arg = parse_arg(
    arg, dataset='sprites', path='', labels='', height=0, width=0, save_to=''
  )
  config = ml_collections.ConfigDict()
  config.seed = 0
  config.batch_size = 1
  # Changes to the data config of the run, which this does not read.
  config.data = {}
  dataset = {'name': arg.dataset}
  for name in ARGUMENTS.get(arg.dataset, ()):
    if not arg[name]:
      raise ValueError(
        f'dataset={arg.dataset} needs {name}: {arg.dataset},{name}=...'
      )
    dataset[name] = arg[name]
  if arg.dataset == 'sprites':
    dataset |= {'labels': arg.labels or 'masks', 'size': 64, 'num_videos': 12}
  if arg.dataset == 'davis':
    dataset |= {'year': 2017, 'split': 'val'}
  config.evals = {
    'label_propagation': {
      'name': 'label_propagation',
      'dataset': dataset,
      'size': (arg.height, arg.width) if arg.height else (),
      'sources': ('trained', 'random', 'per_frame', 'pixels', 'copy'),
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
      'save_to': arg.save_to,
      'num_pictures': 1,
    }
  }
  return config
