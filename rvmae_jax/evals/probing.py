"""What evaluations of frozen features share: fit on train, ask about test."""

import abc
import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging

from rvmae_jax.evals.features import FeatureSet, extract
from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.evals.pooling import POOLINGS
from rvmae_jax.evals.strata import accuracy_by_group, read_columns
from rvmae_jax.evals.videos import Videos
from rvmae_jax.metrics.classification import chance_accuracy, top_k_accuracy
from rvmae_jax.registry import near_names


@dataclasses.dataclass(kw_only=True)
class FeatureProbe(abc.ABC):
  """A classifier on pooled features, the same for a network and its baselines.

  A subclass says how test videos are scored; here features are extracted,
  standardised by the training videos, and accuracies are counted.

  Attributes:
    videos: what to read; its clips should be as long as the features need.
    train: changes to its data config that choose the videos to learn from.
    test: changes to it that choose the videos to be asked about.
    sources: what is probed, see `evals.features.SOURCES`.
    poolings: how a clip becomes a vector, see `evals.pooling.POOLINGS`.
    strata: columns by whose values accuracies are split, see `evals.strata`.
    arrays: empty; the numbers say everything.
  """

  videos: Videos
  train: Mapping[str, Any]
  test: Mapping[str, Any]
  sources: Sequence[str] = ('trained',)
  poolings: Sequence[str] = ('mean_std_8',)
  strata: Sequence[str] = ()
  arrays: dict[str, np.ndarray] = dataclasses.field(
    default_factory=dict, init=False
  )

  def __post_init__(self):
    if unknown := set(self.poolings) - set(POOLINGS):
      name = min(unknown)
      raise ValueError(
        f'Unknown pooling {name!r}. {near_names(name, POOLINGS)}'
      )

  @abc.abstractmethod
  def scores(
    self, train: np.ndarray, labels: np.ndarray, test: np.ndarray
  ) -> np.ndarray:
    """Scores [m, classes] of test features [m, D].

    Args:
      train: [n, D], standardised.
      labels: [n] int, 0 to classes - 1.
      test: [m, D], standardised like `train`.
    """

  def run(self, functions: ModelFunctions, step: int = 0) -> dict[str, float]:
    """Accuracies as `<source>/<pooling>/top1` (and top5 from 10 classes up).

    Also `chance` (always the most frequent class), `num_train`, `num_test` and
    `num_classes`, and `strata/<source>/<pooling>/<column>/<value>/...` as of
    `evals.strata.accuracy_by_group`; nothing at all where a split has no
    labels.
    """
    del step
    train, test = (
      extract(functions, self.videos.changed(changes), self.sources)
      for changes in (self.train, self.test)
    )
    name = type(self).__name__
    for split, features in (('train', train), ('test', test)):
      if not len(features.labels):
        logging.info('%s skipped: no labels in its %s videos.', name, split)
        return {}
    if len(np.unique(train.labels)) < 2:
      logging.info('%s skipped: its train videos have one class.', name)
      return {}
    groups = read_columns(
      self.videos.changed(self.test), test.places, self.strata
    )
    return self.compare(train, test, groups)

  def compare(
    self,
    train: FeatureSet,
    test: FeatureSet,
    groups: Mapping[str, np.ndarray] | None = None,
  ) -> dict[str, float]:
    """The numbers of `run` from features that are there already.

    Args:
      train, test: features.
      groups: column -> [test videos] values.
    """
    # Labels may have gaps; classifiers count from 0 to classes - 1.
    classes, labels = np.unique(train.labels, return_inverse=True)
    num_classes = int(max(train.labels.max(), test.labels.max())) + 1
    metrics = {
      'chance': chance_accuracy(test.labels),
      'num_classes': num_classes,
      'num_train': len(train.labels),
      'num_test': len(test.labels),
    }
    for source, pooling in itertools.product(self.sources, self.poolings):
      features = train.pooled[source][pooling]
      mean, scale = features.mean(0), features.std(0) + 1e-6
      # A class that train lacks is never the answer.
      scores = np.full((len(test.labels), num_classes), -np.inf)
      scores[:, classes] = self.scores(
        (features - mean) / scale,
        labels,
        (test.pooled[source][pooling] - mean) / scale,
      )
      for k in (1, 5) if num_classes >= 10 else (1,):
        key = f'{source}/{pooling}/top{k}'
        metrics[key] = top_k_accuracy(scores, test.labels, k)
      metrics |= accuracy_by_group(
        scores, test.labels, groups or {}, f'strata/{source}/{pooling}'
      )
      logging.info(
        '%s of %s, %s: %.1f %%',
        *(type(self).__name__, source, pooling),
        100 * metrics[f'{source}/{pooling}/top1'],
      )
    return metrics
