"""Label propagation: how well features tell what moved where."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from absl import logging

from rvmae_jax.data.tracking import TRACKING
from rvmae_jax.data.tracking.videos import TrackedVideo
from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.evals.progress import progress
from rvmae_jax.evals.tracking.encoders import SOURCES, make_encoders
from rvmae_jax.evals.tracking.pictures import Pictures
from rvmae_jax.evals.tracking.predictions import PredictionFolder
from rvmae_jax.evals.tracking.propagation import Propagation
from rvmae_jax.evals.tracking.scores import SCORES
from rvmae_jax.evals.tracking.tracker import Tracker
from rvmae_jax.evals.videos import Videos
from rvmae_jax.registry import check_known


@dataclasses.dataclass(kw_only=True)
class LabelPropagationEval:
  """Hands the labels of a first frame on by the similarity of features.

  Nothing is trained. A recurrent network reads each video whole, from a state
  of zeros; others see windows. Beside the network stand one that learned
  nothing, the colours of patches, and the labels of the first frame as they
  are. Scores are taken at the size of the labels.

  Attributes:
    videos: for patch size and seed alone; what is tracked is `dataset`.
    dataset: `name` of `rvmae_jax.data.tracking.TRACKING`, and its arguments.
    size: (height, width) of the frames that networks see; empty is the
      dataset's custom.
    sources: some of `evals.tracking.encoders.SOURCES`.
    num_videos: the first of the dataset; 0 takes all.
    num_previous, radius, top_k, temperature: see `Propagation`; top_k 0 is the
      dataset's custom.
    window, chunk, reset_every: see `evals.dense.DenseEncoder`.
    warm_up: times that a recurrent network is shown the first frame before it
      counts; published numbers have none.
    save_to: a folder for the labels that the network predicts; '' saves none.
    num_pictures: videos whose labels are kept for pictures.
    arrays: `names` of the videos of the last run, `sources`, `scores` [sources,
      videos], and what `Pictures` keeps.
  """

  videos: Videos
  dataset: Mapping[str, Any]
  size: tuple[int, ...] = ()
  sources: tuple[str, ...] = tuple(SOURCES)
  num_videos: int = 0
  num_previous: int = 20
  radius: float = 20.0
  top_k: int = 0
  temperature: float = 0.7
  window: int = 16
  chunk: int = 8
  reset_every: int = 0
  warm_up: int = 0
  save_to: str = ''
  num_pictures: int = 1
  arrays: dict[str, np.ndarray] = dataclasses.field(
    default_factory=dict, init=False
  )

  def __post_init__(self):
    check_known('source of features', SOURCES, *self.sources)
    self._dataset = TRACKING.build(self.dataset)
    self._size = tuple(self.size or self._dataset.size)
    patch_size = self.videos.patch_size
    if any(side % patch_size for side in self._size):
      near = tuple(round(side / patch_size) * patch_size for side in self._size)
      raise ValueError(
        f'Patches of {patch_size} do not tile frames of size {self._size}; '
        f'give the evaluation size={near}.'
      )
    self._propagation = Propagation(
      num_previous=self.num_previous,
      radius=self.radius,
      top_k=self.top_k or self._dataset.top_k,
      temperature=self.temperature,
    )

  def run(self, functions: ModelFunctions, step: int = 0) -> dict[str, float]:
    """Numbers of each source, as `<source>/J&F`.

    Objects have `J&F`, `J`, `F` and recalls, parts `mIoU`, keypoints `PCK@0.1`
    to `PCK@0.5`. Also `seconds_per_frame/<source>` (the median, with reading
    and encoding) and `memory_mb/<source>` of a step of propagation.
    """
    del step
    patch_size = self.videos.patch_size
    grid = tuple(side // patch_size for side in self._size)
    encoders = make_encoders(
      functions,
      self.sources,
      patch_size,
      seed=self.videos.seed,
      window=self.window,
      chunk=self.chunk,
      reset_every=self.reset_every,
      warm_up=self.warm_up,
    )
    trackers = {
      source: Tracker(encode, self._propagation, self._size, grid)
      for source, encode in encoders.items()
    }
    scores = {source: SCORES[self._dataset.kind]() for source in encoders}
    pictures = Pictures(self.num_pictures)
    count = min(len(self._dataset), self.num_videos or len(self._dataset))
    names, by_video = [], []
    videos = (self._dataset[index] for index in range(count))
    for video in progress(videos, count, 'Label propagation'):
      names.append(video.name)
      by_video.append(
        [
          self._score(video, source, track, scores[source], pictures)
          for source, track in trackers.items()
        ]
      )
      pictures.end_video(video)
      shown = (f'{s} {value:.3f}' for s, value in zip(scores, by_video[-1]))
      main = next(iter(scores.values())).main
      logging.info('%s: %s %s', video.name, main, ', '.join(shown))
    self.arrays = {
      'names': np.array(names),
      'sources': np.array(list(trackers)),
      'scores': np.array(by_video).T,
      **pictures.arrays,
    }
    metrics = {'num_videos': count}
    for source in trackers:
      for name, value in scores[source].summary().items():
        metrics[f'{source}/{name}'] = value
    for source, tracker in trackers.items():
      if tracker.seconds:
        seconds = float(np.median(tracker.seconds))
        metrics[f'seconds_per_frame/{source}'] = seconds
    for source, tracker in trackers.items():
      if tracker.seconds:
        metrics[f'memory_mb/{source}'] = tracker.memory_bytes / 1e6
    return metrics

  def _score(
    self,
    video: TrackedVideo,
    source: str,
    track: Tracker,
    scores: Any,
    pictures: Pictures,
  ) -> float:
    """Tracks one video; its score."""
    saved = None
    if self.save_to and source == 'trained':
      saved = PredictionFolder(self.save_to)
    num_frames = 0
    for frame, (image, predicted) in enumerate(track(video)):
      num_frames = frame + 1
      pictures.add(source, frame, image, predicted)
      if saved:
        saved.add(video.name, frame, predicted)
      if (true := video.label(frame)) is not None:
        scores.add(frame, predicted, true)
        pictures.add('true', frame, image, true)
    return scores.end_video(num_frames)
