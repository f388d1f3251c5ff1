"""Starts a network from the parameters of another, as fine-tuning does.

`--config.checkpoint.init_from=PATH` takes a run, a checkpoint, an exported or
released RVM file, or a PyTorch file of the VideoMAE family. What both networks
have under the same name is taken, wherever the encoder sits: at the top, as
pre-training has it, or as the `backbone` of a classifier.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import flax.traverse_util
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from absl import logging

from rvmae_jax import config_utils, weights
from rvmae_jax.interop import (
  hugging_face,
  hugging_face_model,
  hugging_face_settings,
  state_dict,
)
from rvmae_jax.layers.transformer import stack_blocks, unstack_blocks
from rvmae_jax.models import build_model
from rvmae_jax.training import sharding
from rvmae_jax.training.checkpointing import check_same_arrays, load_params
from rvmae_jax.training.state import TrainState

# Names of nested parameters, joined by slashes.
Flat = dict[str, Any]


def start_from(
  path: str, state: TrainState, shardings: Any, model: nn.Module | None = None
) -> TrainState:
  """A fresh state with the parameters of another run or of a weights file.

  Args:
    path: a workdir, a checkpoint or a file, as above.
    state: the fresh state; parts that the weights do not have stay as they are.
    shardings: of `state`.
    model: the network of `state`; if given, the settings that cannot be read
      off the arrays have to match, too.

  Raises:
    ValueError: the encoders differ; the arrays or settings that do not fit are
      named.
  """
  shapes = jax.eval_shape(unstack_blocks, state.params)
  loaded, made_with = load_params(
    weights.find_file(path) or path,
    load_file=lambda path: read_file(path, shapes),
  )
  if model is not None:
    if isinstance(made_with, ml_collections.ConfigDict):
      made_with = unseen_fields(build_model(made_with.model))
    check_unseen(made_with, model, path)
  found = match(unstack_blocks(loaded), shapes, path)
  logging.info('Parameters from %s: %s', path, found)

  taken = flax.traverse_util.unflatten_dict(found.taken, sep='/')
  if jax.tree.structure(shapes) != jax.tree.structure(state.params):
    taken = stack_blocks(taken)  # config.model.scan_layers
  fresh, places = _flatten(state.params), _flatten(shardings.params)
  # Files may hold 16 bits, in which small updates of large weights are lost.
  taken = {
    name: np.asarray(leaf, fresh[name].dtype)
    for name, leaf in _flatten(taken).items()
  }
  # Fresh arrays are on their devices already.
  params = fresh | sharding.put_same(
    taken, {name: places[name] for name in taken}
  )
  params = flax.traverse_util.unflatten_dict(params, sep='/')
  is_averaging = state.ema_params is not None
  return state.replace(
    params=params,
    ema_params=jax.tree.map(jnp.copy, params) if is_averaging else None,
  )


def read_file(
  path: str, shapes: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
  """Parameters of a weights file, as far as it has what `shapes` asks for.

  Args:
    path: .npz or .safetensors of RVM; .safetensors, .bin or .pth of others.
    shapes: of the network to start, unrolled layers.

  Returns:
    The parameters, and `unseen_fields` of their network as far as they are
    known.

  Raises:
    ValueError: nobody knows the names in the file, or a setting beside it.
  """
  arrays = weights.read_arrays(path)
  weights.require_network(path, arrays)
  if weights.is_released_rvm(arrays):
    params, config = weights.read_params(path)
    return params, unseen_fields(build_model(config.model))
  origin, arrays = hugging_face.find_origin(arrays)
  params, report = state_dict.from_state_dict(arrays, shapes, origin)
  logging.info('%s', report)
  note = weights.read_metadata(path).get('config')
  if note:
    model = build_model(config_utils.from_json(note).model)
    return params, unseen_fields(model)
  settings = hugging_face_settings.read_config(path, origin.model_types)
  fields = {
    **origin.fields,
    **hugging_face_model.unseen_fields(settings),
    **hugging_face_settings.read_pixel_fields(path),
  }
  return params, {f: fields[f] for f in _UNSEEN if f in fields}


# Settings that change an encoder's outputs but cannot be read off its arrays.
_UNSEEN = (
  *('encoder_heads', 'activation', 'pixel_mean', 'pixel_std'),
  *('position', 'position_base'),
)


def unseen_fields(model: nn.Module) -> dict[str, Any]:
  """Fields of a network that cannot be read off its encoder's arrays."""
  network = getattr(model, 'backbone', model)
  fields = {
    field: getattr(network, field)
    for field in _UNSEEN
    if hasattr(network, field)
  }
  return {
    field: tuple(value) if isinstance(value, list | tuple) else value
    for field, value in fields.items()
  }


def check_unseen(
  made_with: Mapping[str, Any], model: nn.Module, origin: str
) -> None:
  """Checks settings that cannot be read off the arrays.

  Args:
    made_with: `unseen_fields` of the network that the weights come from, as far
      as they are known.
    model: the network to start.
    origin: where the weights come from, for the message.

  Raises:
    ValueError: fields differ; they are named.
  """
  wanted = unseen_fields(model)
  wrong = [
    f'{field}={value!r}, config.model has {wanted[field]!r}'
    for field, value in made_with.items()
    if field in wanted
    and value != wanted[field]
    # Learned tables are compared as arrays. ViTMAE's files hold fixed position
    # tables as arrays, too.
    and 'learned' not in (value, wanted[field])
  ]
  if wrong:
    raise ValueError(
      f'{origin} was made with {"; ".join(wrong)}. Set config.model to the '
      'same: with other settings the weights mean something else.'
    )


@dataclasses.dataclass(frozen=True)
class Match:
  """What one network has of another's parameters.

  Attributes:
    taken: arrays by the name that they get.
    fresh: parts that only the new network has, or a head of another size.
    left_out: parts that it has no use for.
  """

  taken: Flat
  fresh: list[str]
  left_out: list[str]

  def __str__(self) -> str:
    return (
      f'{len(self.taken)} arrays taken; '
      f'fresh: {", ".join(self.fresh) or "nothing"}; '
      f'left out: {", ".join(self.left_out) or "nothing"}.'
    )


def match(
  loaded: Mapping[str, Any], wanted: Mapping[str, Any], origin: str
) -> Match:
  """Finds the parts that two networks share; a part is taken whole or not.

  Args:
    loaded: nested parameters that are there, unrolled layers.
    wanted: those of the network to start, or their shapes.
    origin: where `loaded` comes from, for messages.

  Raises:
    ValueError: they share no encoder, or a part of both has other arrays. Heads
      of a classifier may differ: another number of classes starts afresh.
  """
  if 'backbone' in wanted and 'backbone' not in loaded:
    loaded = {'backbone': loaded}
  elif 'backbone' in loaded and 'backbone' not in wanted:
    loaded = loaded['backbone']
  has_head = 'backbone' in wanted
  loaded, wanted = _by_part(loaded), _by_part(wanted)

  taken = {}
  for part in sorted(loaded.keys() & wanted.keys()):
    is_head = has_head and not part.startswith('backbone/')
    if not is_head or _shapes(loaded[part]) == _shapes(wanted[part]):
      taken[part] = loaded[part]
  remedy = (
    'config.checkpoint.init_from needs weights of the same encoder: compare '
    'config.model with what made them.'
  )
  check_same_arrays(
    _join(taken), _join({p: wanted[p] for p in taken}), origin, remedy=remedy
  )
  if not any('encoder' in part.split('/') for part in taken):
    raise ValueError(
      f'{origin} has no encoder that fits; it has {sorted(loaded)}. {remedy}'
    )
  return Match(
    _join(taken), sorted(wanted.keys() - taken), sorted(loaded.keys() - taken)
  )


def _by_part(params: Mapping[str, Any]) -> dict[str, Flat]:
  """Arrays of each part: `backbone/encoder/blocks` and `head`.

  Without a backbone all is one: `encoder/blocks`, `cls_token`.
  """
  parts = {}
  for name, leaf in _flatten(params).items():
    depth = 2
    if 'backbone' in params:
      depth = 3 if name.startswith('backbone/') else 1
    part = '/'.join(name.split('/')[:depth])
    parts.setdefault(part, {})[name] = leaf
  return parts


def _join(parts: Mapping[str, Flat]) -> Flat:
  return {name: leaf for part in parts.values() for name, leaf in part.items()}


def _shapes(flat: Flat) -> dict[str, tuple[int, ...]]:
  return {name: tuple(leaf.shape) for name, leaf in flat.items()}


def _flatten(params: Mapping[str, Any]) -> Flat:
  return flax.traverse_util.flatten_dict(params, sep='/')
