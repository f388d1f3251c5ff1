"""Temporal localization: what happens when in long videos, from features."""

import collections
import dataclasses
import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from absl import logging

from rvmae_jax.data.classes import check_same_classes
from rvmae_jax.data.decoding import VideoError
from rvmae_jax.data.frames import path_of
from rvmae_jax.data.localization import LOCALIZATION_SETS
from rvmae_jax.data.localization.untrimmed import (
  LocalizationSet,
  UntrimmedVideo,
)
from rvmae_jax.evals import Evaluation, Result
from rvmae_jax.evals.dense import DenseEncoder
from rvmae_jax.evals.features import Encoder, check_encoders, make_encoder
from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.evals.localization_head import LocalizationHead
from rvmae_jax.evals.progress import progress
from rvmae_jax.evals.proposals import propose
from rvmae_jax.evals.videos import Videos
from rvmae_jax.metrics.localization import (
  AMBIGUOUS,
  THUMOS_THRESHOLDS,
  Detections,
  Truth,
  mean_average_precision,
)
from rvmae_jax.registry import check_settings


class Example(NamedTuple):
  """A video, its features by encoder, and the edges of its steps in seconds."""

  video: UntrimmedVideo
  features: Mapping[str, np.ndarray]
  edges_s: np.ndarray

  def truth(self) -> Truth:
    """In seconds."""
    return Truth(self.video.segments_s, self.video.labels)

  def truth_in_steps(self) -> Truth:
    """In steps, fractions included; cut off at the ends of the video."""
    numbers = np.arange(len(self.edges_s))
    steps = np.interp(self.video.segments_s, self.edges_s, numbers)
    return Truth(steps, self.video.labels)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LocalizationEval(Evaluation):
  """mAP at tIoU of a small head on frozen features, and of baselines.

  The same head learns from each encoder; see `evals.localization_head`.

  Attributes:
    videos: for the size of frames; nothing else is read of it.
    dataset: an entry of `LOCALIZATION_SETS` and its settings.
    train, test: changes to it that choose the videos to train and to test on;
      with a `name`, another entry.
    num_folds: above 0: `train` is not read, and a head is tested on each of as
      many parts of the test videos after training on the others.
    encoders: what is compared, see `evals.features.ENCODERS`.
    thresholds: of tIoU.
    fps: frames that are read of a second, see `UntrimmedVideo.read`.
    frames_per_step: of those read.
    window: frames at once, of a model of clips.
    head: settings of `LocalizationHead`.
  """

  reads = ('crop',)

  videos: Videos
  dataset: Mapping[str, Any]
  train: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  test: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  num_folds: int = 0
  encoders: Sequence[str] = ('trained', 'random', 'pixels')
  thresholds: Sequence[float] = THUMOS_THRESHOLDS
  fps: float = 0
  frames_per_step: int = 2
  window: int = 16
  head: Mapping[str, Any] = dataclasses.field(default_factory=dict)

  def __post_init__(self):
    check_encoders(self.encoders)
    given = 'num_classes', 'seed'
    check_settings('setting of head', LocalizationHead, self.head, given)
    if self.num_folds == 1 or self.num_folds < 0:
      raise ValueError(
        f'num_folds={self.num_folds} leaves no videos to learn from; use 2 or '
        'more, or 0 with videos of their own in train.'
      )
    if self.num_folds:
      self.refuse_unused(('train',), f'with num_folds={self.num_folds}')

  @property
  def num_trainings(self) -> int:
    """How many heads are trained."""
    return max(self.num_folds, 1) * len(self.encoders)

  def run(self, functions: ModelFunctions) -> Result:
    """`<encoder>/map_50` for a threshold of 0.5, and `<encoder>/mean_map`.

    Also `num_train`, `num_test` (videos), `num_segments` (of test) and
    `num_classes`.

    Arrays, of the test videos, all times in seconds: `truth` [n, 4] (video,
    start, end, label), `detections` [m, 6] (place in `encoders`, video, start,
    end, label, score), `duration_s` [videos]; and names: `encoders`,
    `class_names`, `video_names`.

    Raises:
      ValueError: too few videos, or other classes in `train`.
    """
    learned = tested = self._dataset(self.test)
    if not self.num_folds:
      learned = self._dataset(self.train)
      check_same_classes(
        {'train': learned.class_names}, {'test': tested.class_names}
      )
      if both := _files(learned) & _files(tested):
        raise ValueError(
          f'{len(both)} files are in train and in test, such as {min(both)}; '
          'give each its own, such as train.subset and test.subset.'
        )
    class_names = max(tested.class_names, learned.class_names, key=len)
    test = self._read(functions, tested)
    train = test if self.num_folds else self._read(functions, learned)
    if len(test) < max(self.num_folds, 1) or not train:
      raise ValueError(
        f'{len(train)} training videos and {len(test)} test videos are too few '
        f'for num_folds={self.num_folds}.'
      )
    truths = [example.truth() for example in test]
    labels = np.concatenate([truth.labels for truth in truths])
    num_classes = len(class_names)
    metrics = {
      'num_train': len(train),
      'num_test': len(test),
      'num_segments': int((labels != AMBIGUOUS).sum()),
      'num_classes': num_classes,
    }
    detections = {}
    for encoder in test[0].features:
      found = self._detect(encoder, train, test, num_classes)
      values = mean_average_precision(truths, found, self.thresholds)
      for threshold, value in zip(self.thresholds, values):
        metrics[f'{encoder}/map_{100 * threshold:.0f}'] = float(value)
      metrics[f'{encoder}/mean_map'] = float(values.mean())
      logging.info('Localization of %s: mAP %.3f', encoder, values.mean())
      detections[encoder] = found
    arrays = {
      'class_names': np.array(class_names),
      'video_names': np.array([example.video.name for example in test]),
      'duration_s': np.array([example.edges_s[-1] for example in test]),
      'encoders': np.array(list(detections)),
      'truth': _truth_table(truths),
      'detections': _detection_table(detections),
    }
    return Result(metrics, arrays)

  def test_files(self) -> list[str]:
    """Where the test videos come from; see `evals.leakage`."""
    return sorted(_files(self._dataset(self.test)))

  def _dataset(self, changes: Mapping[str, Any]) -> LocalizationSet:
    base = {} if 'name' in changes else self.dataset
    return LOCALIZATION_SETS.build({**base, **changes})

  def _read(
    self, functions: ModelFunctions, dataset: LocalizationSet
  ) -> list[Example]:
    """All videos that can be read; their features stay in the cache."""
    size, seed, window = self.videos.size, self.videos.seed, self.window
    steps = self.fps, self.frames_per_step
    # With their segments: the same files may be annotated in several ways.
    known = [
      (video.parts, video.segments_s.tolist(), video.labels.tolist())
      for video in dataset.videos
    ]
    key = json.dumps(
      [known, self.encoders, size, seed, window, steps], default=str
    )
    if key not in functions.cache:
      clip = np.zeros((1, window, *size, 3), np.uint8)
      encoders = {
        name: make_encoder(name, functions, clip, seed)
        for name in self.encoders
      }
      examples = []
      for video in progress(dataset.videos, len(known), 'untrimmed videos'):
        try:
          examples.append(self.read_steps(video, encoders))
        except VideoError as error:
          logging.warning('Localization continues without %s', error)
      functions.cache[key] = examples
    return functions.cache[key]

  def read_steps(
    self, video: UntrimmedVideo, encoders: Mapping[str, Encoder]
  ) -> Example:
    """Reads a video once, for all encoders.

    A frame's features are the mean over its tokens, a step's those over its
    frames. A recurrent network reads on from the first frame to the last.
    """

    def by_frame(encoder, frames):
      for features in DenseEncoder(encoder, window=self.window)(frames):
        yield from features.mean(1)

    copies = itertools.tee(
      video.read(self.videos.size, self.fps), len(encoders)
    )
    # Side by side, so that no more frames wait than one encoder takes at once.
    rows = zip(*map(by_frame, encoders.values(), copies))
    steps = collections.defaultdict(list)
    while step := list(itertools.islice(rows, self.frames_per_step)):
      for encoder, features in zip(encoders, zip(*step)):
        steps[encoder].append(np.mean(features, axis=0))
    times_s = video.times_s(self.fps)
    edges_s = np.append(times_s[: -1 : self.frames_per_step], times_s[-1])
    return Example(video, {k: np.stack(v) for k, v in steps.items()}, edges_s)

  def _detect(
    self,
    encoder: str,
    train: Sequence[Example],
    test: Sequence[Example],
    num_classes: int,
  ) -> list[Detections]:
    """Proposals of each test video, in seconds."""
    found: list[Any] = [None] * len(test)
    head = LocalizationHead(
      num_classes=num_classes, seed=self.videos.seed, **self.head
    )
    for fold in range(max(self.num_folds, 1)):
      asked = range(fold, len(test), max(self.num_folds, 1))
      learned = [
        example
        for number, example in enumerate(train)
        if not self.num_folds or number not in asked
      ]
      localize, _ = head.fit(
        [example.features[encoder] for example in learned],
        [example.truth_in_steps() for example in learned],
      )
      for number in asked:
        _, features, edges_s = test[number]
        proposals = propose(*localize(features[encoder]))
        segments = np.interp(
          proposals.segments, np.arange(len(edges_s)), edges_s
        )
        found[number] = proposals._replace(segments=segments)
    return found


def _files(dataset: LocalizationSet) -> set[str]:
  """Those that its videos are made of."""
  return {path_of(part) for video in dataset.videos for part in video.parts}


def _truth_table(truths: Sequence[Truth]) -> np.ndarray:
  """[n, 4] video, start, end, label."""
  return np.concatenate(
    [
      np.column_stack([np.full(len(labels), number), segments, labels])
      for number, (segments, labels) in enumerate(truths)
    ]
  )


def _detection_table(
  detections: Mapping[str, Sequence[Detections]],
) -> np.ndarray:
  """[m, 6] encoder, video, start, end, label, score."""
  rows = []
  for place, of_encoder in enumerate(detections.values()):
    for number, (segments, labels, scores) in enumerate(of_encoder):
      origin = np.full((len(scores), 2), (place, number))
      rows.append(np.column_stack([origin, segments, labels, scores]))
  return np.concatenate(rows)
