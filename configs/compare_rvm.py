"""What matters in RVM's recipe: one thing changed at a time, on harder sprites.

  python -m rvmae_jax.tools.compare --config configs/compare_rvm.py \\
    --workdir runs/compare_rvm

Every run is rvm_midsize.py with one entry of rvm_ablation.py, trained on the
same number of clips. Three evaluations are those of eval_midsize.py: a probe
that classifies motions, the rebuilding of hidden patches in later frames, and
masks tracked by the similarity of features (with the state, without it, and
with the encoder alone).

Arguments: methods=names of rvm_ablation.py, joined by +, or empty for all but
gap_1_8, which is rvm_midsize.py's own gap; clips=how many to train on;
seeds=how many.
Cost: with 9,600 clips, 15 minutes a run on one of two CPU cores.
"""

import ml_collections

from rvmae_jax.config_utils import named, parse_arg
from rvmae_jax.configs import eval_midsize
from rvmae_jax.configs.rvm_ablation import ABLATIONS

# The recipe's own gap is that of gap_1_8.
METHODS = {
  name: {'recipe': f'configs/rvm_ablation.py:base=midsize,ablation={name}'}
  for name in ABLATIONS
  if name != 'gap_1_8'
}


def get_config(arg=None):
  """The config; see the module's docstring for `arg`."""
  arg = parse_arg(arg, methods='', clips=9_600.0, seeds=1)
  config = ml_collections.ConfigDict()
  config.methods = named(METHODS, arg.methods, 'method')
  config.seeds = tuple(range(arg.seeds))
  config.budget = {'unit': 'clips', 'amount': arg.clips}
  config.measure_s = 3.0
  config.shared = {
    'checkpoint': {'every_steps': 200, 'keep_last': 1, 'keep_every': 0},
    'log': {'pictures_every': 0, 'clu': ()},
  }
  config.evaluation = _evaluation()
  config.columns = (
    ('linear_probe/trained/mean_std_8/top1', 'probe: mean and std'),
    ('linear_probe/trained/change_2/top1', 'probe: change'),
    ('reconstruction/gap_1/model/psnr_hidden', 'PSNR, dB, 1 frame later'),
    ('reconstruction/gap_4/model/psnr_hidden', '4 frames later'),
    ('reconstruction/gap_8/model/psnr_hidden', '8 frames later'),
    ('label_propagation/trained/J&F', 'masks, J&F'),
    ('label_propagation/per_frame/J&F', 'by the encoder alone'),
    (
      'label_propagation_forgetful/trained/J&F',
      'standardised, no state kept',
    ),
  )
  return config


def _evaluation():
  """What is asked of features and of rebuilt frames."""
  evaluation = eval_midsize.get_config()
  evaluation.evals = {
    name: evaluation.evals[name]
    for name in (
      'reconstruction',
      'linear_probe',
      'label_propagation',
      'label_propagation_forgetful',
    )
  }
  evals = evaluation.evals
  evals.reconstruction.gaps = (1, 4, 8)
  # The same for all, also for those trained with another.
  evals.reconstruction.data.mask = {'name': 'target', 'ratio': 15 / 16}
  evals.linear_probe.encoders = ('trained',)
  evals.linear_probe.poolings = ('mean_std_8', 'change_2')
  evals.label_propagation.encoders = ('trained', 'per_frame')
  evals.label_propagation_forgetful.encoders = ('trained',)
  return evaluation
