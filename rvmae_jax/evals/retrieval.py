"""Retrieval: which videos look alike to a network?"""

import collections
import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
from absl import logging

from rvmae_jax.evals import Evaluation, Result
from rvmae_jax.evals.answers import over_seeds
from rvmae_jax.evals.features import (
  FeatureSet,
  check_encoders,
  check_poolings,
  extract,
)
from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.evals.videos import Videos
from rvmae_jax.metrics import retrieval
from rvmae_jax.metrics.features import similarities, standardise
from rvmae_jax.registry import check_counts

_NUM_FRAMES = 4  # Of each video on the sheet.


@dataclasses.dataclass(frozen=True, kw_only=True)
class RetrievalEval(Evaluation):
  """Recall and mAP of videos that look for others of their class.

  Similarity is the cosine of pooled features; nothing is learned. With `train`
  the test videos look into other videos, as clips of UCF101's test split do in
  its train split. Without it each looks among the other test videos.

  Attributes:
    test: the videos that ask.
    train: the gallery to look into; None takes the test videos, and leaves each
      query itself out.
    encoders: whose features, see `evals.features.ENCODERS`.
    poolings: how a clip becomes a vector, see `evals.pooling`.
    standardise: whether features are first brought to mean 0 and deviation 1
      over the gallery. The usual protocol does not.
    recall_at: how far down the ranking a hit counts.
    seeds: of random weights; from two up, numbers are means, with
      deviations.
    num_pictures: queries on the sheet, evenly spread.
    num_neighbours: of each of them.
  """

  sides = ('train', 'test')

  test: Videos
  train: Videos | None = None
  encoders: Sequence[str] = ('trained',)
  poolings: Sequence[str] = ('mean_std_8',)
  standardise: bool = False
  recall_at: Sequence[int] = (1, 5, 10, 20, 50)
  seeds: int = 1
  num_pictures: int = 5
  num_neighbours: int = 5

  def __post_init__(self):
    check_encoders(self.encoders)
    check_counts(self, 'seeds')
    for videos in (self.test, self._gallery):
      check_poolings(self.poolings, videos)

  @property
  def _gallery(self) -> Videos:
    return self.train or self.test

  def run(self, functions: ModelFunctions) -> Result:
    """Numbers as `<encoder>/<pooling>/recall_at_5` and `.../map`.

    Also `chance/recall_at_5` and `chance/map`, those of a random order,
    `num_queries` and `num_gallery`; nothing at all without labels.

    Arrays, of the first encoder and pooling: `query_frames` [n, frames, H, W,
    3] and `neighbour_frames` [n, neighbours, frames, H, W, 3] uint8, nearest
    first; `query_labels` [n], `neighbour_labels` [n, neighbours] and
    `class_names`.
    """
    arrays, runs = {}, collections.defaultdict(list)
    for number in range(self.seeds):
      queries, gallery = (
        extract(
          *(functions, videos, self.encoders, self.poolings),
          seed=self.test.seed + number,
        )
        for videos in (self.test, self._gallery)
      )
      if not (len(queries.labels) and len(gallery.labels)):
        return self.skipped('no labels in its videos')
      for encoder, pooling in itertools.product(self.encoders, self.poolings):
        asked, searched = (
          features.pooled[encoder][pooling] for features in (queries, gallery)
        )
        if self.standardise:
          searched, asked = standardise(searched, asked)
        numbers, nearest = self.search(
          asked, queries.labels, searched, gallery.labels
        )
        runs[f'{encoder}/{pooling}'].append(numbers)
        arrays = arrays or self._sheet(queries, gallery, nearest)
    counts = collections.Counter(gallery.labels.tolist())
    num_relevant = np.array([counts[n] for n in queries.labels.tolist()])
    num_gallery = len(gallery.labels)
    if not self.train:  # The query itself is left out.
      num_relevant, num_gallery = num_relevant - 1, num_gallery - 1
    metrics = {'num_queries': len(queries.labels), 'num_gallery': num_gallery}
    for name, numbers in runs.items():
      means = over_seeds(numbers)
      metrics |= {f'{name}/{key}': value for key, value in means.items()}
      logging.info('Retrieval by %s: mAP %.1f %%', name, 100 * means['map'])
    for k in self.recall_at:
      chance = retrieval.chance_recalls(num_relevant, num_gallery, k)
      metrics[f'chance/recall_at_{k}'] = float(chance.mean())
    chance = retrieval.chance_average_precisions(num_relevant, num_gallery)
    metrics['chance/map'] = float(chance.mean())
    return Result(metrics, arrays)

  def search(
    self,
    queries: np.ndarray,
    query_labels: np.ndarray,
    gallery: np.ndarray,
    gallery_labels: np.ndarray,
  ) -> tuple[dict[str, float], np.ndarray]:
    """Ranks a gallery [n, D], labels [n], for each query [m, D], labels [m].

    Returns:
      `recall_at_<k>` and `map`, means over queries; and the rows of the nearest
      in the gallery, [m, neighbours].
    """
    scores, nearest = collections.defaultdict(list), []
    for rows, similarity in similarities(queries, gallery):
      if not self.train:  # None may find itself.
        similarity[np.arange(len(rows)), rows] = -np.inf
      is_relevant = query_labels[rows, None] == gallery_labels
      ranked = retrieval.rank(similarity, is_relevant)
      for k in self.recall_at:
        scores[f'recall_at_{k}'].append(retrieval.recalls(ranked, k))
      scores['map'].append(retrieval.average_precisions(ranked))
      best = np.argsort(-similarity, axis=1)[:, : self.num_neighbours]
      nearest.append(best)
    numbers = {k: float(np.concatenate(v).mean()) for k, v in scores.items()}
    return numbers, np.concatenate(nearest)

  def _sheet(
    self, queries: FeatureSet, gallery: FeatureSet, nearest: np.ndarray
  ) -> dict[str, np.ndarray]:
    """Reads the videos of the sheet again, and keeps some of their frames."""
    count = min(self.num_pictures, len(nearest))
    if not count:
      return {}
    shown = np.linspace(0, len(nearest) - 1, count).round().astype(int)
    # Without itself, a query may have fewer neighbours than there is room for.
    nearest = nearest[shown, : len(gallery.labels) - (not self.train)]
    names = (self.test.class_names, self._gallery.class_names)
    return {
      'query_frames': np.stack(
        [_strip(self.test, queries.places[row]) for row in shown]
      ),
      'neighbour_frames': np.stack(
        [
          [_strip(self._gallery, gallery.places[row]) for row in rows]
          for rows in nearest
        ]
      ),
      'query_labels': queries.labels[shown],
      'neighbour_labels': gallery.labels[nearest],
      'class_names': np.array(max(names, key=len), str),
    }


def _strip(videos: Videos, place: np.ndarray) -> np.ndarray:
  """A few frames of one video, evenly spread."""
  clip = videos.clip_at(*place.tolist())
  frames = np.linspace(0, len(clip) - 1, min(len(clip), _NUM_FRAMES))
  return clip[frames.round().astype(int)]
