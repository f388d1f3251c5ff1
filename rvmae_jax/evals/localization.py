"""Temporal localization: what happens when in long videos, from features."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging

from rvmae_jax.data.localization import LOCALIZATION_SETS
from rvmae_jax.data.localization.untrimmed import LocalizationSet
from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.evals.localization_head import LocalizationHead
from rvmae_jax.evals.progress import progress
from rvmae_jax.evals.proposals import propose
from rvmae_jax.evals.untrimmed_features import UntrimmedFeatures
from rvmae_jax.evals.videos import Videos
from rvmae_jax.metrics.localization import (
  AMBIGUOUS,
  THUMOS_THRESHOLDS,
  Detections,
  Truth,
  mean_average_precision,
)

# Features of one video by source, its steps' edges in seconds, and its truth.
_Example = tuple[Mapping[str, np.ndarray], np.ndarray, Truth]


@dataclasses.dataclass(kw_only=True)
class LocalizationEval:
  """mAP at tIoU of a small head on frozen features, and of baselines.

  The same head learns from each source; see `evals.localization_head`.

  Attributes:
    videos: its data config gives the size of frames; its sources are not read.
    dataset: an entry of `LOCALIZATION_SETS` and its settings.
    train, test: changes to it that choose the videos to learn from and to be
      asked about; with a `name`, another entry.
    num_folds: above 0: `train` is not read, and each of as many parts of the
      test videos is asked about by a head that learned from the others.
    sources: what is compared, see `evals.features.SOURCES`.
    thresholds: of tIoU.
    fps, frames_per_step, window: see `evals.untrimmed_features`.
    head: settings of `LocalizationHead`.
    arrays: of the test videos, all times in seconds: `truth` [n, 4] (video,
      start, end, label), `detections` [m, 6] (place in `sources`, video, start,
      end, label, score), `duration_s` [videos]; and names: `sources`,
      `class_names`, `video_names`.
  """

  videos: Videos
  dataset: Mapping[str, Any]
  train: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  test: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  num_folds: int = 0
  sources: Sequence[str] = ('trained', 'random', 'pixels')
  thresholds: Sequence[float] = THUMOS_THRESHOLDS
  fps: float = 0
  frames_per_step: int = 2
  window: int = 16
  head: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  arrays: dict[str, np.ndarray] = dataclasses.field(
    default_factory=dict, init=False
  )

  def run(self, functions: ModelFunctions, step: int = 0) -> dict[str, float]:
    """`<source>/map_50` for a threshold of 0.5, and `<source>/mean_map`.

    Also `num_train`, `num_test` (videos), `num_segments` (of test) and
    `num_classes`.

    Raises:
      ValueError: fewer test videos than folds, or other classes in `train`.
    """
    del step
    tested = self._dataset(self.test)
    test = self._read(functions, tested)
    if self.num_folds:
      if len(test) < self.num_folds:
        raise ValueError(
          f'num_folds={self.num_folds} of {len(test)} videos leave some empty.'
        )
      train = test
    else:
      learned = self._dataset(self.train)
      if list(learned.class_names) != list(tested.class_names):
        raise ValueError(
          f'The classes to learn, {", ".join(learned.class_names)}, are not '
          f'those to be asked about, {", ".join(tested.class_names)}.'
        )
      train = self._read(functions, learned)
    truths = [truth for _, _, truth in test]
    labels = np.concatenate([truth.labels for truth in truths])
    metrics = {
      'num_train': len(train),
      'num_test': len(test),
      'num_segments': int((labels != AMBIGUOUS).sum()),
      'num_classes': len(tested.class_names),
    }
    detections = {}
    for source in self.sources:
      found = detections[source] = self._detect(
        source, train, test, len(tested.class_names)
      )
      values = mean_average_precision(truths, found, self.thresholds)
      for threshold, value in zip(self.thresholds, values):
        metrics[f'{source}/map_{100 * threshold:.0f}'] = float(value)
      metrics[f'{source}/mean_map'] = float(values.mean())
      logging.info('Localization of %s: mAP %.3f', source, values.mean())
    self.arrays = self._tables(tested, test, detections)
    return metrics

  def _dataset(self, changes: Mapping[str, Any]) -> LocalizationSet:
    base = {} if 'name' in changes else self.dataset
    return LOCALIZATION_SETS.build({**base, **changes})

  def _read(
    self, functions: ModelFunctions, dataset: LocalizationSet
  ) -> list[_Example]:
    """Features and truth of all videos; the features stay in the cache."""
    settings = {
      'size': tuple(self.videos.data.crop.size),
      'sources': tuple(self.sources),
      'fps': self.fps,
      'frames_per_step': self.frames_per_step,
      'window': self.window,
      'seed': self.videos.seed,
    }
    reader = UntrimmedFeatures(functions=functions, **settings)
    key = json.dumps(
      [[video.parts for video in dataset.videos], settings], default=str
    )
    if key not in functions.cache:
      functions.cache[key] = [
        (reader(video), reader.step_edges_s(video))
        for video in progress(
          dataset.videos, len(dataset.videos), 'untrimmed videos'
        )
      ]
    return [
      (features, edges_s, Truth(video.segments_s, video.labels))
      for (features, edges_s), video in zip(
        functions.cache[key], dataset.videos
      )
    ]

  def _detect(
    self,
    source: str,
    train: Sequence[_Example],
    test: Sequence[_Example],
    num_classes: int,
  ) -> list[Detections]:
    """Proposals of each test video, in seconds."""
    found: list[Any] = [None] * len(test)
    for fold in range(max(self.num_folds, 1)):
      asked = range(fold, len(test), max(self.num_folds, 1))
      learned = [
        example
        for number, example in enumerate(train)
        if not self.num_folds or number not in asked
      ]
      head = LocalizationHead(
        num_classes=num_classes, seed=self.videos.seed, **self.head
      )
      localizer = head.fit(
        [features[source] for features, _, _ in learned],
        [_in_steps(truth, edges_s) for _, edges_s, truth in learned],
      )
      for number in asked:
        features, edges_s, _ = test[number]
        proposals = propose(*localizer(features[source]))
        found[number] = proposals._replace(
          segments=np.interp(
            proposals.segments, np.arange(len(edges_s)), edges_s
          )
        )
    return found

  def _tables(
    self,
    dataset: LocalizationSet,
    test: Sequence[_Example],
    detections: Mapping[str, Sequence[Detections]],
  ) -> dict[str, np.ndarray]:
    """See `arrays`."""
    truth = [
      np.column_stack([np.full(len(labels), number), segments, labels])
      for number, (_, _, (segments, labels)) in enumerate(test)
    ]
    found = [
      np.column_stack(
        [
          *(np.full(len(scores), n) for n in (place, number)),
          *(segments, labels, scores),
        ]
      )
      for place, source in enumerate(self.sources)
      for number, (segments, labels, scores) in enumerate(detections[source])
    ]
    return {
      'truth': np.concatenate(truth),
      'detections': np.concatenate(found),
      'duration_s': np.array([edges_s[-1] for _, edges_s, _ in test]),
      'sources': np.array(self.sources),
      'class_names': np.array(dataset.class_names),
      'video_names': np.array([video.name for video in dataset.videos]),
    }


def _in_steps(truth: Truth, edges_s: np.ndarray) -> Truth:
  """Times in steps, parts of them included; beyond the video, its ends."""
  steps = np.interp(truth.segments, edges_s, np.arange(len(edges_s)))
  return truth._replace(segments=steps)
