"""Label propagation: how well features tell where things moved."""

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
from absl import logging

from rvmae_jax.data.frames import path_of, read_frames
from rvmae_jax.data.tracking import TRACKING
from rvmae_jax.data.tracking.videos import TrackedVideo
from rvmae_jax.evals import Evaluation, Result
from rvmae_jax.evals.dense import (
  DenseEncoder,
  Standardised,
  check_state_settings,
)
from rvmae_jax.evals.features import ENCODERS, make_encoder, patch_colours
from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.evals.progress import progress
from rvmae_jax.evals.tracking.pictures import Pictures
from rvmae_jax.evals.tracking.predictions import save_label
from rvmae_jax.evals.tracking.propagation import Propagation
from rvmae_jax.evals.tracking.scores import SCORES
from rvmae_jax.evals.tracking.tracker import Tracker
from rvmae_jax.evals.videos import Videos
from rvmae_jax.metrics.intervals import bootstrap_interval
from rvmae_jax.registry import check_known

# What labels are propagated by.
PROPAGATED_BY = {
  **ENCODERS,
  'pixels': 'the colours of the patches',
  'copy': 'no features: the labels of the first frame',
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelPropagationEval(Evaluation):
  """Propagates the labels of a first frame by the similarity of features.

  Nothing is trained. A recurrent network reads each video whole, from a state
  of zeros; others see windows. Beside the network stand one that learned
  nothing, the colours of patches, and the labels of the first frame as they
  are. Scores are taken at the size of the labels.

  Attributes:
    videos: for patch size and seed alone; what is tracked is `dataset`.
    dataset: `name` of `rvmae_jax.data.tracking.TRACKING`, and its arguments.
    size: (height, width) of the frames that networks see; empty is the
      dataset's default.
    encoders: some of `PROPAGATED_BY`.
    num_videos: the first of the dataset; 0 takes all.
    num_previous, radius, top_k, temperature: see `Propagation`; top_k 0 is the
      dataset's default.
    window, chunk, reset_every: see `evals.dense.DenseEncoder`.
    warm_up: see there. Without it the labels of the first frame, the only true
      ones, find no match in later ones; published numbers have none.
    standardise: see `evals.dense.Standardised`; the videos are read twice, and
      what they have in common is taken from them. Published numbers have it
      off.
    save_to: a folder for the labels that the network predicts; '' saves none.
    num_pictures: videos whose labels are kept for pictures.
  """

  reads = ()

  videos: Videos
  dataset: Mapping[str, Any]
  size: tuple[int, ...] = ()
  encoders: tuple[str, ...] = tuple(PROPAGATED_BY)
  num_videos: int = 0
  num_previous: int = 20
  radius: float = 20.0
  top_k: int = 0
  temperature: float = 0.7
  window: int = 16
  chunk: int = 8
  reset_every: int = 0
  warm_up: int = 0
  standardise: bool = False
  save_to: str = ''
  num_pictures: int = 1

  def __post_init__(self):
    check_known('encoder', PROPAGATED_BY, *self.encoders)
    check_state_settings(self.reset_every, self.warm_up)
    dataset = self._dataset
    size, top_k = tuple(self.size or dataset.size), self.top_k or dataset.top_k
    self.resolve(size=size, top_k=top_k)
    self.videos.check_tiled(self.size, 'size')
    if self.standardise and self._count < 2:
      raise ValueError(
        'standardise=True takes away what videos have in common, but the '
        f'{self.dataset["name"]} dataset has only one here; set it to False.'
      )

  @functools.cached_property
  def _dataset(self) -> Any:
    return TRACKING.build(self.dataset)

  def run(self, functions: ModelFunctions) -> Result:
    """Numbers of each encoder, as `<encoder>/J&F`.

    Objects have `J&F`, `J`, `F` and recalls, parts `mIoU`, keypoints `PCK@0.1`
    to `PCK@0.5`. Also `seconds_per_frame/<encoder>` (the median, with reading
    and encoding) and `memory_mb/<encoder>` of a step of propagation, and, where
    features are standardised, `share_in_common/<encoder>`.

    `gain_over/<encoder>/...` is how far `trained` is above the others, as mean
    over videos, with the ends `_low` and `_high` of its 95 % bootstrap interval
    over videos; videos without true labels are left out.

    Arrays: `names` of the videos, `encoders`, `scores` [encoders, videos], and
    what `Pictures` keeps.
    """
    encoders = {name: self._encoder(name, functions) for name in self.encoders}
    if self.standardise:
      encoders = {
        name: encode and Standardised(encode, self._frames())
        for name, encode in encoders.items()
      }
    propagation = Propagation(
      num_previous=self.num_previous,
      radius=self.radius,
      top_k=self.top_k,
      temperature=self.temperature,
    )
    trackers = {
      name: Tracker(encode, propagation, self.size, self.videos.patch_size)
      for name, encode in encoders.items()
    }
    scores = {encoder: SCORES[self._dataset.kind]() for encoder in encoders}
    main = SCORES[self._dataset.kind].main
    pictures = Pictures(self.num_pictures)
    names, by_video = [], []
    for video in progress(self._tracked(), self._count, 'Label propagation'):
      names.append(video.name)
      by_video.append(
        [
          self._score(video, encoder, track, scores[encoder], pictures)
          for encoder, track in trackers.items()
        ]
      )
      pictures.end_video(video)
      shown = (f'{s} {value:.3f}' for s, value in zip(scores, by_video[-1]))
      logging.info('%s: %s %s', video.name, main, ', '.join(shown))
    arrays = {
      'names': np.array(names),
      'encoders': np.array(list(trackers)),
      'scores': np.array(by_video).T,
      **pictures.arrays,
    }
    metrics = {'num_videos': self._count}
    for encoder in trackers:
      numbers = scores[encoder].summary()
      metrics |= {f'{encoder}/{name}': v for name, v in numbers.items()}
    metrics |= gains(dict(zip(trackers, arrays['scores'])), main)
    for name, tracker in trackers.items():
      if tracker.seconds:
        metrics[f'seconds_per_frame/{name}'] = float(np.median(tracker.seconds))
        metrics[f'memory_mb/{name}'] = tracker.memory_bytes / 1e6
      if isinstance(encoders[name], Standardised):
        metrics[f'share_in_common/{name}'] = encoders[name].share_in_common
    return Result(metrics, arrays)

  def test_files(self) -> list[str]:
    """Where the videos come from; see `evals.leakage`."""
    count = len(self._dataset)
    return [path_of(self._dataset[i].video) for i in range(count)]

  @property
  def _count(self) -> int:
    return min(len(self._dataset), self.num_videos or len(self._dataset))

  def _tracked(self) -> Iterator[TrackedVideo]:
    return (self._dataset[index] for index in range(self._count))

  def _frames(self) -> Iterator[Iterator[np.ndarray]]:
    return (read_frames(video.video, self.size) for video in self._tracked())

  def _encoder(
    self, name: str, functions: ModelFunctions
  ) -> DenseEncoder | None:
    """Makes features of frames; None for 'copy', which needs none."""
    if name == 'copy':
      return None
    p = self.videos.patch_size
    # Parameters do not depend on the size of frames.
    clip = np.zeros((1, self.window, 2 * p, 2 * p, 3), np.uint8)
    colours = functools.partial(patch_colours, patch_size=p)
    return DenseEncoder(
      make_encoder(name, functions, clip, self.videos.seed, colours),
      window=self.window,
      chunk=self.chunk,
      reset_every=self.reset_every,
      warm_up=self.warm_up,
    )

  def _score(
    self,
    video: TrackedVideo,
    encoder: str,
    track: Tracker,
    scores: Any,
    pictures: Pictures,
  ) -> float:
    """Tracks one video; its score."""
    num_frames = 0
    for frame, (image, predicted) in enumerate(track(video)):
      num_frames = frame + 1
      pictures.add(encoder, frame, image, predicted)
      # All processes predict the same.
      if self.save_to and encoder == 'trained' and not jax.process_index():
        save_label(self.save_to, video.name, frame, predicted)
      if (true := video.label(frame)) is not None:
        scores.add(frame, predicted, true)
        pictures.add('true', frame, image, true)
    return scores.end_video(num_frames)


def gains(scores: Mapping[str, np.ndarray], main: str) -> dict[str, float]:
  """How far the trained network is above the others, see `run`.

  Args:
    scores: encoder -> [videos], NaN where a video has no true labels.
    main: what the score is called.
  """
  if 'trained' not in scores:
    return {}
  metrics = {}
  for encoder, others in scores.items():
    gain = scores['trained'] - others
    gain = gain[~np.isnan(gain)]
    if encoder != 'trained' and len(gain) > 1:
      low, high = bootstrap_interval(gain)
      name = f'gain_over/{encoder}/{main}'
      metrics[name] = float(gain.mean())
      metrics |= {f'{name}_low': low, f'{name}_high': high}
  return metrics
