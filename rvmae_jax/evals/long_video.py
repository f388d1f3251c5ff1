"""Long videos: does a state still work after a thousand frames?"""

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging

from rvmae_jax.data.frames import frame_times_s, path_of, read_frames
from rvmae_jax.data.readers import VideoError
from rvmae_jax.data.tracking import TRACKING
from rvmae_jax.data.tracking.videos import TrackedVideo
from rvmae_jax.evals import Evaluation, Result
from rvmae_jax.evals.dense import DenseEncoder, check_state_settings
from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.evals.progress import progress
from rvmae_jax.evals.tracking.propagation import Propagation
from rvmae_jax.evals.tracking.tracker import Tracker
from rvmae_jax.evals.videos import Videos
from rvmae_jax.evals.watched_encoder import WatchedEncoder
from rvmae_jax.metrics.segmentation import jaccard


@dataclasses.dataclass(frozen=True, kw_only=True)
class LongVideoEval(Evaluation):
  """Drift, norm of the state, quality of tracking, and memory, by length.

  A recurrent network reads each video from its first frame on: `stream` carries
  its state all the way, `reset_64` resets it every 64 frames, `random` has
  random weights. A network of clips sees `windows` side by side; their
  features cannot drift, so that only tracking and memory are measured.

  Attributes:
    videos: for patch size and seed; its videos are read if there is no
      `dataset`.
    dataset: an entry of `TRACKING` with masks, and its arguments; empty reads
      `videos` instead, whose objects are not known.
    size: (height, width) of the frames that networks see; empty is the
      dataset's default, or the run's crop.
    lengths: frames after which to look, rising. Shorter videos are left out.
    context: frames of a new stream that the long one is compared with.
    reset_every: of `reset_<N>`; 0 leaves it out.
    warm_up: see `evals.dense.DenseEncoder`.
    num_videos: to average over.
    window: frames that a network of clips sees at once.
  """

  reads = ('sources', 'crop')

  videos: Videos
  dataset: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  size: tuple[int, ...] = ()
  lengths: Sequence[int] = (16, 32, 64, 128, 256, 512, 1024)
  context: int = 16
  reset_every: int = 64
  warm_up: int = 0
  num_videos: int = 6
  window: int = 16

  def __post_init__(self):
    check_state_settings(self.reset_every, self.warm_up)
    if list(self.lengths) != sorted({*self.lengths}) or min(self.lengths) < 1:
      raise ValueError(
        f'lengths={tuple(self.lengths)} must be positive numbers, each larger '
        'than the one before.'
      )
    default = self._dataset.size if self.dataset else self.videos.size
    self.resolve(size=tuple(self.size or default))
    self.videos.check_tiled(self.size, 'size')
    if self.dataset and self._dataset.kind == 'keypoints':
      raise ValueError('Long videos are tracked by masks; this has keypoints.')

  @functools.cached_property
  def _dataset(self) -> Any:
    return self.dataset and TRACKING.build(self.dataset)

  def run(self, functions: ModelFunctions) -> Result:
    """Numbers as `stream/length_64/J`, and `num_videos`.

    Of a recurrent network: `cosine` of features with those of a new stream
    over the last `context` frames, mean over places; `drift`, their squared
    distance in units of the variance of the new ones (0 the same, 2 unrelated);
    `state_norm`, mean over places. Of all: `J` of tracked objects, mean over
    the second half of the frames so far (`copy` has the first mask everywhere);
    `live_mib` of arrays and `resident_mib` of the process at the last video.

    Nothing at all where no video is long enough. One that cannot be read is
    left out, and logged.
    """
    videos = list(itertools.islice(self._long_videos(), self.num_videos))
    if not videos:
      return self.skipped(f'no video has {self.lengths[-1]} frames')
    encoders = self._encoders(functions)
    if not functions.is_recurrent:
      logging.info(
        'Long videos: features of windows cannot drift; only tracking and '
        'memory are measured.'
      )
    rows = []
    for video in progress(videos, len(videos), 'Long videos'):
      try:
        rows.append([self._follow(video, e) for e in encoders.values()])
      except VideoError as error:
        logging.warning('Left out of long videos: %s', error)
    if not rows:
      return Result({}, {})
    metrics = {'num_videos': len(rows)}
    for name, followed in zip(encoders, zip(*rows)):
      watched, overlaps = zip(*followed)
      columns = self._columns(watched, np.array(overlaps))
      for number, length in enumerate(self.lengths):
        for column, values in columns.items():
          if not np.isnan(values[number]):
            key = f'{name}/length_{length}/{column}'
            metrics[key] = float(values[number])
    return Result(metrics, {})

  def test_files(self) -> list[str]:
    """Where the videos come from; see `evals.leakage`."""
    count = len(self._dataset)
    return [path_of(self._dataset[i].video) for i in range(count)]

  def _encoders(
    self, functions: ModelFunctions
  ) -> dict[str, DenseEncoder | None]:
    """What reads the videos, by name; None leaves labels where they are."""
    side = 2 * self.videos.patch_size
    clip = np.zeros((1, self.window, side, side, 3), np.uint8)
    random = functions.untrained(clip, self.videos.seed)
    name = 'stream' if functions.is_recurrent else 'windows'
    encoder = DenseEncoder(functions, window=self.window, warm_up=self.warm_up)
    encoders = {name: encoder}
    if functions.is_recurrent and self.reset_every:
      encoders[f'reset_{self.reset_every}'] = dataclasses.replace(
        encoder, reset_every=self.reset_every
      )
    random = dataclasses.replace(encoder, functions=random)
    return encoders | {'random': random, 'copy': None}

  def _long_videos(self) -> Iterator[TrackedVideo]:
    """Those that have enough frames."""
    if self.dataset:
      videos = (self._dataset[number] for number in range(len(self._dataset)))
    else:
      records = self.videos.records()
      videos = (TrackedVideo(record['path'], record, {}) for record in records)
    for video in videos:
      try:
        num_frames = len(frame_times_s(video.video))
      except VideoError as error:
        logging.warning('Left out of long videos: %s', error)
        continue
      if num_frames >= self.lengths[-1]:
        yield video

  def _follow(
    self, video: TrackedVideo, encoder: DenseEncoder | None
  ) -> tuple[WatchedEncoder | None, list[float]]:
    """Reads a video; J of its frames after the first, NaN where unknown."""
    end, watch = self.lengths[-1], None
    if encoder:
      fresh = dataclasses.replace(encoder, reset_every=0, warm_up=0)
      fresh = fresh if encoder.functions.is_recurrent else None
      watch = WatchedEncoder(encoder, self.lengths, fresh, self.context)
    if not self.dataset:
      frames = itertools.islice(read_frames(video.video, self.size), end)
      for _ in watch(frames) if watch else ():
        pass
      return watch, [np.nan] * (end - 1)
    propagation = Propagation(top_k=self._dataset.top_k)
    track = Tracker(watch, propagation, self.size, self.videos.patch_size)
    numbers = [number for number in np.unique(video.label(0)) if number]
    overlaps = []
    for frame, (_, found) in enumerate(itertools.islice(track(video), end)):
      true = video.label(frame)
      overlaps.append(
        np.nan
        if true is None
        else np.mean([jaccard(found == n, true == n) for n in numbers])
      )
    return watch, overlaps[1:]

  def _columns(
    self, watched: Sequence[WatchedEncoder | None], overlaps: np.ndarray
  ) -> dict[str, np.ndarray]:
    """Each measure [lengths]; overlaps are [videos, frames]."""
    columns = {}
    if watched[0] and watched[0].fresh:
      features = np.stack([watch.features for watch in watched])
      fresh = np.stack([watch.fresh for watch in watched])
      columns = drift(features, fresh)
    known = ~np.isnan(overlaps)
    sums = np.where(known, overlaps, 0).sum(0)
    ranges = [range(length // 2, max(length - 1, 1)) for length in self.lengths]
    with np.errstate(invalid='ignore'):
      columns['J'] = np.array(
        [sums[part].sum() / known[:, part].sum() for part in ranges]
      )
    if watched[0]:
      # Everything is compiled by the last video.
      columns['live_mib'] = np.array(watched[-1].live_mib)
      columns['resident_mib'] = np.array(watched[-1].resident_mib)
    return columns


def drift(features: np.ndarray, fresh: np.ndarray) -> dict[str, np.ndarray]:
  """How far features of long runs are from those of short ones.

  Args:
    features, fresh: [videos, lengths, N, D].

  Returns:
    `cosine`, `drift` and `state_norm`, [lengths] each, see `LongVideoEval.run`.
  """
  norms = np.linalg.norm(features, axis=-1)
  cosine = (features * fresh).sum(-1) / (norms * np.linalg.norm(fresh, axis=-1))
  # Around the mean of each place: what is the same in all frames is no feature.
  variance = ((fresh - fresh.mean((0, 1))) ** 2).sum(-1).mean()
  distance = ((features - fresh) ** 2).sum(-1)
  return {
    'cosine': cosine.mean((0, 2)),
    'drift': distance.mean((0, 2)) / max(variance, 1e-12),
    'state_norm': norms.mean((0, 2)),
  }
