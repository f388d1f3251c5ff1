"""A weights file of a small VideoMAE, as others have them."""

import pathlib
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from ml_collections import ConfigDict

from rvmae_jax.config_utils import to_json
from rvmae_jax.interop import hugging_face, safetensors, state_dict
from rvmae_jax.models import build_model


def write_videomae(path: pathlib.Path, fields: Mapping[str, Any]) -> nn.Module:
  """Writes random parameters; returns the network that is bound to them."""
  model, ids = build_model(fields), np.zeros((1, 1), int)
  clip = np.zeros((1, 2, 16, 16, 3), np.uint8)
  batch = {'video': clip, 'ids_keep': ids, 'ids_mask': ids}
  shapes = jax.eval_shape(model.init, jax.random.key(0), batch)['params']
  rng = np.random.default_rng(1)
  params = jax.tree.map(
    lambda leaf: rng.normal(0, 0.1, leaf.shape).astype(np.float32), shapes
  )
  origin = hugging_face.origin_of(fields)
  # As an export has it: no array tells the number of heads.
  note = {'config': to_json(ConfigDict({'model': fields}))}
  safetensors.write(path, state_dict.to_state_dict(params, origin), note)
  return model.bind({'params': params})
