"""Batches of a recipe, for tools that train a few steps of it."""

import contextlib
from collections.abc import Generator
from typing import Any

from ml_collections import ConfigDict

from rvmae_jax.batch import split_host
from rvmae_jax.data.pipeline import training_dataset


def training_batches(config: ConfigDict) -> Generator[dict[str, Any]]:
  """What the steps of a recipe get, without end; to be closed after use."""
  batches = iter(training_dataset(config))
  with contextlib.closing(batches):
    for batch in batches:
      yield split_host(batch)[0]
