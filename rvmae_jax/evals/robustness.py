"""Robustness: what is left of features when videos are corrupted."""

import concurrent.futures
import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from rvmae_jax.data.corruptions import (
  CORRUPTIONS,
  SEVERITIES,
  check_corruption,
  corrupt,
)
from rvmae_jax.evals import Evaluation, Result
from rvmae_jax.evals.features import (
  batch_places,
  check_finite,
  check_poolings,
  extract,
  gather,
  labelled,
)
from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.evals.linear_probe import LinearProbeEval
from rvmae_jax.evals.probing import why_unasked
from rvmae_jax.evals.videos import Videos
from rvmae_jax.evals.views import Views
from rvmae_jax.metrics.classification import chance_accuracy
from rvmae_jax.metrics.features import cosines, standardise

# A corruption and its severity.
Change = tuple[str, int]
_CLEAN = ('clean', 0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RobustnessEval(Evaluation):
  """Accuracy and similarity of features of corrupted videos.

  A linear probe learns from clean training videos and is tested on test
  videos, clean and with each corruption at each severity. Beside its accuracy
  stands the cosine similarity of corrupted and clean features of the same
  video, standardised by the training videos. How far shuffled and reversed
  frames hurt shows how much the features depend on time.

  Attributes:
    train: the videos to learn from.
    test: the videos to be corrupted.
    pooling: how a clip becomes a vector, see `evals.pooling`.
    corruptions: names in `data.corruptions.CORRUPTIONS`; empty takes all.
    severities: of 1 to 5.
  """

  sides = ('train', 'test')

  train: Videos
  test: Videos
  pooling: str = 'mean_std_8'
  corruptions: Sequence[str] = ()
  severities: Sequence[int] = SEVERITIES

  def __post_init__(self):
    self.resolve(corruptions=tuple(self.corruptions or CORRUPTIONS))
    for change in self._changes:
      check_corruption(*change)
    check_poolings((self.pooling,), self.train)
    check_poolings((self.pooling,), self.test)

  @property
  def _changes(self) -> list[Change]:
    return [(n, s) for n in self.corruptions for s in self.severities]

  @property
  def _probe(self) -> LinearProbeEval:
    return LinearProbeEval(
      train=self.train, test=self.test, poolings=(self.pooling,)
    )

  @property
  def num_trainings(self) -> int:
    """How many classifiers the linear probe trains."""
    return self._probe.num_trainings

  def run(self, functions: ModelFunctions) -> Result:
    """`top1/<corruption>/severity_3` and `.../mean`, `similarity/...` too.

    Also `clean/top1`, `clean/chance` and `clean/num_videos`; nothing at all
    where videos have no labels.

    Arrays: `corruptions` and `severities`, `top1` and `similarity`
    [corruptions, severities], `clean_top1`, and `examples` [corruptions, 1 +
    severities, H, W, 3] uint8: the middle frame of the first video, clean and
    corrupted.
    """
    train = extract(functions, self.train, ('trained',), (self.pooling,))
    pooled, labels, examples = self._pool_corrupted(functions)
    if reason := why_unasked(train.labels, labels):
      return self.skipped(reason)
    learned, *asked = standardise(
      train.pooled['trained'][self.pooling], *pooled.values()
    )
    pooled = dict(zip(pooled, asked))
    classes, train_labels = np.unique(train.labels, return_inverse=True)
    classify, _ = self._probe.fit(learned, train_labels, self.train.seed)

    def top1(change):
      answers = classes[classify(pooled[change]).argmax(1)]
      return float((answers == labels).mean())

    def similarity(change):
      return float(cosines(pooled[_CLEAN], pooled[change]).mean())

    metrics = {
      'clean/top1': top1(_CLEAN),
      'clean/chance': chance_accuracy(labels),
      'clean/num_videos': len(labels),
    }
    arrays = {}
    for kind, measure in (('top1', top1), ('similarity', similarity)):
      table = np.reshape(
        [measure(change) for change in self._changes],
        (len(self.corruptions), len(self.severities)),
      )
      arrays[kind] = table
      for name, row in zip(self.corruptions, table.tolist()):
        for severity, value in zip(self.severities, row):
          metrics[f'{kind}/{name}/severity_{severity}'] = value
        metrics[f'{kind}/{name}/mean'] = float(np.mean(row))
    arrays |= {
      'corruptions': np.array(self.corruptions),
      'severities': np.array(self.severities),
      'clean_top1': np.array(metrics['clean/top1']),
      'examples': np.array(
        [
          [examples[_CLEAN], *(examples[name, s] for s in self.severities)]
          for name in self.corruptions
        ]
      ),
    }
    return Result(metrics, arrays)

  def _pool_corrupted(
    self, functions: ModelFunctions
  ) -> tuple[dict[Change, np.ndarray], np.ndarray, dict[Change, np.ndarray]]:
    """Features of labelled videos by change, [n, D], labels, and examples."""
    videos, examples = self.test, {}

    def pooled(batch):
      keys = [(videos.seed, *place) for place in batch_places(batch).tolist()]
      found, first = {}, labelled(batch).argmax()
      for change in (_CLEAN, *self._changes):
        video = batch['video']
        if change != _CLEAN:
          settings = map(itertools.repeat, change)
          video = np.stack(list(threads.map(corrupt, video, *settings, keys)))
        found[change] = functions.pooled(video, (self.pooling,))[self.pooling]
        # A view would keep the whole batch alive.
        example = video[first, video.shape[1] // 2].copy()
        examples.setdefault(change, example)
      return found

    batches = videos.batches(what='robustness')
    with concurrent.futures.ThreadPoolExecutor() as threads:
      rows, labels, _ = gather(pooled, batches, Views())
    check_finite(rows)
    return {k: values[:, 0] for k, values in rows.items()}, labels, examples
