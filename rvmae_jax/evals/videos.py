"""The videos of an evaluation: a data config and how to read it."""

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from rvmae_jax.data.pipeline import build_sources, make_dataset


@dataclasses.dataclass(frozen=True)
class Videos:
  """What an evaluation reads.

  Attributes:
    data: a data config, as `config.data`.
    patch_size: of the model, for masks.
    batch_size: clips at once.
    seed: of masks, and of whatever the evaluation draws.
    tubelet_size: of the model, for masks.
  """

  data: ConfigDict
  patch_size: int
  batch_size: int
  seed: int = 0
  tubelet_size: int = 1

  def changed(self, changes: Mapping[str, Any]) -> 'Videos':
    """The same with some entries of `data` changed, see `override`."""
    return dataclasses.replace(self, data=override(self.data, changes))

  def batches(self, num_batches: int = 0) -> Iterator[dict[str, np.ndarray]]:
    """One pass in order; stops after `num_batches` unless that is 0."""
    dataset = make_dataset(
      self.data,
      seed=self.seed,
      batch_size=self.batch_size,
      train=False,
      patch_size=self.patch_size,
      tubelet_size=self.tubelet_size,
    )
    return itertools.islice(dataset, num_batches or None)

  def record(self, source: int, record: int) -> dict[str, Any]:
    """What stands behind a row of a batch, see `rvmae_jax.data.records`.

    Args:
      source: the row's `host/source`.
      record: its `host/record`.
    """
    return self._sources[source][record]

  @functools.cached_property
  def _sources(self) -> list[Any]:
    return build_sources(self.data.sources)


def override(base: Mapping[str, Any], changes: Mapping[str, Any]) -> ConfigDict:
  """A copy of a data config with some entries changed, the rest kept.

  Nested entries merge, so `{'sources': {'own': {'split': 'val'}}}` keeps all
  else. None removes an entry. An entry whose `name` changes is replaced whole,
  since the settings of one clip sampler mean nothing to another.
  """
  return ConfigDict(_merge(ConfigDict(base).to_dict(), ConfigDict(changes)))


def _merge(base: dict[str, Any], changes: ConfigDict) -> dict[str, Any]:
  merged = dict(base)
  for key, change in changes.items():
    if isinstance(change, ConfigDict):
      old = merged.get(key) or {}
      renamed = change.get('name', old.get('name')) != old.get('name')
      change = _merge({} if renamed else old, change)
    merged[key] = change
  return {k: v for k, v in merged.items() if v is not None}
