"""How often a classifier names the class of a video."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import jax
import numpy as np
from absl import logging

from rvmae_jax.evals import Result
from rvmae_jax.evals.answers import measure, picture_arrays
from rvmae_jax.evals.features import batch_places, labelled
from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.evals.strata import accuracy_by_group, read_columns
from rvmae_jax.evals.videos import Videos
from rvmae_jax.evals.views import Views
from rvmae_jax.metrics.classification import chance_accuracy


@dataclasses.dataclass(frozen=True, kw_only=True)
class AccuracyEval:
  """How right, and how rightly sure, a network with `logits` is.

  Each video may be seen as several views, whose class probabilities are
  averaged. Views are cut out of one longer and wider clip: VideoMAE's 5 x 3 on
  Kinetics are `num_clips=5, num_crops=3` with `data={'clip': {..., 'num_clips':
  5}, 'crop': {'size': (224, 400)}}`, in which the sampler takes 5 clips from
  the first possible start to the last.

  Attributes:
    videos: what to read.
    num_batches: of the videos; 0 takes all.
    num_clips: equal parts in time; of one clip that is spread over the video
      (`data.clip.stride` 0), every `num_clips`-th frame instead.
    num_crops: squares from the left to the right edge (or from top to bottom).
    strata: columns by whose values accuracy is split, see `evals.strata`.
  """

  # What is asked has learned from the run's videos, not from its own.
  asks_classifier: ClassVar = True

  videos: Videos
  num_batches: int = 0
  num_clips: int = 1
  num_crops: int = 1
  strata: Sequence[str] = ()

  def run(self, functions: ModelFunctions, step: int = 0) -> Result:
    """The numbers of `evals.answers.measure`, `chance` and `num_videos`.

    Also `strata/<column>/<value>/...` as of `evals.strata.accuracy_by_group`.
    Nothing at all where no video has a label. Arrays: `scores` [videos,
    classes], `places` [videos, 2] (`host/source` and `host/record`), and see
    `answers.picture_arrays`.

    Raises:
      ValueError: a label that the network has no place for.
    """
    del step
    cutter = Views.of(self.videos, self.num_clips, self.num_crops)
    scores, labels, places = [], [], []
    for batch in self.videos.batches(self.num_batches):
      keep = labelled(batch)
      if not keep.any():
        continue
      views = cutter.cut(batch['video'])
      probabilities = sum(
        jax.nn.softmax(functions.predict({**batch, 'video': view})['logits'])
        for view in views
      ) / len(views)
      scores.append(np.asarray(probabilities)[keep])
      labels.append(batch['label'][keep])
      places.append(batch_places(batch)[keep])
    if not labels:
      logging.info('%s skipped: no labels in its videos.', type(self).__name__)
      return Result({}, {})
    scores, labels = np.concatenate(scores), np.concatenate(labels)
    if labels.max() >= scores.shape[1]:
      raise ValueError(
        f'Videos have the label {labels.max()}, and the network knows '
        f'{scores.shape[1]} classes, from 0. Ask about videos with its classes.'
      )
    places = np.concatenate(places)
    groups = read_columns(self.videos, places, self.strata)
    metrics = {
      **measure(scores, labels),
      'chance': chance_accuracy(labels),
      'num_videos': len(labels),
      **accuracy_by_group(scores, labels, groups),
    }
    arrays = picture_arrays({'': scores}, labels, self.videos.class_names)
    return Result(metrics, {'scores': scores, 'places': places, **arrays})
