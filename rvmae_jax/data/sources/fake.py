"""Random frames: for tests, and to time everything but the data."""

from collections.abc import Iterator

import numpy as np

from rvmae_jax.data.fingerprints import Identity
from rvmae_jax.data.records import Record
from rvmae_jax.data.sources.splits import SPLITS


class Fake:
  """Videos of uniform noise; the same for the same seed, split and index.

  Args:
    split: 'train', 'val' or 'test'; their noise differs.
    num_videos, num_frames: how many, and frames in each.
    size: height and width in pixels.
    num_classes: labels go round in turn; 0 = no labels.
    seed: of the noise.
  """

  def __init__(
    self,
    split: str = 'train',
    num_videos: int = 64,
    num_frames: int = 64,
    size: tuple[int, int] = (96, 128),
    num_classes: int = 4,
    seed: int = 0,
  ):
    if split not in SPLITS:
      raise ValueError(f'fake: split={split!r} is not one of {SPLITS}.')
    self.class_names = [f'class_{i}' for i in range(num_classes)]
    self._split = split
    self._num_videos = num_videos
    self._shape = (num_frames, *size, 3)
    self._seed = seed

  def __len__(self) -> int:
    return self._num_videos

  def __getitem__(self, index: int) -> Record:
    if not 0 <= index < self._num_videos:
      raise IndexError(f'fake: no video {index} of {self._num_videos}.')
    rng = np.random.default_rng([self._seed, SPLITS.index(self._split), index])
    num_classes = len(self.class_names)
    return {
      'path': f'fake/{self._split}/{index}',
      'label': index % num_classes if num_classes else -1,
      'frames': rng.integers(0, 256, self._shape, np.uint8),
    }

  def identities(self) -> Iterator[Identity]:
    """Names that say which noise it is."""
    for index in range(self._num_videos):
      yield Identity(f'fake/seed_{self._seed}/{self._split}/{index}')
