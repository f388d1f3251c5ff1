"""Networks by name. Each takes its config's fields and answers to one contract.

`model(batch, train=...)` gives a dict with `pred` and `features`;
`model.encode(video)` gives features [B, t, prefix + h*w, D] of t frames or
tubelets, and `model.encode_frames(video)` those of each frame alone. A masked
model says by `needs_mask` which masks it takes, see `masking.check_mask`.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
from flax.traverse_util import flatten_dict, unflatten_dict

from rvmae_jax.layers.transformer import unstack_blocks
from rvmae_jax.registry import Registry

MODELS = Registry(
  'model',
  {
    'arvideo': 'rvmae_jax.models.arvideo:build_arvideo',
    'classifier': 'rvmae_jax.models.classifier:build_classifier',
    'moco_v3': 'rvmae_jax.models.moco_v3:build_moco_v3',
    'rvm': 'rvmae_jax.models.rvm:build_rvm',
    'rvmae': 'rvmae_jax.models.rvmae:build_rvmae',
    'siammae': 'rvmae_jax.models.siammae:build_siammae',
    'videomae': 'rvmae_jax.models.videomae:build_videomae',
  },
)


def build_model(config: Mapping[str, Any]):
  """The model of `config['name']`, built from the config's other fields."""
  return MODELS.build(config)


def build_unrolled(
  config: Mapping[str, Any], params: Mapping[str, Any], **fields: Any
) -> tuple[Any, dict[str, Any]]:
  """A network in which each block has arrays of its own.

  Args:
    config: of `build_model`, with or without `scan_layers`.
    params: of that network.
    **fields: to put in place of the config's.

  Returns:
    The network without `scan_layers`, and its parameters.
  """
  fields = {**config, **fields}
  if 'scan_layers' in fields:
    fields['scan_layers'] = False
  return build_model(fields), unstack_blocks(dict(params))


def needed_params(
  model: Any, params: Mapping[str, Any], *args: Any, method: str
) -> dict[str, Any]:
  """The parameters of a network that one of its methods needs.

  Args:
    model: the Flax module.
    params: nested dict of arrays, in the same layout as the network's.
    *args: what the method is called with, or shapes of it.
    method: of the network.
  """
  init = functools.partial(model.init, method=method)
  needed = jax.eval_shape(init, jax.random.key(0), *args)['params']
  params = flatten_dict(params)
  return unflatten_dict({path: params[path] for path in flatten_dict(needed)})
