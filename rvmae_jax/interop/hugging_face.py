"""Hugging Face's VideoMAE, ViT(MAE) and TimeSformer: names and configs."""

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

from rvmae_jax.interop.hugging_face_settings import ACTIVATIONS
from rvmae_jax.interop.original_code import (
  ORIGINALS,
  TIMESFORMER_FIELDS,
  VIT_MAE_FIELDS,
)
from rvmae_jax.interop.state_dict import Origin

_NORMS = {
  'attention_norm': 'layernorm_before',
  'mlp_norm': 'layernorm_after',
}
_DENSE = {
  'attention/out': 'attention.output.dense',
  'mlp/dense_in': 'intermediate.dense',
  'mlp/dense_out': 'output.dense',
}
_PROJECTIONS = tuple(
  f'attention.attention.{role}' for role in ('query', 'key', 'value')
)


def _videomae(name: str, query_bias: str, value_bias: str) -> Origin:
  return Origin(
    name=name,
    model_types=('videomae',),
    modules={
      'patch_embedding/projection': (
        'videomae.embeddings.patch_embeddings.projection'
      ),
      'encoder/norm': 'videomae.layernorm',
      'decoder/embedding': 'encoder_to_decoder',
      'decoder/blocks/norm': 'decoder.norm',
      'decoder/output': 'decoder.head',
      'norm': 'fc_norm',
      'head': 'classifier',
    },
    arrays={'decoder/mask_token': 'mask_token'},
    stacks={
      'encoder/blocks': 'videomae.encoder.layer.{}',
      'decoder/blocks/blocks': 'decoder.decoder_layers.{}',
    },
    block={**_NORMS, **_DENSE, 'attention/qkv': _PROJECTIONS},
    qv_bias=tuple(
      f'attention.attention.{bias}' for bias in (query_bias, value_bias)
    ),
    tubelet_size=2,
    # What their class has there, whatever config.json says.
    fields={'decoder_norm_eps': 1e-5},
  )


def _vit_mae(
  name: str, encoder: str, decoder: str, block: Mapping[str, Any]
) -> Origin:
  return Origin(
    name=name,
    model_types=('vit_mae', 'vit'),
    left_out=('vit.pooler.dense.weight', 'vit.pooler.dense.bias'),
    modules={
      'patch_embedding/projection': (
        'vit.embeddings.patch_embeddings.projection'
      ),
      'encoder/norm': 'vit.layernorm',
      'decoder/embedding': 'decoder.decoder_embed',
      'decoder/blocks/norm': 'decoder.decoder_norm',
      'decoder/output': 'decoder.decoder_pred',
      'head': 'classifier',
    },
    arrays={
      'cls_token': 'vit.embeddings.cls_token',
      'positions/places': 'vit.embeddings.position_embeddings',
      'decoder/mask_token': 'decoder.mask_token',
      'decoder/positions/places': 'decoder.decoder_pos_embed',
    },
    stacks={'encoder/blocks': encoder, 'decoder/blocks/blocks': decoder},
    block={**_NORMS, **block},
    fields=VIT_MAE_FIELDS,
  )


# Of two spellings the one of published files comes first; transformers 5 reads
# it too. The newer ones are those of its state dicts. Its own files of ViTMAE
# spell the decoder in a third way, which it reads back as `decoder_layers`.
ORIGINS = {
  'videomae': _videomae('Hugging Face VideoMAE', 'q_bias', 'v_bias'),
  'videomae_v5': _videomae(
    'Hugging Face VideoMAE (transformers 5)', 'query.bias', 'value.bias'
  ),
  'vit_mae': _vit_mae(
    'Hugging Face ViTMAE',
    'vit.encoder.layer.{}',
    'decoder.decoder_layers.{}',
    {**_DENSE, 'attention/qkv': _PROJECTIONS},
  ),
  'vit_mae_v5': _vit_mae(
    'Hugging Face ViTMAE (transformers 5)',
    'vit.layers.{}',
    'decoder.decoder_layers.{}',
    {
      'attention/qkv': tuple(f'attention.{role}_proj' for role in 'qkv'),
      'attention/out': 'attention.o_proj',
      'mlp/dense_in': 'mlp.fc1',
      'mlp/dense_out': 'mlp.fc2',
    },
  ),
  'vit_mae_v5_file': _vit_mae(
    'Hugging Face ViTMAE (file of transformers 5)',
    'vit.encoder.layer.{}',
    'decoder.decoder_encoder.layer.{}',
    {**_DENSE, 'attention/qkv': _PROJECTIONS},
  ),
  'timesformer': Origin(
    name='Hugging Face TimeSformer',
    model_types=('timesformer',),
    modules={
      'patch_embedding/projection': (
        'timesformer.embeddings.patch_embeddings.projection'
      ),
      'encoder/norm': 'timesformer.layernorm',
      'head': 'classifier',
    },
    arrays={
      'cls_token': 'timesformer.embeddings.cls_token',
      'positions/places': 'timesformer.embeddings.position_embeddings',
      'positions/times': 'timesformer.embeddings.time_embeddings',
    },
    stacks={'encoder/blocks': 'timesformer.encoder.layer.{}'},
    block={
      **_NORMS,
      **_DENSE,
      'attention/qkv': 'attention.attention.qkv',
      'temporal_norm': 'temporal_layernorm',
      'temporal_attention/qkv': 'temporal_attention.attention.qkv',
      'temporal_attention/out': 'temporal_attention.output.dense',
      'temporal_projection': 'temporal_dense',
    },
    fields=TIMESFORMER_FIELDS,
  ),
  **ORIGINALS,
}


# What networks with a head put before the names of the network without.
_BASES = ('videomae.', 'vit.', 'timesformer.')


def find_origin(
  arrays: Mapping[str, Any],
) -> tuple[Origin, dict[str, Any]]:
  """The origin that knows most of the names of a file.

  Args:
    arrays: their name -> anything.

  Returns:
    The origin, and the arrays under its names: a network without a head, as
    `AutoModel` saves it, gets the names that it has in those with one.

  Raises:
    ValueError: none knows enough of them.
  """
  bases = _BASES if any(n.startswith('embeddings.') for n in arrays) else ('',)
  count = {
    (key, base): sum(origin.knows(base + name) for name in arrays)
    for key, origin in ORIGINS.items()
    for base in bases
  }
  key, base = max(count, key=count.get)
  known = count[key, base]
  if known <= len(arrays) / 2:
    raise ValueError(
      f'These are arrays of no known program: of {len(arrays)} (first '
      f'{sorted(arrays)[:3]}) at most {known} have names that one uses. Known: '
      f'{", ".join(ORIGINS)}.'
    )
  return ORIGINS[key], {base + name: array for name, array in arrays.items()}


# Hugging Face's origin -> that of the paper's code, with and without a head.
_ORIGINALS = {
  'videomae': ('videomae_original', 'videomae_original_classifier'),
  'vit_mae': ('mae_original', 'mae_original'),
  'timesformer': ('timesformer_original', 'timesformer_original'),
}


def origin_of(model: Mapping[str, Any], original: bool = False) -> Origin:
  """The origin whose network a config of ours describes.

  Args:
    model: `config.model`.
    original: the paper's code instead of Hugging Face.

  Raises:
    ValueError: nobody has such a network.
  """
  kinds = {
    # space_time, prefix tokens, frames of a token, position
    ('joint', 0, 2, 'sincos_1d'): 'videomae',
    ('per_frame', 1, 1, 'sincos_2d'): 'vit_mae',
    ('per_frame', 1, 1, 'learned'): 'vit_mae',
    ('divided', 1, 1, 'learned'): 'timesformer',
    ('joint', 1, 1, 'learned'): 'timesformer',
  }
  position, base = model.get('position', 'sincos_1d'), 1e4
  if position == 'sincos_2d' and model.get('position_base', base) != base:
    position += f' of base {model["position_base"]}'
  kind = (
    model.get('space_time', 'joint'),
    model.get('num_prefix_tokens', 0),
    model.get('tubelet_size', 1),
    position,
  )
  is_family = 'videomae' in (model['name'], model.get('backbone'))
  if not is_family or kind not in kinds:
    raise ValueError(
      f'A {model["name"]!r} with (space_time, num_prefix_tokens, tubelet_size, '
      f'position)={kind} has no layout that other programs know; of videomae '
      f'these have: {list(kinds)}.'
    )
  key = kinds[kind]
  if original:
    key = _ORIGINALS[key]['num_classes' in model]
  return ORIGINS[key]


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
    ValueError: no network here is like it; the arrays do not tell all, and
      there is no config; or the config tells otherwise than the arrays.
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
      f'{origin.name}: without fc_norm, it tells the class from the first '
      'patch alone (use_mean_pooling=False), which no classifier here does. '
      f'Leave {head} out of the file to take its encoder.'
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
  """Fields that no array tells, of what `model_config` takes as a config."""
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
ATTENTION_TYPES = {
  'divided': 'divided_space_time',
  'joint': 'joint_space_time',
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
      f'No array tells how many heads a network of width {width} has, and no '
      f'published one is as wide (they are {", ".join(map(str, published))}). '
      'Put a config.json with num_attention_heads beside the file, and '
      'decoder_num_attention_heads if it has a decoder.'
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
