"""SiamMAE pre-training, the paper's recipe (arXiv 2305.14344).

  python -m rvmae_jax.train --workdir runs/siammae \\
    --config configs/siammae.py:variant=S,videos=DIR

Arguments: variant=tiny|S|B; videos, shards and runlocal as those of
configs/rvm_pretrain.py.
Cost: ViT-S takes 35 GFLOP a pair of frames, forward and backward.
Expect: RVM with one source frame, which RVM's paper compares to SiamMAE,
reaches 41.0 on SSv2 (frozen, S, arXiv 2512.13684).
"""

from rvmae_jax.config_utils import parse_arg
from rvmae_jax.configs import rvm_pretrain

# 400 epochs of Kinetics-400; how long the paper trains was not seen.
TOTAL_CLIPS = 400 * 240_000


def get_config(arg=None):
  """The config; see the module's docstring for `arg`."""
  arg = parse_arg(arg, variant='S', videos='', shards='', runlocal=False)
  variant = 'tiny' if arg.runlocal else arg.variant
  config = rvm_pretrain.get_config({**arg, 'variant': variant})
  config.model.name = 'siammae'
  del config.model['core_remat'], config.model['time_unroll']
  config.objective.patches = 'hidden'
  config.objective.normalize = 'patch'

  # One frame, and one 4 to 48 steps later.
  config.data.clip.num_source = 1
  config.data.clip.num_target = 1
  config.data.crop.area = (0.5, 1.0)

  # The norm of clipping is RVM's: the paper was not seen to state one.
  config.optimizer.lr_per_256 = 1e-4
  if not arg.runlocal:
    config.data.crop.size = (224, 224)
    config.total_steps = TOTAL_CLIPS // config.batch_size
    config.schedule.warmup_steps = round(0.05 * config.total_steps)
    config.checkpoint.keep_every = 10_000
  # Targets are evaluated at four gaps, each from one frame.
  config.evals.reconstruction.gaps = (4, 18, 33, 48)
  return config
