"""What evaluations of frozen features share: train on train, test on test.

Probe            which videos, baselines, seeds; from answers to numbers
  FeatureProbe     a classifier of pooled features
    KnnEval, LinearProbeEval
  AttentiveProbeEval   a classifier of all tokens
"""

import abc
import collections
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from absl import logging

from rvmae_jax.evals import Evaluation, Result
from rvmae_jax.evals.answers import Answer, measure, over_seeds, picture_arrays
from rvmae_jax.evals.features import (
  FeatureSet,
  check_encoders,
  check_poolings,
  extract,
)
from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.evals.kept_probe import KeptProbe, LinearClassifier
from rvmae_jax.evals.strata import accuracy_by_group, read_columns
from rvmae_jax.evals.videos import Videos
from rvmae_jax.evals.views import Views
from rvmae_jax.metrics.classification import chance_accuracy
from rvmae_jax.metrics.features import mean_and_scale, standardise
from rvmae_jax.registry import check_counts


class Answers(NamedTuple):
  """Everything that was answered about the test videos.

  Attributes:
    labels: [videos] int, the truth.
    places: [videos, 2] int, which records they are.
    num_train: videos that were learned from.
    given: '<encoder>/<pooling>' -> one answer for each seed.
  """

  labels: np.ndarray
  places: np.ndarray | None
  num_train: int
  given: Mapping[str, Sequence[Answer]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Probe(Evaluation):
  """A classifier on frozen features, the same for a network and its baselines.

  A test video may be seen as several views, see `evals.views`, whose class
  probabilities are averaged.

  Attributes:
    train: the videos to learn from.
    test: the videos to be tested on.
    encoders: what is probed, see `evals.features.ENCODERS`.
    seeds: of all that is drawn (random weights, the held-out videos, a head's
      parameters); from two up, numbers are means, with deviations.
    num_clips: views of a test video in time.
    num_crops: views of each of them in space.
    strata: columns by whose values accuracies are split, see `evals.strata`.
  """

  sides = ('train', 'test')

  train: Videos
  test: Videos
  encoders: Sequence[str] = ('trained',)
  seeds: int = 1
  num_clips: int = 1
  num_crops: int = 1
  strata: Sequence[str] = ()

  def __post_init__(self):
    check_encoders(self.encoders)
    check_counts(self, 'seeds')
    self.views()

  @abc.abstractmethod
  def answer(self, functions: ModelFunctions) -> Answers | str:
    """Learns and answers; or says why there is nothing to learn or to ask."""

  def run(self, functions: ModelFunctions) -> Result:
    """Numbers as `<encoder>/<pooling>/top1`, see `evals.answers.measure`.

    Beside them stand the numbers of each answer, `chance` (always the most
    frequent class), `num_train`, `num_test` and `num_classes`, and
    `strata/<encoder>/<pooling>/<column>/<value>/...` as of
    `evals.strata.accuracy_by_group`; nothing at all where a split has no
    labels. Arrays are those of the first seed, see
    `evals.answers.picture_arrays`, `places`, and linear classifiers of the
    network, see `evals.kept_probe`.
    """
    answers = self.answer(functions)
    if isinstance(answers, str):
      return self.skipped(answers)
    return self.count(answers)

  def count(self, answers: Answers) -> Result:
    """The result of `run` from what was answered."""
    labels, given = answers.labels, answers.given
    groups = read_columns(self.test, answers.places, self.strata)
    first = {name: by_seed[0].probabilities for name, by_seed in given.items()}
    arrays = picture_arrays(first, labels, self.test.class_names)
    for by_seed in given.values():
      if by_seed[0].kept:
        arrays |= by_seed[0].kept.arrays()
    if answers.places is not None:
      arrays['places'] = answers.places
    metrics = {
      'chance': chance_accuracy(labels),
      'num_classes': next(iter(first.values())).shape[1],
      'num_train': answers.num_train,
      'num_test': len(labels),
    }
    for name, by_seed in given.items():
      numbers = over_seeds(
        [{**measure(a.probabilities, labels), **a.numbers} for a in by_seed]
      )
      metrics |= {f'{name}/{key}': value for key, value in numbers.items()}
      metrics |= accuracy_by_group(
        first[name], labels, groups, f'strata/{name}'
      )
      logging.info(
        '%s of %s: %.1f %%', type(self).__name__, name, 100 * numbers['top1']
      )
    return Result(metrics, arrays)

  def views(self) -> Views:
    """The views of test videos."""
    return Views.of(self.test, self.num_clips, self.num_crops)


def why_unasked(train_labels: np.ndarray, test_labels: np.ndarray) -> str:
  """Why labels of both splits allow no probe; '' if they do."""
  for split, labels in (('train', train_labels), ('test', test_labels)):
    if not len(labels):
      return f'no labels in its {split} videos'
  has_classes = len(np.unique(train_labels)) > 1
  return '' if has_classes else 'its train videos have one class'


# Class probabilities [m, classes] of features [m, D].
Classify = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class FeatureProbe(Probe):
  """A probe of pooled features.

  A subclass says how a classifier is fitted; here features are extracted, and
  standardised by the training videos.

  Attributes:
    poolings: how a clip becomes a vector, see `evals.pooling`.
  """

  poolings: Sequence[str] = ('mean_std_8',)

  def __post_init__(self):
    super().__post_init__()
    check_poolings(self.poolings, self.train)
    check_poolings(self.poolings, self.test, self.num_clips)

  @abc.abstractmethod
  def fit(
    self, features: np.ndarray, labels: np.ndarray, seed: int
  ) -> tuple[Classify, dict[str, float]]:
    """A classifier, and numbers of how it came about.

    Args:
      features: [n, D], standardised.
      labels: [n] int, 0 to classes - 1.
      seed: of whatever is drawn.

    Returns:
      The class probabilities of standardised features, and see `Answer`.
    """

  def answer(self, functions):
    """One answer for each encoder, pooling and seed."""
    pairs = []
    for number in range(self.seeds):
      seed = self.train.seed + number
      asked = self.encoders, self.poolings
      train = extract(functions, self.train, *asked, seed=seed)
      test = extract(
        functions, self.test, *asked, seed=seed, views=self.views()
      )
      if reason := why_unasked(train.labels, test.labels):
        return reason
      pairs.append((train, test))
    return self.answer_pairs(pairs)

  def answer_pairs(
    self, pairs: Sequence[tuple[FeatureSet, FeatureSet]]
  ) -> Answers:
    """Answers from train and test features that are there, a pair a seed."""
    train, test = pairs[0]
    # Labels may have gaps; classifiers count from 0 to classes - 1.
    classes, labels = np.unique(train.labels, return_inverse=True)
    num_classes = int(max(train.labels.max(), test.labels.max())) + 1
    given = collections.defaultdict(list)
    for number, (train, test) in enumerate(pairs):
      for encoder in train.pooled:
        for pooling in self.poolings:
          learned, asked = standardise(
            train.pooled[encoder][pooling], test.pooled[encoder][pooling]
          )
          classify, numbers = self.fit(
            learned, labels, self.train.seed + number
          )
          # [m, D] or [m, views, D] -> [m * views, D]
          found = classify(asked.reshape(-1, asked.shape[-1]))
          # A class that train lacks is never the answer.
          probabilities = np.zeros((len(asked), num_classes))
          # [m, views, classes] -> [m, classes]
          probabilities[:, classes] = found.reshape(
            len(asked), -1, len(classes)
          ).mean(1)
          kept = None
          if encoder == 'trained' and isinstance(classify, LinearClassifier):
            kept = KeptProbe(
              pooling,
              *mean_and_scale(train.pooled[encoder][pooling]),
              *classify,
              classes,
              self.train.num_frames,
            )
          given[f'{encoder}/{pooling}'].append(
            Answer(probabilities, numbers, kept)
          )
    return Answers(test.labels, test.places, len(train.labels), given)
