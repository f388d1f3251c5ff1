"""How often a classifier names the class of a video."""

import dataclasses
from collections.abc import Sequence

import jax

from rvmae_jax.evals import Evaluation, Result
from rvmae_jax.evals.answers import measure, picture_arrays
from rvmae_jax.evals.features import gather
from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.evals.strata import accuracy_by_group, read_columns
from rvmae_jax.evals.videos import Videos
from rvmae_jax.evals.views import Views
from rvmae_jax.metrics.classification import chance_accuracy


@dataclasses.dataclass(frozen=True, kw_only=True)
class AccuracyEval(Evaluation):
  """Accuracy and calibration of a network with `logits`.

  Each video may be seen as several views, see `evals.views`, whose class
  probabilities are averaged.

  Attributes:
    videos: what to read.
    num_batches: of the videos; 0 takes all.
    num_clips: views of a video in time.
    num_crops: views of each of them in space.
    strata: columns by whose values accuracy is split, see `evals.strata`.
  """

  asks_classifier = True
  # The classifier is tested on clips of the kind that it learned from.
  as_trained = ('clip', 'crop')

  videos: Videos
  num_batches: int = 0
  num_clips: int = 1
  num_crops: int = 1
  strata: Sequence[str] = ()

  def __post_init__(self):
    self.views()

  def views(self) -> Views:
    """The views of each video."""
    return Views.of(self.videos, self.num_clips, self.num_crops)

  def run(self, functions: ModelFunctions) -> Result:
    """The numbers of `evals.answers.measure`, `chance` and `num_videos`.

    Also `strata/<column>/<value>/...` as of `evals.strata.accuracy_by_group`.
    Nothing at all where no video has a label. Arrays: `scores` [videos,
    classes], `places` [videos, 2] (`host/source` and `host/record`), and see
    `answers.picture_arrays`.

    Raises:
      ValueError: a label that the network has no place for.
    """

    def classify(batch):
      return {'': jax.nn.softmax(functions.predict(batch)['logits'])}

    batches = self.videos.batches(self.num_batches, 'accuracy')
    rows, labels, places = gather(classify, batches, self.views())
    if not rows:
      return self.skipped('no labels in its videos')
    scores = rows[''].mean(1)
    if labels.max() >= scores.shape[1]:
      raise ValueError(
        f'Videos have labels up to {labels.max()}, but the network has '
        f'{scores.shape[1]} classes, numbered from 0. Use videos of its '
        'classes.'
      )
    groups = read_columns(self.videos, places, self.strata)
    metrics = {
      **measure(scores, labels),
      'chance': chance_accuracy(labels),
      'num_videos': len(labels),
      **accuracy_by_group(scores, labels, groups),
    }
    arrays = picture_arrays({'': scores}, labels, self.videos.class_names)
    return Result(metrics, {'scores': scores, 'places': places, **arrays})
