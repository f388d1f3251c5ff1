"""The claim of the R-VMAE study: recurrence beside two baselines without it.

  python -m rvmae_jax.tools.compare --config configs/compare_rvmae.py \\
    --workdir runs/compare_rvmae

R-VMAE, the vanilla MAE and temporal augmentation are trained on the same clips
of 8 frames of 32x32 sprites with the same optimizer. The same evaluations then
measure how well, and how steadily from frame to frame, they rebuild clips with
three quarters of every frame hidden (`same_mask`) and with the mask of their
own training (`own_mask`; only R-VMAE's hides whole frames, which the others
cannot rebuild); how well a probe classifies 12 motions in videos of 16 frames;
retrieval; localization in long videos; and the probe on partly covered frames.
The table also has the cost and memory of training.

Arguments: methods=study (the three), ablations, or names joined by +;
clips=how many to train on; seeds=how many; rates: the three at a third and at
three times their learning rate, tested on validation videos; brief: without
retrieval, localization and covered frames; judge=the network whose features
compare rebuilt frames: a run, VGG16 or LPIPS (see rvmae_jax/perceptual.py).
Cost: with 38,400 clips, 9 minutes a seed for R-VMAE and 7 for the others, on
one idle CPU core; then 3 minutes of evaluation.
"""

from rvmae_jax.config_utils import parse_arg
from rvmae_jax.configs import compare_sprites, eval_localization
from rvmae_jax.registry import check_known

_CLIP = {'name': 'uniform', 'num_frames': 8, 'stride': 1}
_RVMAE = compare_sprites.METHODS['rvmae']
_PER_FRAME = {
  'model': compare_sprites.PER_FRAME,
  'objective': compare_sprites.STANDARDIZED,
}
_SAME_MASK = {'name': 'per_frame', 'ratio': 0.75}
_VIEWS = {'name': 'two_views', 'clip': _CLIP}
_OF_VIEWS = {'info_nce': 1e-3}
_BRIEF = (
  'linear_probe/trained/mean_std_8/top1',
  'linear_probe/trained/change_2/top1',
  'knn/trained/mean_std_8/top1',
  'same_mask/model/psnr_hidden',
  'same_mask/model/perceptual_frame',
  'own_mask/model/psnr_hidden_frames',
  'own_mask/model/difference_error_hidden_frames',
)
_PIXELS_ALONE = {'temporal_slowness': None}


def _ablation(**changes):
  """R-VMAE with something else than its recipe has."""
  data = {'clip': {'stride': 1}, **changes.pop('data', {})}
  model = {**_RVMAE['changes']['model'], **changes.pop('model', {})}
  changes = {**changes, 'model': model, 'data': data}
  return {'recipe': _RVMAE['recipe'], 'changes': changes}


STUDY = {
  'rvmae': _RVMAE,
  'vanilla_mae': {
    'recipe': 'configs/vanilla_mae.py:variant=tiny',
    'changes': {**_PER_FRAME, 'data': {'clip': {'stride': 1}}},
  },
  'temporal_augmentation_mae': {
    'recipe': 'configs/temporal_augmentation_mae.py:variant=tiny',
    'changes': {**_PER_FRAME, 'data': {'clip': {'clip': {'stride': 1}}}},
  },
}
ABLATIONS = {
  # Recurrence: attention over all frames so far, or no gates.
  'rvmae_attention': _ablation(model={'core_kind': 'attention'}),
  'rvmae_ungated': _ablation(model={'core_kind': 'ungated'}),
  # The mask.
  'rvmae_ratio_50': _ablation(data={'mask': {'ratio': 0.5}}),
  'rvmae_ratio_90': _ablation(data={'mask': {'ratio': 0.9}}),
  'rvmae_no_frames': _ablation(data={'mask': _SAME_MASK}),
  'rvmae_half_of_frames': _ablation(data={'mask': {'frame_ratio': 0.5}}),
  # A decoder that sees no later frames.
  'rvmae_causal': _ablation(model={'causal': True}),
  # Terms of the loss: the pixels alone, with each of the others, and with all.
  'rvmae_pixels': _ablation(losses=_PIXELS_ALONE),
  'rvmae_plain_change': _ablation(losses={**_PIXELS_ALONE, 'temporal_l1': 0.1}),
  'rvmae_views': _ablation(
    losses={**_PIXELS_ALONE, **_OF_VIEWS}, data={'clip': _VIEWS}
  ),
  'rvmae_all_terms': _ablation(losses=_OF_VIEWS, data={'clip': _VIEWS}),
}


def get_config(arg=None):
  """The config; see the module's docstring for `arg`."""
  arg = parse_arg(
    arg,
    methods='study',
    clips=38_400.0,
    seeds=2,
    rates=False,
    brief=False,
    judge='',
  )
  config = compare_sprites.get_config(f'seeds={arg.seeds}')
  del config.finetune
  config.methods = _methods(arg.methods)
  config.budget = {'unit': 'clips', 'amount': arg.clips}
  evals = config.evaluation.evals
  del evals.reconstruction
  test = 'probe_test'
  if arg.rates:
    config.methods = compare_sprites.at_rates(
      config.methods, config.shared.optimizer
    )
    test = 'val'

  probe = {
    'data': {'clip': compare_sprites.WHOLE_VIDEO},
    'train': {'sources': {'videos': compare_sprites.sprites('probe_train')}},
    'test': {'sources': {'videos': compare_sprites.sprites(test)}},
    'encoders': ('trained',),
  }
  poolings = ('mean_std_8', 'change_2')
  pooled = {**probe, 'poolings': poolings[:1]}
  rebuilt = {
    'name': 'clip_reconstruction',
    'data': {
      'sources': {'videos': compare_sprites.sprites('val')},
      'clip': _CLIP,
    },
    'flow': 'dense_inverse_search',
  }
  if arg.judge:
    rebuilt['perceptual'] = arg.judge
  same_mask = {**rebuilt, 'data': {**rebuilt['data'], 'mask': _SAME_MASK}}
  config.evaluation.evals = {
    'linear_probe': {'name': 'linear_probe', **probe, 'poolings': poolings},
    'knn': {'name': 'knn', **pooled},
    'own_mask': rebuilt,
    'same_mask': same_mask,
  }
  if not (arg.rates or arg.brief):
    config.evaluation.evals.update(_more_evals(probe, pooled))
  config.columns = _columns(arg)
  return config


def _methods(text):
  """Of the argument `methods`."""
  known = {**STUDY, **ABLATIONS}
  groups = {'study': STUDY, 'ablations': ABLATIONS}
  names = [
    name for part in text.split('+') for name in groups.get(part, (part,))
  ]
  check_known('method', known, *names)
  return {name: known[name] for name in names}


def _more_evals(probe, pooled):
  """What is asked of features besides motions."""
  localization = eval_localization.get_config().evals.localization
  localization.encoders = ('trained',)
  localization.train.num_videos, localization.test.num_videos = 48, 24
  localization.head.num_steps = 300
  return {
    'retrieval': {
      'name': 'retrieval',
      **{key: pooled[key] for key in ('data', 'test', 'encoders', 'poolings')},
      'standardise': True,
      'num_pictures': 0,
    },
    'localization': localization,
    'robustness': {
      'name': 'robustness',
      **{key: probe[key] for key in ('data', 'train', 'test')},
      'corruptions': ('occlusion', 'noise', 'frame_drop'),
      'severities': (1, 3, 5),
    },
  }


def _columns(arg):
  """Figures of the table and their headings; shares are shown in per cent."""
  columns = {
    'linear_probe/trained/mean_std_8/top1': 'probe: mean and std',
    'linear_probe/trained/change_2/top1': 'probe: change',
    'same_mask/model/psnr_hidden': 'PSNR, dB',
    'same_mask/model/ssim_hidden': 'SSIM',
    'same_mask/model/perceptual_frame': 'perceptual distance',
    'same_mask/model/difference_error_hidden': 'error of the change',
    'same_mask/model/warped_error_hidden': 'error along the flow',
    'own_mask/model/psnr_hidden': 'PSNR, own mask, dB',
    'own_mask/model/psnr_hidden_frames': 'PSNR, hidden frames, dB',
    'own_mask/model/difference_error_hidden_frames': (
      'error of the change, hidden frames'
    ),
    'knn/trained/mean_std_8/top1': 'kNN',
    'retrieval/trained/mean_std_8/map': 'retrieval, mAP',
    'localization/trained/mean_map': 'localization, mAP',
    'robustness/clean/top1': 'probe, clean',
    'robustness/top1/occlusion/mean': 'probe, occluded',
  }
  if arg.brief:
    columns = {name: columns[name] for name in _BRIEF}
  if not arg.judge:
    del columns['same_mask/model/perceptual_frame']
  return tuple(columns.items())
