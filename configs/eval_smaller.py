"""What a smaller network loses, measured on moving sprites.

  python -m rvmae_jax.tools.smaller --config configs/eval_smaller.py \\
    --checkpoint runs/quickstart --out smaller.json

The evaluations are a linear probe for 12 motions, and masks propagated by the
similarity of features.
Cost: 2 minutes for each network on one CPU core.
"""

from rvmae_jax.config_utils import parse_arg
from rvmae_jax.configs import eval_label_propagation, eval_sprites


def get_config(arg=None):
  """The config; it takes no `arg`."""
  parse_arg(arg)
  config = eval_sprites.get_config()
  tracking = eval_label_propagation.get_config().evals.label_propagation
  probe = config.evals.linear_probe
  for evaluation in (probe, tracking):
    evaluation.encoders = ('trained',)
  probe.poolings = ('mean_std_8',)
  config.evals = {'linear_probe': probe, 'label_propagation': tracking}
  # Numbers of the table and their headings.
  config.columns = (
    ('linear_probe/trained/mean_std_8/top1', 'probe, %'),
    ('label_propagation/trained/J&F', 'tracking, J&F, %'),
  )
  return config
