"""Robustness: what is left of features when videos are corrupted."""

import concurrent.futures
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rvmae_jax.data.classes import check_same_classes
from rvmae_jax.data.corruptions import (
  CORRUPTIONS,
  SEVERITIES,
  check_corruption,
  corrupt,
)
from rvmae_jax.evals.features import batch_places, extract, labelled
from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.evals.linear_probe import LinearProbeEval
from rvmae_jax.evals.progress import progress
from rvmae_jax.evals.videos import Videos
from rvmae_jax.metrics.classification import chance_accuracy
from rvmae_jax.metrics.features import cosines

# A corruption and its severity.
Change = tuple[str, int]
_CLEAN = ('clean', 0)


@dataclasses.dataclass(kw_only=True)
class RobustnessEval:
  """Accuracy and likeness of features of corrupted videos.

  A linear probe learns from clean training videos and is asked about test
  videos, clean and with each corruption at each severity. Beside its accuracy
  stands the cosine similarity of corrupted and clean features of the same
  video, standardised by the training videos. How far shuffled and reversed
  frames hurt tells how much the features make of time.

  Attributes:
    videos: what to read; its clips should be as long as the features need.
    train: changes to its data config that choose the videos to learn from.
    test: changes to it that choose the videos to be corrupted.
    pooling: how a clip becomes a vector, see `evals.pooling.POOLINGS`.
    corruptions: names in `data.corruptions.CORRUPTIONS`; empty takes all.
    severities: of 1 to 5.
    arrays: of the last run: `corruptions` and `severities`, `top1` and
      `similarity` [corruptions, severities], `clean_top1`, and `examples`
      [corruptions, 1 + severities, H, W, 3] uint8: the middle frame of the
      first video, clean and corrupted.
  """

  videos: Videos
  train: Mapping[str, Any]
  test: Mapping[str, Any]
  pooling: str = 'mean_std_8'
  corruptions: Sequence[str] = ()
  severities: Sequence[int] = SEVERITIES
  arrays: dict[str, np.ndarray] = dataclasses.field(
    default_factory=dict, init=False
  )

  def __post_init__(self):
    self.corruptions = tuple(self.corruptions or CORRUPTIONS)
    self._changes = [(n, s) for n in self.corruptions for s in self.severities]
    for change in self._changes:
      check_corruption(*change)
    self._probe = LinearProbeEval(
      videos=self.videos,
      train=self.train,
      test=self.test,
      poolings=(self.pooling,),
    )

  def run(self, functions: ModelFunctions, step: int = 0) -> dict[str, float]:
    """`top1/<corruption>/severity_3` and `.../mean`, `similarity/...` too.

    Also `clean/top1`, `clean/chance` and `clean/num_videos`; nothing at all
    where videos have no labels.
    """
    del step
    train_videos, test_videos = (
      self.videos.changed(changes) for changes in (self.train, self.test)
    )
    check_same_classes(
      train_videos.classes('train'), test_videos.classes('test')
    )
    train = extract(functions, train_videos, ('trained',))
    pooled, labels = self._pool_corrupted(functions, test_videos)
    if not self._probe.is_askable(train.labels, labels):
      return {}
    features = train.pooled['trained'][self.pooling]
    mean, scale = features.mean(0), features.std(0) + 1e-6
    classes, train_labels = np.unique(train.labels, return_inverse=True)
    classify, _ = self._probe.fit(
      (features - mean) / scale, train_labels, self.videos.seed
    )
    pooled = {key: (values - mean) / scale for key, values in pooled.items()}

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
    for kind, measure in (('top1', top1), ('similarity', similarity)):
      table = np.reshape(
        [measure(change) for change in self._changes],
        (len(self.corruptions), len(self.severities)),
      )
      self.arrays[kind] = table
      for name, row in zip(self.corruptions, table.tolist()):
        for severity, value in zip(self.severities, row):
          metrics[f'{kind}/{name}/severity_{severity}'] = value
        metrics[f'{kind}/{name}/mean'] = float(np.mean(row))
    self.arrays |= {
      'corruptions': np.array(self.corruptions),
      'severities': np.array(self.severities),
      'clean_top1': np.array(metrics['clean/top1']),
    }
    return metrics

  def _pool_corrupted(
    self, functions: ModelFunctions, videos: Videos
  ) -> tuple[dict[Change, np.ndarray], np.ndarray]:
    """Pooled features of labelled videos by change, [n, D], and labels [n]."""
    videos = videos.changed({'mask': None})
    pooled = {change: [] for change in (_CLEAN, *self._changes)}
    labels = [np.zeros(0, np.int32)]
    batches = progress(videos.batches(), videos.num_videos, 'robustness')
    with concurrent.futures.ThreadPoolExecutor() as threads:
      for batch in batches:
        keep = labelled(batch)
        if not keep.any():
          continue
        keys = [(videos.seed, *place) for place in batch_places(batch).tolist()]
        examples = []
        for change in pooled:
          video = batch['video']
          if change != _CLEAN:
            rows = threads.map(
              lambda clip, key, change=change: corrupt(clip, *change, key),
              video,
              keys,
            )
            video = np.stack(list(rows))
          pooled[change].append(functions.pooled(video)[self.pooling][keep])
          examples.append(video[keep][0, video.shape[1] // 2])
        if len(labels) == 1:
          self.arrays['examples'] = self._rows_of_examples(examples)
        labels.append(batch['label'][keep])
    return {
      change: np.concatenate(rows) for change, rows in pooled.items() if rows
    }, np.concatenate(labels)

  def _rows_of_examples(self, examples: Sequence[np.ndarray]) -> np.ndarray:
    """[corruptions, 1 + severities, H, W, 3], the clean frame first."""
    clean, *corrupted = examples
    width = len(self.severities)
    return np.stack(
      [
        np.stack([clean, *corrupted[i * width : (i + 1) * width]])
        for i in range(len(self.corruptions))
      ]
    )
