"""What lies beside Hugging Face's weights: config.json and that of pixels.

Whatever in them changes what a network computes is read, or refused by name.
Dropout, initial values and the like only matter to a training of theirs.
"""

import math
import pathlib
from collections.abc import Mapping
from typing import Any

from rvmae_jax import files

CONFIG = 'config.json'
# Files that say how pixels are preprocessed, and the section that does, if any.
PREPROCESSORS = (
  ('preprocessor_config.json', ''),
  ('video_preprocessor_config.json', ''),
  ('processor_config.json', 'image_processor'),
  ('processor_config.json', 'video_processor'),
)
# All that tell how a network in their folder works.
FILES = (CONFIG, *dict(PREPROCESSORS))

_VIT = {
  'num_attention_heads': 12,
  'hidden_act': 'gelu',
  'layer_norm_eps': 1e-12,
}
# model_type -> what transformers takes where a config.json leaves it out.
_DEFAULTS = {
  'videomae': _VIT | {'decoder_num_attention_heads': 6, 'norm_pix_loss': True},
  'vit_mae': _VIT
  | {
    'decoder_num_attention_heads': 16,
    'norm_pix_loss': False,
    'mask_ratio': 0.75,
  },
  'vit': _VIT,
  'timesformer': _VIT | {'layer_norm_eps': 1e-6},
}
# Their name of an activation -> ours, see `layers.transformer.ACTIVATIONS`.
ACTIVATIONS = {
  'gelu': 'gelu',
  'gelu_python': 'gelu',
  'gelu_pytorch_tanh': 'gelu_tanh',
  'gelu_python_tanh': 'gelu_tanh',
  'gelu_new': 'gelu_tanh',
  'gelu_fast': 'gelu_tanh',
  'gelu_accurate': 'gelu_tanh',
  'quick_gelu': 'quick_gelu',
  'relu': 'relu',
  'silu': 'silu',
  'swish': 'silu',
}
# Our `space_time` -> TimeSformer's attention_type.
ATTENTION_TYPES = {
  'divided': 'divided_space_time',
  'joint': 'joint_space_time',
}
# The only values of settings that networks here have.
_ONLY = {
  'hidden_act': tuple(ACTIVATIONS),
  'qkv_bias': (True,),
  'problem_type': (None, 'single_label_classification'),
  'quantization_config': (None,),
}


def read_config(
  weights: str | pathlib.Path, model_types: tuple[str, ...]
) -> dict[str, Any]:
  """The config.json beside a file of weights, with transformers' defaults.

  Args:
    weights: the file.
    model_types: that the names in the file allow; the first is meant where
      none is given.

  Returns:
    Empty without a config.json, or with that of a run of ours.

  Raises:
    ValueError: it is not valid JSON, belongs to another network, or has a
      setting that networks here do not have.
  """
  path = pathlib.Path(weights).with_name(CONFIG)
  config = _read(path)
  if not config or isinstance(config.get('model'), Mapping):
    return {}
  kind = config.get('model_type', model_types[0])
  if kind not in model_types:
    raise ValueError(
      f'{path} is of model_type={kind!r}; the arrays of {weights} are those of '
      f'{" or ".join(model_types)}. Put the config.json that belongs to '
      'these weights beside them.'
    )
  config = {'model_type': kind, **_DEFAULTS[kind], **config}
  for key, known in _ONLY.items():
    if key in config and config[key] not in known:
      raise ValueError(
        f'{path} says {key}={config[key]!r}, which networks here do not have; '
        f'known: {", ".join(map(repr, known))}.'
      )
  return config


def read_pixel_fields(weights: str | pathlib.Path) -> dict[str, Any]:
  """`pixel_mean` and `pixel_std` by the preprocessor beside; {} without one.

  Sizes and crops are not taken: `config.data` says those.

  Raises:
    ValueError: it is not valid JSON, or makes pixels ready in another way.
  """
  for name, section in PREPROCESSORS:
    path = pathlib.Path(weights).with_name(name)
    settings = _read(path)
    if section:
      settings = settings.get(section) or {}
      if not isinstance(settings, Mapping):
        raise ValueError(f'{path} says {section}={settings!r}, no object.')
    if settings:
      return _pixel_fields(settings, path)
  return {}


def _pixel_fields(settings: Mapping[str, Any], path: Any) -> dict[str, Any]:
  # Of pixels from 0 to 255, which ours divide by 255 before all else.
  rescale = 1.0
  if settings.get('do_rescale', True):
    rescale = settings.get('rescale_factor', 1 / 255)
  mean, std = 0.0, 1.0
  if settings.get('do_normalize', True):
    mean, std = settings.get('image_mean'), settings.get('image_std')
  mean, std = (
    (value,) * 3 if _is_number(value) else value for value in (mean, std)
  )
  is_known = all(
    isinstance(values, list | tuple)
    and len(values) == 3
    and all(map(_is_number, values))
    for values in (mean, std)
  )
  is_known = is_known and _is_number(rescale)
  if not is_known or not rescale > 0 or not min(std) > 0:
    raise ValueError(
      f'{path} says image_mean={mean!r}, image_std={std!r} and rescale_factor='
      f'{rescale!r}; three means and three positive deviations are needed, or '
      'do_normalize=false.'
    )
  for key in ('do_flip_channel_order', 'offset'):
    if settings.get(key):
      raise ValueError(f'{path} says {key}=true, which no network here has.')
  scale = 255 * rescale
  if abs(scale - 1) < 1e-6:  # 1 / 255 has been rounded.
    scale = 1.0
  return {
    'pixel_mean': tuple(value / scale for value in mean),
    'pixel_std': tuple(value / scale for value in std),
  }


def _is_number(value: Any) -> bool:
  return isinstance(value, int | float) and math.isfinite(value)


def _read(path: pathlib.Path) -> dict[str, Any]:
  """A JSON object; {} where there is no file."""
  return files.read_json(path) if path.exists() else {}
