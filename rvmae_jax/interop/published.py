"""What published networks were trained for, where their files do not say.

A run of ours keeps its config; files of others bring arrays and at most sizes.
The clips, masks and losses below are those of the papers, so that such networks
can be evaluated like ours. `data.sources` is left out: only the user knows
where videos are.
"""

from collections.abc import Mapping
from typing import Any

_RVM = {
  'objective': {
    'name': 'masked_reconstruction',
    'patches': 'all',
    'normalize': 'none',
  },
  'clip': {
    'name': 'source_target',
    'num_source': 4,
    'num_target': 4,
    'gap': (4, 48),
  },
  'mask': {'name': 'target', 'ratio': 0.95},
  'size': (256, 256),
}
_VIDEOMAE = {
  'objective': {
    'name': 'masked_reconstruction',
    'patches': 'hidden',
    'normalize': 'channel',
  },
  'clip': {'name': 'uniform', 'num_frames': 16, 'stride': 4},
  'mask': {'name': 'tube', 'ratio': 0.9},
  'size': (224, 224),
}
_IMAGE_MAE = {
  'objective': {
    'name': 'masked_reconstruction',
    'patches': 'hidden',
    'normalize': 'patch',
    'pixel_mean': (0.485, 0.456, 0.406),
    'pixel_std': (0.229, 0.224, 0.225),
  },
  'clip': {'name': 'uniform', 'num_frames': 1},
  'mask': {'name': 'per_frame', 'ratio': 0.75},
  'size': (224, 224),
}
_TIMESFORMER = {
  'objective': {'name': 'supervised'},
  'clip': {'name': 'uniform', 'num_frames': 8, 'stride': 32},
  'mask': {},
  'size': (224, 224),
}

_FAMILY = {
  'joint': _VIDEOMAE,
  'per_frame': _IMAGE_MAE,
  'divided': _TIMESFORMER,
}


def run_config(
  model: Mapping[str, Any], sizes: Mapping[str, Any] | None = None
) -> dict[str, Any]:
  """A config of ours for a network of others.

  Args:
    model: `config.model` of a released RVM or of `hugging_face_model`.
    sizes: what `hugging_face_settings.read_config` gives: `image_size`,
      `num_frames`, `mask_ratio`, and `norm_pix_loss`, false where networks were
      taught pixels as they are; without a `config.json` the paper's hold.

  Returns:
    `model`, `objective`, `losses` and `data` without sources.
  """
  sizes = sizes or {}
  space_time = model.get('space_time', 'joint')
  if space_time == 'joint' and model.get('num_prefix_tokens'):
    space_time = 'divided'  # TimeSformer has the other kind as well.
  paper = _RVM if model['name'] == 'rvm' else _FAMILY[space_time]
  clip, size, mask = dict(paper['clip']), paper['size'], paper['mask']
  if model.get('position') == 'learned':
    grid = model['learned_grid']
    size = tuple(places * model['patch_size'] for places in grid[1:])
    if space_time == 'divided':
      clip['num_frames'] = grid[0] * model['tubelet_size']
  if 'image_size' in sizes:
    size = sizes['image_size']
    size = (size, size) if isinstance(size, int) else tuple(size)
  if 'num_frames' in sizes:
    clip['num_frames'] = sizes['num_frames']
  objective, losses = dict(paper['objective']), {'pixel_l2': 1.0}
  if 'normalize' in objective and not sizes.get('norm_pix_loss', True):
    objective['normalize'] = 'none'
  if 'pixel_mean' in objective and 'pixel_mean' in model:
    objective |= {key: model[key] for key in ('pixel_mean', 'pixel_std')}
  if mask and 'mask_ratio' in sizes:
    mask = {**mask, 'ratio': sizes['mask_ratio']}
  if 'num_classes' in model:
    objective, losses, mask = {'name': 'supervised'}, {'cross_entropy': 1.0}, {}
  return {
    'model': dict(model),
    'objective': objective,
    'losses': losses,
    'data': {'clip': clip, 'crop': {'size': size}, 'mask': dict(mask)},
  }
