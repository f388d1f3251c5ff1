"""Networks by name. Each takes its config's fields and answers to one contract.

`model(batch, train=...)` gives a dict with `pred` and `features`;
`model.encode(video)` gives features [B, t, prefix + h*w, D] of t frames or
tubelets, and `model.encode_frames(video)` those of each frame alone. A masked
model says by `needs_mask` which masks it takes, see `masking.check_mask`.
"""

from collections.abc import Mapping
from typing import Any

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
