"""The videos of an evaluation: which they are, and what of them is read."""

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from rvmae_jax.data.bad_videos import read_or_replace, readable_records
from rvmae_jax.data.clips import CLIPS
from rvmae_jax.data.decoding import open_record
from rvmae_jax.data.loader import make_loader
from rvmae_jax.data.pipeline import build_sources, check_config, make_dataset
from rvmae_jax.data.records import records_digest
from rvmae_jax.evals import DATA_KEYS
from rvmae_jax.evals.progress import progress

# Processes that load rows take seconds to start, and are started for each pass:
# longer than threads take for so many videos.
_FEW_VIDEOS = 300
# A path; by key, indices of frames and their times in seconds.
FirstFrames = tuple[str, dict[str, tuple[np.ndarray, np.ndarray]]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Videos:
  """Everything that decides which frames an evaluation sees.

  The first five attributes are keys of a data config, see
  `rvmae_jax.data.pipeline.DEFAULTS`. Those that an evaluation does not read
  are empty.

  Attributes:
    sources: alias -> source and its settings.
    clip: the sampler of frames and its settings.
    crop: `size`, the (height, width) of frames in pixels. Its other settings
      are of crops drawn at random, in `training_batches`.
    mask: what is hidden, and its settings; empty hides nothing.
    max_videos: of each source, evenly spread; 0 takes all.
    patch_size, tubelet_size: pixels and frames in a token of the model.
    batch_size: clips at once, of all processes together.
    seed: of masks, and of whatever the evaluation draws.
    num_threads, num_workers: that decode; the frames do not depend on them.
      A pass over few videos takes threads, as many as the larger of the two.
  """

  sources: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  clip: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  crop: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  mask: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  max_videos: int = 0
  patch_size: int
  tubelet_size: int = 1
  batch_size: int
  seed: int = 0
  num_threads: int = 8
  num_workers: int = 0

  def replace(self, **changes: Any) -> 'Videos':
    """The same with other attributes."""
    other = dataclasses.replace(self, **changes)
    return other if 'sources' in changes else other.share(self)

  def share(self, other: 'Videos') -> 'Videos':
    """Takes over the open sources of videos that have the same, if any."""
    if 'built' in vars(other):
      vars(self)['built'] = other.built
    return self

  @functools.cached_property
  def built(self) -> list[Any]:
    """The sources, opened when they are first asked for; see `data.records`."""
    if not self.sources:
      raise ValueError('An evaluation needs data.sources, and there are none.')
    return build_sources(self.sources)

  @property
  def size(self) -> tuple[int, int]:
    """Height and width of frames in pixels."""
    return tuple(self.crop['size'])

  def check_tiled(self, size: tuple[int, int], setting: str) -> None:
    """Raises ValueError, with the setting to change, for a size not tiled."""
    p = self.patch_size
    if any(side % p for side in size):
      near = tuple(max(round(side / p), 1) * p for side in size)
      raise ValueError(
        f'Patches of {p} do not tile frames of size {tuple(size)}; give the '
        f'evaluation {setting}={near}.'
      )

  @property
  def num_frames(self) -> int:
    """Frames of a clip."""
    # A video of one frame gives a clip as long as any.
    return len(CLIPS.build(self.clip)(np.zeros(1)).frames['video'])

  @property
  def blank_clip(self) -> np.ndarray:
    """A clip [1, T, H, W, 3] uint8 as batches have it, all black."""
    return np.zeros((1, self.num_frames, *self.size, 3), np.uint8)

  def batches(
    self, num_batches: int = 0, what: str = ''
  ) -> Iterator[dict[str, np.ndarray]]:
    """One pass in order; each process decodes its share, and gets all of it.

    Args:
      num_batches: to stop after; 0 takes all.
      what: is being done, see `progress`; '' logs nothing.
    """
    batches = self._read(num_batches, train=False)
    total = self._num_read(num_batches, train=False)
    return progress(batches, total, what) if what else batches

  def training_batches(
    self, num_batches: int = 0
  ) -> Iterator[dict[str, np.ndarray]]:
    """Shuffled batches with random clips and crops; endless if 0."""
    return self._read(num_batches, train=True)

  @property
  def num_videos(self) -> int:
    """Videos in a pass."""
    return sum(self._sizes)

  @property
  def class_names(self) -> list[str]:
    """Names of labels, those of the source that has most."""
    return max((source.class_names for source in self.built), key=len)

  @functools.cached_property
  def num_classes(self) -> int:
    """Of labels: as many as have names, or else 1 + the highest there is."""
    if self.class_names:
      return len(self.class_names)
    return 1 + max(record['label'] for record in self.records())

  def clip_at(self, source: int, record: int) -> np.ndarray:
    """The frames of a row, read again: [T, H, W, 3] uint8.

    Args:
      source: the row's `host/source`.
      record: its `host/record`.
    """
    data = check_config(self.replace(mask={}).data)
    loader = make_loader(data, self.patch_size, train=False)
    rng = np.random.default_rng(0)  # Evaluation draws nothing but masks.
    rows, _ = read_or_replace(
      self.built[source], record, lambda found: loader(found, rng)
    )
    return rows['video'][0]

  def first_frames(self) -> FirstFrames:
    """What is read of the first video: its path, and by image key of a batch
    the indices of frames and their times in seconds.

    Raises:
      VideoError: it cannot be read.
    """
    record = next(self.records())
    with open_record(record) as reader:
      times_s = reader.timestamps_s
    clip = CLIPS.build(self.clip)(times_s)
    return record['path'], {
      key: (indices, times_s[indices]) for key, indices in clip.frames.items()
    }

  def labelled_places(self) -> np.ndarray:
    """`host/source` and `host/record` of what has a label in a pass, [n, 2]."""
    places = [
      (number, record)
      for number, (source, count) in enumerate(zip(self.built, self._sizes))
      for record, found in readable_records(source, count)
      if found['label'] >= 0
    ]
    return np.array(places, int).reshape(-1, 2)

  def records(self) -> Iterator[dict[str, Any]]:
    """All records that are not damaged, source by source."""
    for source in self.built:
      yield from (record for _, record in readable_records(source))

  def records_digest(self) -> str:
    """A hash of which videos these are, see `data.records.records_digest`."""
    return ''.join(map(records_digest, self.built))

  @property
  def data(self) -> dict[str, Any]:
    """The data config that reads them, see `rvmae_jax.data.pipeline`."""
    return {key: getattr(self, key) for key in DATA_KEYS}

  def _read(self, num_batches, *, train):
    data = self.data
    if self._num_read(num_batches, train) < _FEW_VIDEOS:
      most = max(self.num_threads, self.num_workers)
      data = data | {'num_threads': most, 'num_workers': 0}
    num_processes = jax.process_count()
    # The rows of a batch are shared out, if they can be.
    is_shared = num_processes > 1 and self.batch_size % num_processes == 0
    batches = iter(
      make_dataset(
        data,
        seed=self.seed,
        batch_size=self.batch_size // (num_processes if is_shared else 1),
        train=train,
        patch_size=self.patch_size,
        tubelet_size=self.tubelet_size,
        process_index=jax.process_index() if is_shared else 0,
        process_count=num_processes if is_shared else 1,
        sources=self.built,
      )
    )
    try:
      for batch in itertools.islice(batches, num_batches or None):
        if is_shared:
          batch = multihost_utils.process_allgather(batch, tiled=True)
        yield batch
    finally:
      batches.close()

  def _num_read(self, num_batches: int, train: bool) -> float:
    """Videos that are read; inf without end."""
    most = num_batches * self.batch_size or math.inf
    return min(most, math.inf if train else self.num_videos)

  @functools.cached_property
  def _sizes(self) -> list[int]:
    """Videos of each source in a pass."""
    sizes = (len(source) for source in self.built)
    return [min(size, self.max_videos or size) for size in sizes]
