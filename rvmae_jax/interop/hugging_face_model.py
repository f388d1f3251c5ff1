"""Our network for a file with names of `hugging_face.ORIGINS`."""

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

from rvmae_jax.interop.hugging_face_settings import (
  ACTIVATIONS,
  ATTENTION_TYPES,
)
from rvmae_jax.interop.state_dict import Origin


def model_config(
  arrays: Mapping[str, Any],
  origin: Origin,
  config: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
  """The config of our model that a file fits.

  Args:
    arrays: their name -> anything with a `shape`.
    origin: whose names they are.
    config: of `hugging_face_settings.read_config`. Without it networks are
      taken to be as the published ones of their width.

  Returns:
    For `models.build_model`: a `classifier` if the file has a head, else a
    `videomae`; without decoder fields if the file has no decoder.

  Raises:
    ValueError: no network here is like it; the arrays leave settings open, and
      there is no config; or the config contradicts the arrays.
  """
  config = config or {}

  def shape(path: str) -> tuple[int, ...]:
    name = origin.theirs(path)
    if name not in arrays:
      raise ValueError(
        f'{origin.name}: there is no {name}, which every such network has.'
      )
    return tuple(arrays[name].shape)

  def has(path: str) -> bool:
    return any(name in arrays for name, _ in origin.places(path))

  kernel = shape('patch_embedding/projection/kernel')
  if kernel[1] != 3 or kernel[-1] != kernel[-2]:
    raise ValueError(
      f'{origin.name}: its patches have {kernel[1]} colours and '
      f'{kernel[-2]}x{kernel[-1]} pixels; networks here take 3 colours and '
      'squares.'
    )
  fields = {
    **origin.fields,
    **_attention_fields(origin, has),
    **unseen_fields(config),
    'patch_size': kernel[-1],
    'tubelet_size': kernel[2] if len(kernel) == 5 else 1,
    'width': kernel[0],
    'encoder_norm': has('encoder/norm/scale'),
    **_stack_fields('encoder', origin, 'encoder/blocks', arrays),
  }
  if 'encoder_heads' not in fields:
    fields['encoder_heads'] = _num_heads(kernel[0], _HEADS)
  if fields.get('position') == 'learned':
    times = (0, 1)
    if 'positions/times' in origin.arrays:
      times = shape('positions/times')
    num_places = shape('positions/places')[1] - 1
    grid = _grid(num_places, fields['patch_size'], config.get('image_size'))
    fields['learned_grid'] = (times[1], *grid)
  if origin.arrays.get('decoder/mask_token') in arrays:
    width = shape('decoder/mask_token')[-1]
    published = _MAE_HEADS if 'embedding_bias' in origin.fields else _HEADS
    fields |= {
      'decoder_width': width,
      'decoder_heads': config.get('decoder_num_attention_heads')
      or _num_heads(width, published),
      **_stack_fields('decoder', origin, 'decoder/blocks/blocks', arrays),
    }
  _check_told(fields, config)
  head = origin.modules.get('head')
  if f'{head}.weight' not in arrays:
    return {'name': 'videomae', **fields}
  has_norm = f'{origin.modules.get("norm")}.weight' in arrays
  has_cls = 'num_prefix_tokens' in fields
  if not has_norm and not has_cls:
    raise ValueError(
      f'{origin.name}: without fc_norm, it classifies from the first patch '
      'alone (use_mean_pooling=False), which no classifier here does. Remove '
      f'{head} from the file to load the encoder alone.'
    )
  return {
    'name': 'classifier',
    'backbone': 'videomae',
    'num_classes': shape('head/kernel')[0],
    'pool': 'cls' if has_cls and not has_norm else 'mean',
    'norm': has_norm,
    **fields,
  }


def unseen_fields(config: Mapping[str, Any]) -> dict[str, Any]:
  """Fields of a config that cannot be read off the arrays."""
  fields = {}
  if config.get('num_attention_heads'):
    fields['encoder_heads'] = config['num_attention_heads']
  if 'hidden_act' in config:
    fields['activation'] = ACTIVATIONS[config['hidden_act']]
  if 'layer_norm_eps' in config:
    fields['norm_eps'] = float(config['layer_norm_eps'])
  return fields


def _attention_fields(
  origin: Origin, has: Callable[[str], bool]
) -> dict[str, Any]:
  """Of TimeSformer's three kinds of attention, the one of a file."""
  if origin.fields.get('space_time') != 'divided':
    return {}
  if not has('positions/times'):
    raise ValueError(
      f'{origin.name}: without {origin.theirs("positions/times")} it sees '
      'frames one by one (attention_type=space_only) and answers for each, '
      'which no network here does.'
    )
  is_divided = has('encoder/blocks/block_00/temporal_norm/scale')
  return {'space_time': 'divided' if is_divided else 'joint'}


# Our field -> config.json's, of what arrays tell as well.
_TOLD = {
  'width': 'hidden_size',
  'encoder_blocks': 'num_hidden_layers',
  'encoder_mlp_dim': 'intermediate_size',
  'patch_size': 'patch_size',
  'decoder_width': 'decoder_hidden_size',
  'decoder_blocks': 'decoder_num_hidden_layers',
  'decoder_mlp_dim': 'decoder_intermediate_size',
}


def _check_told(fields: Mapping[str, Any], config: Mapping[str, Any]) -> None:
  """ValueError where a config contradicts the arrays that it lies beside."""
  kind = config.get('model_type')
  told = {
    theirs: fields[ours] for ours, theirs in _TOLD.items() if ours in fields
  }
  told['num_channels'] = 3
  if kind == 'videomae':
    told['tubelet_size'] = fields['tubelet_size']
    told['use_mean_pooling'] = not fields['encoder_norm']
  if kind == 'timesformer':
    told['attention_type'] = ATTENTION_TYPES[fields['space_time']]
  wrong = []
  for key, value in told.items():
    stated = config.get(key, value)
    if key == 'patch_size' and stated == [value, value]:
      continue
    if stated != value:
      wrong.append(f'{key}={stated!r} (the arrays say {value!r})')
  if wrong:
    raise ValueError(
      f'config.json and the arrays beside it do not belong together: '
      f'{", ".join(wrong)}. Put the config.json there that came with them.'
    )


def _grid(num_places: int, patch_size: int, image_size: Any) -> tuple[int, int]:
  """Rows and columns of a table of places; square unless a config tells."""
  if image_size:
    if isinstance(image_size, int):
      image_size = (image_size, image_size)
    grid = tuple(pixels // patch_size for pixels in image_size)
  else:
    grid = (math.isqrt(num_places),) * 2
  if grid[0] * grid[1] != num_places:
    raise ValueError(
      f'{num_places} positions are not those of {grid[0]}x{grid[1]} patches. '
      'Put a config.json with the image_size, [height, width], beside the file.'
    )
  return grid


# Width -> heads, of published networks.
_HEADS = {
  192: 3,
  384: 6,
  512: 8,
  640: 8,
  768: 12,
  1024: 16,
  1280: 16,
  1408: 16,
}
_MAE_HEADS = {512: 16}


def _num_heads(width: int, published: Mapping[int, int]) -> int:
  if width not in published:
    raise ValueError(
      f'The arrays do not show how many heads a network of width {width} has, '
      'and no published network has this width (published: '
      f'{", ".join(map(str, published))}). Put a config.json with '
      'num_attention_heads beside the file, and decoder_num_attention_heads if '
      'it has a decoder.'
    )
  return published[width]


def _stack_fields(
  part: str, origin: Origin, stack: str, arrays: Mapping[str, Any]
) -> dict[str, int]:
  """Number of blocks and hidden width of their MLP."""

  def dense_in(i: int) -> str:
    return origin.theirs(f'{stack}/block_{i:02d}/mlp/dense_in/kernel')

  num_blocks = next(i for i in itertools.count() if dense_in(i) not in arrays)
  if not num_blocks:
    raise ValueError(
      f'{origin.name}: there is no {dense_in(0)}, which every such network has.'
    )
  return {
    f'{part}_blocks': num_blocks,
    f'{part}_mlp_dim': arrays[dense_in(0)].shape[0],
  }
