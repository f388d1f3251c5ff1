"""Batches of a recipe, for tools that train a few steps of it."""

import contextlib
from collections.abc import Generator
from typing import Any

from ml_collections import ConfigDict

from rvmae_jax import config_utils
from rvmae_jax.batch import split_host
from rvmae_jax.data.pipeline import make_dataset


def training_batches(config: ConfigDict) -> Generator[dict[str, Any]]:
  """What the steps of a recipe get, without end; to be closed after use."""
  batches = iter(
    make_dataset(
      config.data,
      seed=config.seed,
      batch_size=config.batch_size,
      train=True,
      **config_utils.token_size(config.model),
    )
  )
  with contextlib.closing(batches):
    for batch in batches:
      yield split_host(batch)[0]
