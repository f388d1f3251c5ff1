"""Hugging Face's PyTorch network of a recipe, for tools that run it."""

import pathlib
import tempfile
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from rvmae_jax.interop.hugging_face_config import config_json
from rvmae_jax.models import build_model
from rvmae_jax.write_weights import write_params


def build_network(
  config: ConfigDict, params: Mapping[str, Any] | None = None
) -> Any:
  """Their network for pre-training, of a recipe's size, in training mode.

  Args:
    config: a recipe of VideoMAE or ImageMAE.
    params: of our network, for theirs to start from; its own if None.

  Returns:
    A `torch.nn.Module`: `VideoMAEForPreTraining` or `ViTMAEForPreTraining`,
    whose attention is SDPA.

  Raises:
    ModuleNotFoundError: PyTorch or Transformers is not installed.
    ValueError: they have no such network.
  """
  try:
    import torch  # noqa: F401
    import transformers
  except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
      f'{error}; this tool needs `pip install torch transformers`.'
    ) from error

  settings = config_json(
    build_model(config.model),
    config.data.clip.num_frames,
    tuple(config.data.crop.size),
    config.objective.get('normalize', 'none'),
    config.data.mask.ratio,
  )
  network_class = getattr(transformers, settings['architectures'][0])
  attention = {'attn_implementation': 'sdpa'}
  network = network_class._from_config(
    network_class.config_class(**settings), **attention
  )
  if params is not None:
    with tempfile.TemporaryDirectory() as folder:
      write_params(params, config, pathlib.Path(folder, 'model.safetensors'))
      loaded = network_class.from_pretrained(folder)
    # Not the loaded network itself: `from_pretrained` of transformers 5 makes
    # the fixed position tables of ViTMAE trainable.
    network.load_state_dict(loaded.state_dict())
  return network.train()
