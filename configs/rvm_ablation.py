"""RVM's ablations: one thing changed, everything else the same.

  python -m rvmae_jax.train --workdir runs/ablation/ungated \\
    --config configs/rvm_ablation.py:ablation=ungated

  ablation      what is changed
  none          nothing
  source_1      one source frame, as in SiamMAE (RVM: 4)
  source_2      two of them
  source_8      eight of them
  warm_up       the first source frame is shown twice
  ungated       a recurrence without gates
  biased        gates with biases; the update gate starts at 0.27
  core_2        two blocks in the core (RVM: 4, the quick start: 1)
  attention     self-attention over all frames so far instead of recurrence
  last_state    the decoder sees the last source frame's features, not all
  normalized    targets are normalised patch by patch
  hidden        the loss is on hidden patches only
  mask_50       half of a target is hidden
  mask_75       three quarters of it
  gap_1         targets are the frame after the last source frame
  gap_1_8       1 to 8 steps after it
  gap_1_16      1 to 16 steps after it
  jitter        one frame in five is skipped, so steps differ in length
  half_patch    patches of half the side, four times as many

Arguments: ablation=one of the table; base=the recipe that is changed:
quickstart, midsize, or paper (rvm_pretrain.py), which takes the arguments
variant (S by default) and videos; shards and runlocal as in all three.
Cost: that of the recipe. compare_rvm.py trains and evaluates them on
rvm_midsize.py.
Expect (paper, S, 500 M clips, frozen, SSv2): 1 source frame 41.0, 2 frames
47.2, 4 frames 52.3; attention 49.1.
"""

from rvmae_jax.config_utils import parse_arg
from rvmae_jax.configs import rvm_midsize, rvm_pretrain, rvm_quickstart
from rvmae_jax.registry import check_known

# Changes by path in the config, or a function of the recipe that returns them.
ABLATIONS = {
  'none': {},
  'source_1': {'data.clip.num_source': 1},
  'source_2': {'data.clip.num_source': 2},
  'source_8': {'data.clip.num_source': 8},
  'warm_up': {'data.clip.warm_up': 1},
  'ungated': {'model.core_kind': 'ungated'},
  'biased': {'model.core_kind': 'biased'},
  'core_2': {'model.core_blocks': 2},
  'attention': {'model.core_kind': 'attention'},
  'last_state': {'model.decoder_context': 'last'},
  'normalized': {'objective.normalize': 'patch'},
  'hidden': {'objective.patches': 'hidden'},
  'mask_50': {'data.mask.ratio': 0.5},
  'mask_75': {'data.mask.ratio': 0.75},
  'gap_1': {'data.clip.gap': (1, 1)},
  'gap_1_8': {'data.clip.gap': (1, 8)},
  'gap_1_16': {'data.clip.gap': (1, 16)},
  'jitter': lambda recipe: {
    'data.clip': {
      'name': 'playback',
      'clip': recipe.data.clip.to_dict(),
      'skip': 0.2,
    }
  },
  'half_patch': lambda recipe: {
    'model.patch_size': recipe.model.patch_size // 2,
    'model.position_grid': tuple(
      2 * n for n in recipe.model.get('position_grid', ())
    ),
  },
}

BASES = {
  'quickstart': rvm_quickstart,
  'midsize': rvm_midsize,
  'paper': rvm_pretrain,
}


def get_config(arg=None):
  """The config; see the module's docstring for `arg`."""
  arg = parse_arg(
    arg,
    ablation='none',
    base='quickstart',
    variant='',
    videos='',
    shards='',
    runlocal=False,
  )
  check_known('ablation', ABLATIONS, arg.ablation)
  check_known('base', BASES, arg.base)
  if arg.base == 'paper':
    arg.variant = arg.variant or 'S'
  else:
    for name in ('variant', 'videos'):
      if arg[name]:
        raise ValueError(
          f"{name}={arg[name]!r} is for the paper's recipe, and base="
          f'{arg.base} takes none. Add base=paper, or leave {name} out; '
          'shards=DIR trains on videos of yours.'
        )
  config = BASES[arg.base].get_config(arg)
  config.model.core_kind = 'gated'
  config.model.decoder_context = 'all'
  changes = ABLATIONS[arg.ablation]
  if callable(changes):
    changes = changes(config)
  config.update_from_flattened_dict(changes)
  return config
