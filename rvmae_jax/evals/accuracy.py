"""How often a classifier names the class of a video."""

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np
from absl import logging

from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.evals.strata import accuracy_by_group, read_columns
from rvmae_jax.evals.videos import Videos
from rvmae_jax.metrics.classification import chance_accuracy, top_k_accuracy


@dataclasses.dataclass(kw_only=True)
class AccuracyEval:
  """Top-1 and top-5 accuracy of a network with `logits`.

  Each video may be seen as several views, whose class probabilities are
  averaged. Views are cut out of one longer and wider clip: VideoMAE's 5 x 3 on
  Kinetics are `num_clips=5, num_crops=3` with
  `data={'clip': {'num_frames': 80}, 'crop': {'size': (224, 400)}}`.

  Attributes:
    videos: what to read; without masks.
    num_batches: of the videos; 0 takes all.
    num_clips: equal parts in time; of frames that are spread over the video
      (`data.clip.stride` 0), every `num_clips`-th frame instead.
    num_crops: squares from the left to the right edge (or from top to bottom).
    strata: columns by whose values accuracy is split, see `evals.strata`.
    arrays: `scores` [videos, classes] and `labels` [videos] of the last run.
  """

  videos: Videos
  num_batches: int = 0
  num_clips: int = 1
  num_crops: int = 1
  strata: Sequence[str] = ()
  arrays: dict[str, np.ndarray] = dataclasses.field(
    default_factory=dict, init=False
  )

  def __post_init__(self):
    if min(self.num_clips, self.num_crops) < 1:
      raise ValueError(
        f'num_clips={self.num_clips} and num_crops={self.num_crops} must be at '
        'least 1.'
      )
    clip = self.videos.data.clip
    self._is_spread = not (clip.get('stride', 0) or clip.get('step_s', 0))

  def run(self, functions: ModelFunctions, step: int = 0) -> dict[str, float]:
    """`top1`, `top5` (from 10 classes up), `chance`, `num_videos`.

    Also `strata/<column>/<value>/...` as of `evals.strata.accuracy_by_group`.
    Nothing at all where no video has a label.
    """
    del step
    scores, labels, places = [], [], []
    for batch in self.videos.changed({'mask': None}).batches(self.num_batches):
      keep = batch['valid'] & (batch['label'] >= 0)
      if not keep.any():
        continue
      views = self.views(batch['video'])
      probabilities = sum(
        jax.nn.softmax(functions.predict({**batch, 'video': view})['logits'])
        for view in views
      ) / len(views)
      scores.append(np.asarray(probabilities)[keep])
      labels.append(batch['label'][keep])
      place = np.stack([batch['host/source'], batch['host/record']], axis=1)
      places.append(place[keep])
    if not labels:
      logging.info('%s skipped: no labels in its videos.', type(self).__name__)
      return {}
    scores, labels = np.concatenate(scores), np.concatenate(labels)
    self.arrays = {'scores': scores, 'labels': labels}
    groups = read_columns(self.videos, np.concatenate(places), self.strata)
    return {
      f'top{k}': top_k_accuracy(scores, labels, k)
      for k in ((1, 5) if scores.shape[1] >= 10 else (1,))
    } | {
      'chance': chance_accuracy(labels),
      'num_videos': len(labels),
      **accuracy_by_group(scores, labels, groups),
    }

  def views(self, video: np.ndarray) -> list[np.ndarray]:
    """The views of clips [B, T, H, W, 3], each with T / num_clips frames.

    Raises:
      ValueError: the clips are not as many times longer than a view.
    """
    if video.shape[1] % self.num_clips:
      raise ValueError(
        f'{video.shape[1]} frames cannot be cut into num_clips='
        f'{self.num_clips} equal clips; set data.clip.num_frames to a multiple.'
      )
    if self._is_spread:
      clips = [video[:, i :: self.num_clips] for i in range(self.num_clips)]
    else:
      clips = np.split(video, self.num_clips, axis=1)
    return [view for clip in clips for view in self._crops(clip)]

  def _crops(self, clip: np.ndarray) -> list[np.ndarray]:
    if self.num_crops == 1:
      return [clip]
    height, width = clip.shape[2:4]
    side, axis = min(height, width), 2 if height > width else 3
    starts = np.linspace(0, max(height, width) - side, self.num_crops)
    return [
      clip.take(range(start, start + side), axis)
      for start in starts.round().astype(int)
    ]
