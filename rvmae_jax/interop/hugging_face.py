"""Hugging Face's VideoMAE, ViT(MAE) and TimeSformer: names of their arrays."""

from collections.abc import Mapping
from typing import Any

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
    The origin, and the arrays under its names. Arrays that `AutoModel` saved
    without a head are renamed as they are called in networks with one.

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
      f'These arrays match no known program: of {len(arrays)} (first '
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
  instead = (
    'Share the folder of the run instead, which rvmae_jax.weights.load_model '
    'reads too, or an artifact.'
  )
  names = [model[key] for key in ('name', 'backbone') if key in model]
  if 'videomae' not in names:
    raise ValueError(
      f'A network of {" on ".join(names)} has no layout that other programs '
      f'know. {instead}'
    )
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
  if kind not in kinds:
    raise ValueError(
      'A videomae with (space_time, num_prefix_tokens, tubelet_size, '
      f'position)={kind} has no layout that other programs know; these have: '
      f'{list(kinds)}. {instead}'
    )
  key = kinds[kind]
  if original:
    key = _ORIGINALS[key]['num_classes' in model]
  origin = ORIGINS[key]
  for field in ('key_bias', 'embedding_bias'):
    if model.get(field) and not origin.fields.get(field):
      raise ValueError(
        f'{origin.name} has no place for the biases of {field}=True, and would '
        f'compute something else without them. {instead}'
      )
  return origin
