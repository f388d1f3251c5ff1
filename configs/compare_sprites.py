"""Methods compared on moving sprites, at a size for two CPU cores.

  python -m rvmae_jax.tools.compare --config configs/compare_sprites.py \\
    --workdir runs/compare --jobs 2

Every method sees the same 32x32 videos of 16 frames in patches of 8, has a
width of 128 and the same optimizer, and is tested on the same task: to classify
which of 12 motions a video shows (chance 8.3 %), from frozen features and after
fine-tuning. No single frame shows the motion.

All methods rebuild plain pixels, not normalised patches; for image_mae,
vanilla_mae and temporal_augmentation_mae these are standardised, as ImageMAE
does. The PSNR of two methods can be compared only if they see, and rebuild, the
same frames.

Arguments: budget=clips, flops or seconds of training, the same for all;
seeds=how many; methods=some of METHODS and ALTERED, joined by +; rates: also
train each with a third of its learning rate and with three times that rate, and
test on validation videos; probe_every=steps between probes during training,
besides the one at the end; quick: compare only a few methods, in a few minutes.
Cost: 74 minutes a seed on one CPU core, measured; two runs at once (--jobs 2)
on two cores take half of that, and `quick` 9 minutes, both estimated. Networks
as small as these gain nothing from a second core: RVM's step took 107 clips/s
on one and 101 on two, a vanilla MAE's 74 and 76 (the second core was not idle).
"""

import ml_collections

from rvmae_jax.config_utils import check_unused, merged, named, parse_arg
from rvmae_jax.registry import check_known

BUDGETS = {'clips': 9_600.0, 'flops': 5e12, 'seconds': 90.0}
QUICK_BUDGETS = {'clips': 8_000.0, 'flops': 4e12, 'seconds': 60.0}

# All 16 frames of a video, or one from each of 16 equal parts of a longer one.
WHOLE_VIDEO = {'name': 'uniform', 'num_frames': 16, 'stride': 0}
# Four blocks: about as many parameters as RVM has in encoder, core and decoder.
# Positions of a 4x4 grid differ little at the usual base of 10,000.
PER_FRAME = {'encoder_blocks': 4, 'position_base': 5.0}
CLIP = {**PER_FRAME, 'position': 'sincos_2d'}
DIVIDED = {'encoder_blocks': 3, 'learned_grid': (8, 4, 4)}
# Not the recipes' normalised patches: two thirds of these show nothing but a
# dim background, whose noise would count as much as the sprite.
PIXELS = {'normalize': 'none'}
# As in image_mae's own recipe, so that the three per-frame methods agree.
STANDARDIZED = {
  **PIXELS,
  'pixel_mean': (0.485, 0.456, 0.406),
  'pixel_std': (0.229, 0.224, 0.225),
}
# Supervised, without what would change a motion (RandAugment turns and shears)
# or take longer than there is to learn from.
UNMIXED = {'label_smoothing': 0.0, 'mixing': None}
UNTURNED = {'augment': None, 'repeats': 1}

# Method -> recipe, and what it needs to be of the size of the others.
METHODS = {
  'rvm': {'recipe': 'configs/rvm_quickstart.py'},
  # The same without recurrence: all frames so far attend to each other.
  'rvm_attention': {'recipe': 'configs/rvm_ablation.py:ablation=attention'},
  'rvmae': {
    'recipe': 'configs/rvmae.py:variant=tiny',
    'changes': {
      'model': {
        'position': 'sincos_2d',
        'position_base': 5.0,
        'output_scale': 0.1,
        'output_bias': 0.5,
      },
      # As many frames as RVM has in source and target.
      'data': {'clip': {'stride': 1}},
    },
  },
  'vanilla_mae': {
    'recipe': 'configs/vanilla_mae.py:variant=tiny',
    'changes': {
      'model': PER_FRAME,
      'objective': STANDARDIZED,
      'data': {'clip': WHOLE_VIDEO},
    },
  },
  'temporal_augmentation_mae': {
    'recipe': 'configs/temporal_augmentation_mae.py:variant=tiny',
    'changes': {
      'model': PER_FRAME,
      'objective': STANDARDIZED,
      'data': {'clip': {'clip': WHOLE_VIDEO}},
    },
  },
  'image_mae': {
    'recipe': 'configs/image_mae.py:variant=tiny',
    'changes': {'model': PER_FRAME, 'objective': PIXELS},
  },
  'videomae': {
    'recipe': 'configs/videomae.py:variant=tiny',
    'changes': {
      'model': CLIP,
      'objective': PIXELS,
      'data': {'clip': WHOLE_VIDEO, 'mask': {'ratio': 0.75}},
    },
  },
  'videomae_divided': {
    'recipe': 'configs/videomae_divided.py:variant=tiny',
    'changes': {
      'model': DIVIDED,
      'objective': PIXELS,
      'data': {'clip': WHOLE_VIDEO, 'mask': {'ratio': 0.75}},
    },
  },
  'videomae_v2': {
    'recipe': 'configs/videomae_v2.py:variant=tiny',
    'changes': {
      'model': CLIP,
      'objective': PIXELS,
      'data': {'clip': WHOLE_VIDEO, 'mask': {'ratio': 0.75}},
    },
  },
  # Optical flow would take longer than training: frames are made larger for it.
  'mgmae_difference': {
    'recipe': 'configs/mgmae.py:variant=tiny,motion=difference',
    'changes': {
      'model': CLIP,
      'objective': PIXELS,
      'data': {'clip': WHOLE_VIDEO, 'mask': {'ratio': 0.75}},
    },
  },
  'siammae': {
    'recipe': 'configs/siammae.py:variant=tiny',
    'changes': {
      'model': PER_FRAME,
      'objective': PIXELS,
      'data': {'clip': {'gap': (1, 4)}, 'mask': {'ratio': 15 / 16}},
    },
  },
  'arvideo': {
    'recipe': 'configs/arvideo.py:variant=tiny',
    'changes': {
      'model': CLIP,
      'objective': PIXELS,
      'data': {'clip': WHOLE_VIDEO, 'mask': {'cluster': (4, 2, 2)}},
    },
  },
  'moco_v3': {
    'recipe': 'configs/moco_v3.py:variant=tiny',
    'changes': {
      'model': {**CLIP, 'hidden_dim': 256, 'output_dim': 64},
      'data': {'clip': {'clip': WHOLE_VIDEO}},
    },
  },
  # The only method that is trained with class labels.
  'from_scratch': {
    'recipe': 'configs/from_scratch.py:variant=tiny,num_classes=12',
    'changes': {
      'model': CLIP,
      'objective': UNMIXED,
      'data': {'clip': WHOLE_VIDEO, **UNTURNED},
    },
  },
  # Not trained: what each kind of network tells as it starts.
  'random_rvm': {'recipe': 'configs/rvm_quickstart.py', 'is_trained': False},
  'random_image_mae': {
    'recipe': 'configs/image_mae.py:variant=tiny',
    'changes': {'model': PER_FRAME, 'objective': PIXELS},
    'is_trained': False,
  },
  'random_videomae': {
    'recipe': 'configs/videomae.py:variant=tiny',
    'changes': {
      'model': CLIP,
      'objective': PIXELS,
      'data': {'clip': WHOLE_VIDEO, 'mask': {'ratio': 0.75}},
    },
    'is_trained': False,
  },
}


def _altered(method, **changes):
  """A method of METHODS with some of its settings changed."""
  entry = METHODS[method]
  return {**entry, 'changes': merged(entry['changes'], changes).to_dict()}


# What keeps two methods near the mean colour? Compared only if named.
ALTERED = {
  # The encoder sees all tokens of earlier clusters, not a fifth of them.
  'arvideo_whole_clusters': _altered('arvideo', data={'mask': {'ratio': 0.0}}),
  # One clip of each video that is read, not four under different masks.
  'videomae_v2_no_repeats': _altered('videomae_v2', data={'repeats': 1}),
}
QUICK_METHODS = ('rvm', 'vanilla_mae', 'videomae', 'random_rvm')


def get_config(arg=None):
  """The config; see the module's docstring for `arg`."""
  arg = parse_arg(
    arg,
    budget='clips',
    seeds=1,
    methods='',
    rates=False,
    probe_every=0,
    quick=False,
  )
  check_known('budget', BUDGETS, arg.budget)
  if arg.quick:
    check_unused(arg, 'quick, which chooses its own', 'methods')
  config = ml_collections.ConfigDict()
  known = {**METHODS, **ALTERED}
  names = arg.methods or '+'.join(METHODS)
  config.methods = named(known, names, 'method')
  config.seeds = tuple(range(arg.seeds))
  budgets = BUDGETS
  if arg.quick:
    config.methods = {name: METHODS[name] for name in QUICK_METHODS}
    budgets = QUICK_BUDGETS
  config.budget = {'unit': arg.budget, 'amount': budgets[arg.budget]}
  # To measure the speed of each training step for.
  config.measure_s = 3.0

  # Changes to every recipe; its own, in METHODS, come after.
  config.shared = {
    'batch_size': 16,
    'model': {'patch_size': 8, 'dtype': 'float32', 'attention': 'xla'},
    'data': {
      'sources': {'videos': sprites('train')},
      # Sprites wrap around the frame's edge and turn about: a crop or a flip
      # would break the motion that is to be learned.
      'crop': {
        'name': 'random_resized',
        'size': (32, 32),
        'area': (1.0, 1.0),
        'ratio': (1.0, 1.0),
        'flip': False,
      },
      'num_threads': 2,
      'prefetch': 4,
    },
    'optimizer': {
      'name': 'adamw',
      'lr_per_256': 1.5e-3 * 256 / 16,
      'weight_decay': 0.05,
      'b1': 0.9,
      'b2': 0.95,
      'clip_norm': 1.0,
    },
    'schedule': {'name': 'cosine', 'warmup_steps': 50, 'end_factor': 0.0},
    'checkpoint': {'every_steps': 400, 'keep_last': 1, 'keep_every': 0},
    'log': {'every_steps': 50, 'pictures_every': 0, 'clu': ()},
  }

  probe = {
    'data': {'clip': WHOLE_VIDEO},
    'train': {'sources': {'videos': sprites('probe_train')}},
    'test': {'sources': {'videos': sprites('probe_test')}},
    'encoders': ('trained',),
  }
  config.evaluation = {
    'seed': 0,
    'batch_size': 64,
    'data': {'crop': 'run', 'mask': 'run'},
    'evals': {
      'linear_probe': {
        'name': 'linear_probe',
        'poolings': ('mean', 'mean_2', 'mean_std_8', 'change_2'),
        **probe,
      },
      'knn': {'name': 'knn', 'poolings': ('mean_std_8',), **probe},
      # Of these two a recipe gets the one that its mask is for.
      'reconstruction': {
        'name': 'reconstruction',
        'data': {'sources': {'videos': sprites('val')}, 'clip': 'run'},
        'gaps': (1, 2, 4),
      },
      'clip_reconstruction': {
        'name': 'clip_reconstruction',
        'data': {'sources': {'videos': sprites('val')}, 'clip': 'run'},
      },
    },
  }
  # The encoder goes on learning, from the labels that the probes learn from.
  config.finetune = {
    'recipe': 'configs/finetune.py',
    'clips': 4_800.0,
    # As the first probe pools.
    'classifier': {
      'num_classes': 12,
      'pool': 'mean_std',
      'norm': True,
      'drop_path': 0.0,
    },
    'changes': {
      'objective': UNMIXED,
      'data': {**probe['data'], **probe['train'], **UNTURNED},
      # At 1.5e-3, and as much in all layers, RVM does not learn.
      'optimizer': {'lr_per_256': 1e-3 * 256 / 16, 'layer_decay': 0.6},
      'schedule': {'warmup_steps': 20},
    },
    'evals': {
      'accuracy': {
        'name': 'accuracy',
        'data': {**probe['data'], **probe['test']},
      }
    },
  }
  # What the table shows, in this order; the picture shows the first three.
  config.columns = (
    ('linear_probe/trained/mean_std_8/top1', 'probe: mean and std'),
    ('finetune/accuracy/top1', 'fine-tuned'),
    ('knn/trained/mean_std_8/top1', 'kNN: mean and std'),
    ('linear_probe/trained/mean/top1', 'probe: mean'),
    ('linear_probe/trained/mean_2/top1', 'probe: last 2 frames'),
    ('linear_probe/trained/change_2/top1', 'probe: change'),
    ('reconstruction/gap_4/model/psnr_hidden', 'PSNR 4 ahead, dB'),
    ('clip_reconstruction/model/psnr_hidden', 'PSNR in clip, dB'),
  )
  if arg.rates:
    config.methods = at_rates(config.methods, config.shared.optimizer)
    del config.finetune
    for name in ('linear_probe', 'knn'):
      config.evaluation.evals[name].test.sources.videos = sprites('val')
  if arg.probe_every:
    entry = config.evaluation.evals.linear_probe
    config.during_training = {
      'probe': {
        **entry,
        'every_steps': arg.probe_every,
        'poolings': ('mean_std_8',),
        'data': {**entry.data, 'crop': 'run'},
      }
    }
  return config


def at_rates(methods, optimizer):
  """Each method that is trained, at three rates around the optimizer's."""
  found = {}
  for name, entry in methods.items():
    if not entry.get('is_trained', True):
      continue
    for title, factor in (('third', 1 / 3), ('same', 1), ('triple', 3)):
      rate = {'optimizer': {'lr_per_256': optimizer.lr_per_256 * factor}}
      changes = {**entry.get('changes', {}), **rate}
      found[f'{name}_{title}'] = {**entry, 'changes': changes}
  return found


def sprites(split):
  """All videos of a split at their usual size."""
  return {
    'name': 'moving_sprites',
    'split': split,
    'num_videos': 0,
    'size': 32,
    'num_frames': 16,
  }
