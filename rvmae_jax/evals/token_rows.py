"""Tokens of labelled training videos: kept in memory, or encoded as needed."""

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from absl import logging

from rvmae_jax.evals.features import (
  batch_places,
  check_finite,
  gather,
  labelled,
  make_encoder,
)
from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.evals.heads import shuffled
from rvmae_jax.evals.videos import Videos
from rvmae_jax.evals.views import Views
from rvmae_jax.memory import check_room


class Rows(NamedTuple):
  """Some clips.

  Attributes:
    tokens: network -> [B, T, N, D] float16, each token normalised.
    labels: [B] int, -1 where there is none.
    places: [B, 2] int, `host/source` and `host/record`.
  """

  tokens: Mapping[str, np.ndarray]
  labels: np.ndarray
  places: np.ndarray

  def take(self, rows: np.ndarray | slice) -> 'Rows':
    """Some of them."""
    tokens = {name: tokens[rows] for name, tokens in self.tokens.items()}
    return Rows(tokens, self.labels[rows], self.places[rows])


class Networks:
  """The networks that are probed.

  Args:
    functions: the network in question.
    encoders: it and its baselines, see `evals.features.ENCODERS`.
    num_seeds: how many random networks the encoder 'random' stands for.
    videos: that they see first; the first seed is theirs.

  Attributes:
    names: (encoder, number of the seed) -> name of the network.
  """

  def __init__(
    self,
    functions: ModelFunctions,
    encoders: Sequence[str],
    num_seeds: int,
    videos: Videos,
  ):
    self.names, self._encoders = {}, {}
    for encoder, number in itertools.product(encoders, range(num_seeds)):
      # Only random networks differ from seed to seed.
      if not number or encoder == 'random':
        name = f'{encoder}_{number}'
        self._encoders[name] = make_encoder(
          encoder, functions, videos.blank_clip, videos.seed + number
        )
      self.names[encoder, number] = name

  def tokens(self, video: np.ndarray) -> dict[str, np.ndarray]:
    """Normalised tokens of every network for clips [B, T, H, W, 3] uint8."""
    return {
      name: normalise(encoder.encode(video))
      for name, encoder in self._encoders.items()
    }

  def rows(self, batch: Mapping[str, np.ndarray]) -> Rows:
    """All rows of a batch."""
    return Rows(
      self.tokens(batch['video']), batch['label'], batch_places(batch)
    )


class KeptRows:
  """Training videos, encoded once; the log says how large their tokens are.

  Args:
    networks: that encode.
    videos: of which those with a label are kept.
    free_bytes: of memory; what is free if not given.

  Raises:
    ValueError: there is no room for all of them.
  """

  def __init__(
    self, networks: Networks, videos: Videos, free_bytes: float | None = None
  ):
    size = 0

    def tokens_of(batch):
      nonlocal size
      found = networks.tokens(batch['video'])
      if not size:  # The first batch tells how large all will be.
        size = sum(tokens[0].nbytes for tokens in found.values())
        size *= videos.num_videos
        check_room(
          2 * size,  # While they are joined they are there twice.
          f'The tokens of {videos.num_videos} videos (twice for a moment)',
          'Set cache=False of the attentive probe, to encode them again every '
          'epoch.',
          free_bytes,
        )
      return found

    batches = videos.batches(what='tokens')
    tokens, labels, places = gather(tokens_of, batches, Views())
    check_finite(tokens)
    tokens = {name: values[:, 0] for name, values in tokens.items()}
    self._rows, self._seed = Rows(tokens, labels, places), videos.seed
    self.num_videos = len(labels)
    self._batch_size = min(videos.batch_size, max(self.num_videos, 1))
    logging.info(
      'Tokens of %d videos take %.2f GB.', videos.num_videos, size / 1e9
    )

  def num_steps(self, num_epochs: int) -> int:
    """Batches that `training_batches` gives."""
    return num_epochs * (self.num_videos // self._batch_size)

  def training_batches(self, num_epochs: int) -> Iterator[Rows]:
    """Whole batches in random order."""
    order = np.arange(self.num_videos)
    for rows in shuffled(order, self._batch_size, num_epochs, self._seed):
      yield self._rows.take(rows)

  def all_batches(self) -> Iterator[Rows]:
    """Every video once."""
    for start in range(0, self.num_videos, self._batch_size):
      yield self._rows.take(slice(start, start + self._batch_size))


@dataclasses.dataclass(frozen=True)
class EncodedRows:
  """Training videos, read and encoded again for every batch.

  Attributes:
    networks: that encode.
    videos: some may be without a label.
  """

  networks: Networks
  videos: Videos

  @functools.cached_property
  def num_videos(self) -> int:
    """Those with a label."""
    return len(self.videos.labelled_places())

  def num_steps(self, num_epochs: int) -> int:
    """Batches that `training_batches` gives."""
    num_batches = self.videos.num_videos // self.videos.batch_size
    return num_epochs * max(num_batches, 1)

  def training_batches(self, num_epochs: int) -> Iterator[Rows]:
    """Batches in random order, with clips and crops drawn as in training."""
    num_steps = self.num_steps(num_epochs)
    for batch in self.videos.training_batches(num_steps):
      yield self.networks.rows(batch)

  def all_batches(self) -> Iterator[Rows]:
    """Every video with a label once."""
    for batch in self.videos.batches(what='held-out'):
      yield self.networks.rows(batch).take(labelled(batch))


def normalise(tokens: np.ndarray) -> np.ndarray:
  """Each token with mean 0 and variance 1 over its channels, float16."""
  tokens = tokens - tokens.mean(-1, keepdims=True)
  scale = np.sqrt(np.square(tokens).mean(-1, keepdims=True) + 1e-6)
  return (tokens / scale).astype(np.float16)
