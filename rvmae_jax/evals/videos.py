"""The videos of an evaluation: a data config and how to read it."""

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from rvmae_jax.data.bad_videos import read_or_replace, readable_records
from rvmae_jax.data.loader import make_loader
from rvmae_jax.data.pipeline import build_sources, check_config, make_dataset
from rvmae_jax.data.records import records_digest


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
    return itertools.islice(self._dataset(train=False), num_batches or None)

  def training_batches(self) -> Iterator[dict[str, np.ndarray]]:
    """Shuffled without end, clips and crops drawn at random."""
    return iter(self._dataset(train=True))

  @property
  def num_videos(self) -> int:
    """Videos in a pass."""
    return sum(self._sizes)

  @property
  def class_names(self) -> list[str]:
    """Names of labels, those of the first source that has any."""
    named = (source.class_names for source in self._sources)
    return next(filter(None, named), [])

  @property
  def num_classes(self) -> int:
    """Of labels: as many as have names, or else 1 + the highest there is."""
    if self.class_names:
      return len(self.class_names)
    return 1 + max(record['label'] for record in self.records())

  def clip(self, source: int, record: int) -> np.ndarray:
    """The frames of a row, read again: [T, H, W, 3] uint8.

    Args:
      source: the row's `host/source`.
      record: its `host/record`.
    """
    data = check_config(override(self.data, {'mask': None}))
    loader = make_loader(data, self.patch_size, train=False)
    rng = np.random.default_rng(0)  # Evaluation draws nothing but masks.
    rows, _ = read_or_replace(
      self._sources[source], record, lambda found: loader(found, rng)
    )
    return rows['video'][0]

  def record(self, source: int, record: int) -> dict[str, Any]:
    """What stands behind a row of a batch, see `rvmae_jax.data.records`.

    Args:
      source: the row's `host/source`.
      record: its `host/record`.
    """
    return self._sources[source][record]

  def labelled_places(self) -> np.ndarray:
    """`host/source` and `host/record` of all records with a label, [n, 2]."""
    places = [
      (number, record)
      for number, source in enumerate(self._sources)
      for record, found in readable_records(source, self._sizes[number])
      if found['label'] >= 0
    ]
    return np.array(places, int).reshape(-1, 2)

  def records(self) -> Iterator[dict[str, Any]]:
    """All records that are not damaged, source by source."""
    for source in self._sources:
      yield from (record for _, record in readable_records(source))

  @property
  def _sizes(self) -> list[int]:
    """Videos of each source in a pass."""
    at_most = self.data.get('max_videos', 0)
    sizes = (len(source) for source in self._sources)
    return [min(size, at_most or size) for size in sizes]

  def digest(self) -> str:
    """A hash of which videos these are, see `records_digest`."""
    return ''.join(map(records_digest, self._sources))

  def _dataset(self, *, train: bool):
    return make_dataset(
      self.data,
      seed=self.seed,
      batch_size=self.batch_size,
      train=train,
      patch_size=self.patch_size,
      tubelet_size=self.tubelet_size,
    )

  @functools.cached_property
  def _sources(self) -> list[Any]:
    if not self.data.get('sources'):
      raise ValueError('An evaluation needs data.sources, and there are none.')
    return build_sources(self.data.sources)


def override(base: Mapping[str, Any], changes: Mapping[str, Any]) -> ConfigDict:
  """A copy of a data config with some entries changed, the rest kept.

  Nested entries merge, so `{'sources': {'own': {'split': 'val'}}}` keeps all
  else. None removes an entry. An entry whose `name` changes is replaced whole,
  since the settings of one clip sampler mean nothing to another. Of several
  `sources`, those that the changes do not name are left out: an evaluation of
  one of them is not asked about the others.

  Raises:
    ValueError: the changes name a source that is not there, and not what it is.
  """
  changes = ConfigDict(changes)
  merged = _merge(ConfigDict(base).to_dict(), changes)
  named = [k for k, v in (changes.get('sources') or {}).items() if v]
  for alias in named:
    if 'name' not in merged['sources'][alias]:
      raise ValueError(
        f'There is no source {alias!r} to be changed, but '
        f'{", ".join(map(repr, base["sources"]))}. Give the one that is meant, '
        'often as `source=` after the colon of --config, or the name of '
        'another.'
      )
  if named:
    merged['sources'] = {alias: merged['sources'][alias] for alias in named}
  return ConfigDict(merged)


def check_same_classes(train: Videos, test: Videos) -> None:
  """Checks that a label means the same in both; names may be missing.

  Raises:
    ValueError: a number stands for two classes.
  """
  for number, names in enumerate(zip(train.class_names, test.class_names)):
    if names[0] != names[1]:
      raise ValueError(
        f'Label {number} is {names[0]!r} among the videos to learn from and '
        f'{names[1]!r} among those to be asked about. Each list or folder '
        'numbers its own classes: put all videos into one, with a split each.'
      )


def _merge(base: dict[str, Any], changes: ConfigDict) -> dict[str, Any]:
  merged = dict(base)
  for key, change in changes.items():
    if isinstance(change, ConfigDict):
      old = merged.get(key) or {}
      renamed = change.get('name', old.get('name')) != old.get('name')
      change = _merge({} if renamed else old, change)
    merged[key] = change
  return {k: v for k, v in merged.items() if v is not None}
