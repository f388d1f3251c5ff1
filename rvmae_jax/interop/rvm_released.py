"""Released RVM checkpoints: their array names and layout, in and out.

The released files store every projection by itself and time as a leading axis
of the patch kernel. Ours fuse the projections that share an input (query, key
and value; the two gates; the keys and values of a stack's blocks), so most
released arrays are a slice of one of ours. Nothing is computed: going there and
back gives the same bits.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import flax.traverse_util
import numpy as np

from rvmae_jax.interop import array_map
from rvmae_jax.layers.transformer import unstack_blocks

_ALL = slice(None)


def _norm(ours: str, released: str, bias: bool = True) -> Iterator:
  for leaf in ('scale', 'bias') if bias else ('scale',):
    yield f'{released}/{leaf}', (f'{ours}/{leaf}', ())


def _dense(ours: str, released: str, bias: bool = True) -> Iterator:
  for leaf in ('kernel', 'bias') if bias else ('kernel',):
    yield f'{released}/{leaf}', (f'{ours}/{leaf}', ())


def _self_attention(ours: str, released: str) -> Iterator:
  for i, role in enumerate(('query', 'key', 'value')):
    # kernel [D, 3, heads, d], bias [3, heads, d]
    yield f'{released}/{role}/kernel', (f'{ours}/qkv/kernel', (_ALL, i))
    yield f'{released}/{role}/bias', (f'{ours}/qkv/bias', (i,))
  yield from _dense(f'{ours}/out', f'{released}/out')


def _mlp(ours: str, released: str) -> Iterator:
  for layer in ('dense_in', 'dense_out'):
    yield from _dense(f'{ours}/{layer}', f'{released}/{layer}')


def _cross_encoder(ours: str, released: str, num_blocks: int) -> Iterator:
  for i in range(num_blocks):
    block, name = f'{ours}/blocks/block_{i:02d}', f'{released}/xa_blocks_{i}'
    yield from _norm(
      f'{block}/cross_attention_norm', f'{name}/ca_attention_norm'
    )
    for leaf in ('query', 'out'):
      yield from _dense(
        f'{block}/cross_attention/{leaf}', f'{name}/ca_attention/{leaf}'
      )
    for j, role in enumerate(('key', 'value')):
      # kernel [C, blocks, 2, heads, d], bias [blocks, 2, heads, d]
      keys_values, there = f'{ours}/keys_values', f'{name}/ca_attention/{role}'
      yield f'{there}/kernel', (f'{keys_values}/kernel', (_ALL, i, j))
      yield f'{there}/bias', (f'{keys_values}/bias', (i, j))
    yield from _norm(f'{block}/mlp_norm', f'{name}/mlp_norm')
    yield from _mlp(f'{block}/mlp', f'{name}/mlp')
    yield from _norm(f'{block}/attention_norm', f'{name}/attention_norm')
    yield from _self_attention(f'{block}/attention', f'{name}/attention')
  yield from _norm(f'{ours}/norm', f'{released}/output_norm')


def name_map(
  encoder_blocks: int, core_blocks: int, decoder_blocks: int
) -> dict[str, tuple[str, tuple]]:
  """Released name -> (our name, index into our array), for given depths."""

  def pairs():
    yield 'cls_token', ('cls_token/token', ())
    yield 'mask_token', ('mask_token/token', ())
    yield from _dense(
      'patch_embedding/projection', 'tokenizer/patch_embedding/Conv_0'
    )
    for i in range(encoder_blocks):
      block, name = f'encoder/blocks/block_{i:02d}', f'encoder/layers_{i}'
      yield from _norm(f'{block}/attention_norm', f'{name}/attention_norm')
      yield from _self_attention(f'{block}/attention', f'{name}/attention')
      yield from _norm(f'{block}/mlp_norm', f'{name}/mlp_norm')
      yield from _mlp(f'{block}/mlp', f'{name}/mlp')
    yield from _norm('encoder/norm', 'encoder/LayerNorm_0')
    for i, gate in enumerate(('update', 'reset')):
      for half in ('input', 'state'):
        # kernel [D, 2, D]
        yield (
          f'rnn_core/{half}_{gate}/kernel',
          (f'core/{half}_gates/kernel', (_ALL, i)),
        )
    yield from _norm('core/state_norm', 'rnn_core/state_layer_norm', bias=False)
    yield from _cross_encoder(
      'core/transformer', 'rnn_core/transformer', core_blocks
    )
    yield from _dense('decoder_embedding', 'decoder_embedder')
    yield from _dense('delta_embedding', 'delta_embedder')
    yield from _cross_encoder('decoder', 'decoder', decoder_blocks)
    yield from _dense('output', 'detokenizer/Dense_0')

  return dict(pairs())


# Arrays that features need; the rest only rebuilds pixels.
_DECODER_PREFIXES = (
  'decoder/',
  'decoder_embedder/',
  'delta_embedder/',
  'detokenizer/',
  'mask_token',
)


def model_fields(arrays: Mapping[str, Any]) -> dict[str, int]:
  """The fields of `models.rvm.RVM` that a released file was made with.

  Args:
    arrays: released name -> anything with a `shape`. A file of encoder and core
      only tells nothing of the decoder, whose fields are then left out.

  Raises:
    ValueError: an array that every RVM has is missing; it is named.
  """

  def shape(name: str) -> tuple[int, ...]:
    if name not in arrays:
      raise ValueError(
        f'No array {name!r}: this is not a released RVM checkpoint (it has '
        f'{len(arrays)} arrays, first {sorted(arrays)[:3]}).'
      )
    return tuple(arrays[name].shape)

  def stack(prefix: str, block: str, attention: str, role: str) -> dict:
    first = f'{prefix}/{block}_0'
    return {
      f'{role}_blocks': _count_blocks(arrays, f'{prefix}/{block}_'),
      f'{role}_heads': shape(f'{first}/{attention}/query/kernel')[1],
      f'{role}_mlp_dim': shape(f'{first}/mlp/dense_in/kernel')[1],
    }

  patch_kernel = shape('tokenizer/patch_embedding/Conv_0/kernel')
  fields = {
    'width': shape('cls_token')[-1],
    'patch_size': patch_kernel[1],
    **stack('encoder', 'layers', 'attention', 'encoder'),
    **stack('rnn_core/transformer', 'xa_blocks', 'attention', 'core'),
  }
  if 'mask_token' in arrays:
    fields |= {
      'decoder_width': shape('mask_token')[-1],
      'max_delta': shape('delta_embedder/kernel')[0],
      **stack('decoder', 'xa_blocks', 'attention', 'decoder'),
    }
  return fields


# What changes a network's outputs but none of its arrays -> the released ones'.
_UNSEEN = {'position': 'flat', 'decoder_context': 'all'}


def unseen_differences(model: Mapping[str, Any], part: str = 'all') -> dict:
  """Settings that differ from released networks' and that no array shows.

  Args:
    model: `config.model` of an RVM.
    part: as of `to_released`; the encoder's has no decoder.

  Returns:
    field -> its value, where that is not the one of released networks.
  """
  return {
    field: model[field]
    for field, released in _UNSEEN.items()
    if model.get(field, released) != released
    and (part == 'all' or not field.startswith('decoder_'))
  }


def to_released(
  params: Mapping[str, Any], part: str = 'all'
) -> dict[str, np.ndarray]:
  """Our parameters under their released names and shapes.

  Args:
    params: nested parameters of an RVM, scanned or unrolled layers.
    part: 'all', or 'encoder' for the arrays that features need (tokenizer,
      encoder, core).

  Returns:
    Released name -> array, in the file's order (sorted).

  Raises:
    ValueError: the core is not the gated one that released networks have.
  """
  flat = _flatten(params)
  if 'core/input_gates/kernel' not in flat:
    kind = 'ungated' if 'core/state_norm/scale' in flat else 'attention'
    raise ValueError(
      f'A network of core_kind={kind!r} has no layout that other programs '
      "know: the released RVM has gates, core_kind='gated'. Share the folder "
      'of the run instead; `rvmae_jax.weights.load_model` reads that too.'
    )
  released = {}
  for name, (path, index) in sorted(_map_for(flat).items()):
    if part == 'encoder' and name.startswith(_DECODER_PREFIXES):
      continue
    array = np.asarray(flat[path])[index]
    released[name] = array.reshape(_released_shape(name, array.shape))
  return released


def from_released(
  arrays: Mapping[str, np.ndarray], template: Mapping[str, Any]
) -> dict[str, Any]:
  """Released arrays as our parameters.

  Args:
    arrays: released name -> array; all parts, or encoder and core only.
    template: our parameters' shapes (from `jax.eval_shape`), unrolled layers.
      Parts that neither have are left out.

  Returns:
    Nested parameters like `template`, unrolled; without the decoder where the
    file has none.

  Raises:
    ValueError: a missing, extra or wrongly shaped array, or one of no floats;
      the message names it.
  """
  shapes = {path: leaf.shape for path, leaf in _flatten(template).items()}
  mapping = _map_for(shapes)
  if 'mask_token' not in arrays:
    mapping = {
      name: place
      for name, place in mapping.items()
      if not name.startswith(_DECODER_PREFIXES)
    }
  flat = array_map.fill(
    arrays,
    mapping,
    shapes,
    what='Released checkpoint',
    their_shape=_released_shape,
  )
  return flax.traverse_util.unflatten_dict(flat, sep='/')


def _released_shape(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
  """Our shape as the file has it: the patch kernel is [1, p, p, 3, D] there."""
  if name != 'tokenizer/patch_embedding/Conv_0/kernel':
    return shape
  patch_size = round((shape[0] / 3) ** 0.5)
  return (1, patch_size, patch_size, 3, shape[1])


def _flatten(params: Mapping[str, Any]) -> dict[str, Any]:
  params = flax.traverse_util.unflatten_dict(
    flax.traverse_util.flatten_dict(params)
  )
  return flax.traverse_util.flatten_dict(unstack_blocks(params), sep='/')


def _map_for(flat: Mapping[str, Any]) -> dict[str, tuple[str, tuple]]:
  return name_map(
    *(
      _count_blocks(flat, f'{stack}/blocks/block_')
      for stack in ('encoder', 'core/transformer', 'decoder')
    )
  )


def _count_blocks(names: Mapping[str, Any], prefix: str) -> int:
  return len(
    {n[len(prefix) :].split('/')[0] for n in names if n.startswith(prefix)}
  )
