"""Released readout heads: their array names, in and out.

Heads lie in files of their own or behind a network, under any prefix. Points
and boxes have their attention under `attention_readout/`, and the embedding of
what they follow beside it; depth maps and classes are the attention alone.
Nothing is computed: going there and back gives the same bits.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import flax.traverse_util
import jax
import numpy as np

from rvmae_jax.interop import array_map
from rvmae_jax.layers import readout

_ALL = slice(None)
# An array that no network has and every readout.
_SIGN = 'key_embedding/kernel'
_INNER = 'attention_readout/'
# The depth head that was released answers for tubelets of two frames.
_TUBELET = 2


def is_readout(arrays: Mapping[str, Any]) -> bool:
  """Whether there is a readout among arrays, by name."""
  return any(_is_sign(name) for name in arrays)


def find_readout(arrays: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
  """The arrays of the readout in a file.

  Returns:
    Their names without a prefix -> array, and the names of all other arrays.

  Raises:
    ValueError: there is none, or more than one.
  """
  signs = [name for name in arrays if _is_sign(name)]
  if len(signs) != 1:
    raise ValueError(
      f'Looked for one readout, whose arrays are named like {_SIGN!r}; found '
      f'{signs or "none"} among {len(arrays)} arrays, first '
      f'{sorted(arrays)[:3]}.'
    )
  prefix = signs[0].removesuffix(_SIGN).removesuffix(_INNER)
  found = {
    name.removeprefix(prefix): array
    for name, array in arrays.items()
    if name.startswith(prefix)
  }
  return found, [name for name in arrays if not name.startswith(prefix)]


def readout_fields(
  arrays: Mapping[str, Any],
  frames_shape: tuple[int, int, int] | None = None,
  patch_shape: tuple[int, int, int] | None = None,
) -> dict[str, Any]:
  """What `layers.readout.READOUTS.build` needs to build a released readout.

  Args:
    arrays: of `find_readout`; anything with a `shape`.
    frames_shape, patch_shape: of a depth map. They cannot be read off the
      arrays; by default both are square, and a patch spans two frames.

  Raises:
    ValueError: an array is missing, it is named; or the depth map that the
      queries are for is not square.
  """
  inner = _inner(arrays)
  first = _shape(arrays, f'{inner}{_SIGN}')
  outputs = _shape(arrays, f'{inner}Dense_{2 if inner else 1}/bias')[0]
  fields = {'width': first[1] * first[2], 'num_heads': first[1]}
  if not inner:
    num_queries = _shape(arrays, 'query')[0]
    if num_queries == 1:
      return {'name': 'classify', 'num_classes': outputs, **fields}
    slots = _shape(arrays, 'temporal_posenc/embeddings')[0]
    patch_shape = patch_shape or _patch_shape(outputs)
    frames_shape = frames_shape or _frames_shape(
      num_queries, slots, patch_shape
    )
    return {
      'name': 'depth',
      'frames_shape': tuple(frames_shape),
      'patch_shape': tuple(patch_shape),
      **fields,
    }
  embedding = _shape(arrays, 'query_initializer/layers_1/Dense_0/kernel')
  fields['query_width'] = embedding[1]
  if 'temporal_tile_posenc/embeddings' not in arrays:
    return {'name': 'boxes', 'num_frames': outputs // 4, **fields}
  copies = _shape(arrays, 'temporal_tile_posenc/embeddings')[0]
  return {
    'name': 'points',
    'num_frames': copies * (outputs // 4),
    'frames_per_query': outputs // 4,
    **fields,
  }


def from_released(
  arrays: Mapping[str, np.ndarray], fields: Mapping[str, Any]
) -> dict[str, Any]:
  """Released arrays as our parameters.

  Args:
    arrays: of `find_readout`.
    fields: of `readout_fields`.

  Returns:
    Nested parameters of the readout.

  Raises:
    ValueError: a missing, extra or wrongly shaped array; the message names it.
  """
  shapes = {
    path: leaf.shape for path, leaf in _flatten(template(arrays, fields))
  }
  flat = array_map.fill(
    arrays,
    dict(_name_pairs(shapes)),
    shapes,
    what=f'Released readout ({fields["name"]})',
  )
  return flax.traverse_util.unflatten_dict(flat, sep='/')


def to_released(params: Mapping[str, Any]) -> dict[str, np.ndarray]:
  """Our parameters of a readout under their released names, sorted."""
  flat = dict(_flatten(params))
  return {
    name: np.asarray(flat[path])[index]
    for name, (path, index) in sorted(_name_pairs(flat))
  }


def template(
  arrays: Mapping[str, Any], fields: Mapping[str, Any]
) -> dict[str, Any]:
  """Shapes of our parameters, for the features that arrays were made for."""
  position = _shape(arrays, f'{_inner(arrays)}temporal_posenc/embeddings')
  inputs = [jax.ShapeDtypeStruct((1, position[0], 1, position[-1]), np.float32)]
  if fields['name'] in ('points', 'boxes'):
    size = 3 if fields['name'] == 'points' else 4
    inputs.append(jax.ShapeDtypeStruct((1, 1, size), np.float32))
  module = readout.READOUTS.build(fields)
  return jax.eval_shape(module.init, jax.random.key(0), *inputs)['params']


def _name_pairs(flat: Mapping[str, Any]) -> Iterator:
  """(released name, (our path, index)) of the readout with these paths."""
  is_learned = 'readout/query' in flat
  inner = '' if is_learned else _INNER

  def both(ours, released, *leaves):
    return ((f'{released}/{leaf}', (f'{ours}/{leaf}', ())) for leaf in leaves)

  yield from both(
    'readout/features_norm', f'{inner}LayerNorm_0', 'scale', 'bias'
  )
  yield (
    f'{inner}temporal_posenc/embeddings',
    ('readout/temporal_position', ()),
  )
  for i, role in enumerate(('key', 'value')):
    # kernel [C, 2, heads, d], bias [2, heads, d]
    keys_values, there = 'readout/keys_values', f'{inner}{role}_embedding'
    yield f'{there}/kernel', (f'{keys_values}/kernel', (_ALL, i))
    yield f'{there}/bias', (f'{keys_values}/bias', (i,))
  dense = ['attention_out', 'output']
  if is_learned:
    yield 'query', ('readout/query', ())
  else:
    dense.insert(0, 'query_projection')
    for i, layer in enumerate(('dense_in', 'dense_out')):
      yield from both(
        f'query/{layer}',
        f'query_initializer/layers_1/Dense_{i}',
        *('kernel', 'bias'),
      )
  if 'copy_position' in flat:
    yield 'temporal_tile_posenc/embeddings', ('copy_position', ())
  for i, layer in enumerate(dense):
    yield from both(f'readout/{layer}', f'{inner}Dense_{i}', 'kernel', 'bias')
  yield from both('readout/mlp_norm', f'{inner}LayerNorm_1', 'scale', 'bias')
  for i, layer in enumerate(('dense_in', 'dense_out')):
    yield from both(
      f'readout/mlp/{layer}', f'{inner}MLP_0/Dense_{i}', 'kernel', 'bias'
    )


def _patch_shape(outputs: int) -> tuple[int, int, int]:
  side = round((outputs / _TUBELET) ** 0.5)
  if _TUBELET * side**2 != outputs:
    raise ValueError(
      f'A depth readout with {outputs} outputs for each query is not one of '
      f'square patches of {_TUBELET} frames; give patch_shape=(frames, height, '
      'width).'
    )
  return _TUBELET, side, side


def _frames_shape(
  num_queries: int, num_positions: int, patch_shape: tuple[int, int, int]
) -> tuple[int, int, int]:
  """The square map that queries tile, for tubelets as features or frames."""
  tubelet_size, height, width = patch_shape
  for slots in (num_positions, num_positions / tubelet_size):
    side = round((num_queries / slots) ** 0.5)
    if slots * side**2 == num_queries:
      return int(slots) * tubelet_size, side * height, side * width
  raise ValueError(
    f'{num_queries} queries for {num_positions} frames of features tile no '
    'square depth map; give frames_shape=(frames, height, width).'
  )


def _is_sign(name: str) -> bool:
  return f'/{name}'.endswith(f'/{_SIGN}')


def _inner(arrays: Mapping[str, Any]) -> str:
  return _INNER if f'{_INNER}{_SIGN}' in arrays else ''


def _shape(arrays: Mapping[str, Any], name: str) -> tuple[int, ...]:
  if name not in arrays:
    raise ValueError(
      f'No array {name!r}: this is not a released readout (it has '
      f'{len(arrays)} arrays, first {sorted(arrays)[:3]}).'
    )
  return tuple(arrays[name].shape)


def _flatten(params: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
  flat = flax.traverse_util.flatten_dict(params, sep='/')
  return iter(flat.items())
