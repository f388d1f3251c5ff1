"""Clips of scenes with a known truth: which they are, how they are read."""

import abc
import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
from absl import logging

from rvmae_jax.data.decoding import VideoError
from rvmae_jax.data.frames import frame_times_s, path_of, read_clip
from rvmae_jax.evals import Evaluation
from rvmae_jax.evals.heads import hold_out
from rvmae_jax.evals.progress import progress
from rvmae_jax.evals.videos import FirstFrames, Videos
from rvmae_jax.memory import check_room
from rvmae_jax.registry import Registry, check_counts, check_share

REMEDY = 'Set max_videos or num_clips so that there are fewer.'

# What is known of a clip, by name.
Truth = Mapping[str, np.ndarray]


class Clip(NamedTuple):
  """Frames with a known truth.

  Attributes:
    place: path and name of the video.
    frames: [T, H, W, 3] uint8.
    truth: of these frames.
  """

  place: tuple[str, str]
  frames: np.ndarray
  truth: Truth


@dataclasses.dataclass(frozen=True, kw_only=True)
class SceneClips(Evaluation):
  """The clips that heads are trained, chosen and tested on.

  Attributes:
    videos: for the size of frames and the batch size; nothing is read of it.
    dataset: an entry of the table of `data.scenes`, and its settings.
    train, validation, test: changes to it that choose videos; with a `name`,
      another entry. Without a `validation`, some of the training videos choose.
    held_out: the share of training videos that do so.
    num_frames: of a clip.
    stride: from frame to frame of a clip.
    num_clips: of a video, evenly spread; a single one is its beginning.
    max_videos: of each split, evenly spread; 0 takes all.
  """

  # Of a subclass: where datasets come from.
  datasets: ClassVar[Registry]
  reads = ('crop',)

  videos: Videos
  dataset: Mapping[str, Any]
  train: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  validation: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  test: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  held_out: float = 0.1
  num_frames: int = 16
  stride: int = 1
  num_clips: int = 1
  max_videos: int = 0

  def __post_init__(self):
    if self.validation:
      self.refuse_unused(('held_out',), 'where validation videos choose')
    check_share(self, 'held_out')
    check_counts(self, 'num_frames', 'stride', 'num_clips')
    self.videos.check_tiled(self.videos.size, 'data.crop.size')
    if self.num_frames % self.videos.tubelet_size:
      raise ValueError(
        f'Tokens of {self.videos.tubelet_size} frames do not tile clips of '
        f'num_frames={self.num_frames}.'
      )

  @abc.abstractmethod
  def length(self, video: Any) -> int:
    """Number of a video's frames that annotations may cover."""

  @abc.abstractmethod
  def truth(self, video: Any, frames: np.ndarray) -> Truth | None:
    """The truth of these frames; None if there is nothing to evaluate."""

  def read_test(self) -> list[Clip]:
    """The clips to test on."""
    return self._read('test', *self._chosen(self.test))

  def read_all(self) -> tuple[list[Clip], list[Clip], list[Clip]]:
    """The clips to train on, to choose by, and to test on.

    Raises:
      ValueError: there are none, or a video is on two sides.
    """
    dataset, chosen = self._chosen(self.train)
    if self.validation:
      choosing = self._chosen(self.validation)
    else:
      # By videos: two clips of one are too much alike.
      rows, held_out = hold_out(len(chosen), self.held_out, self.videos.seed)
      choosing = dataset, chosen[np.sort(held_out)]
      chosen = chosen[np.sort(rows)]
    test = self.read_test()
    sides = {
      'train': self._read('train', dataset, chosen),
      'validation': self._read('validation', *choosing),
      'test': test,
    }
    places = {k: {clip.place for clip in clips} for k, clips in sides.items()}
    for one, other in itertools.combinations(sides, 2):
      shared = sorted(places[one] & places[other])
      if shared:
        raise ValueError(
          f'{len(shared)} videos are in {one} and in {other}, such as '
          f'{" ".join(shared[0])}; give each set videos of its own, such as a '
          'separate split.'
        )
    return tuple(sides.values())

  def test_files(self) -> list[str]:
    """Where the test videos come from; see `evals.leakage`."""
    dataset, chosen = self._chosen(self.test)
    return [_place(dataset[i])[0] for i in chosen]

  def first_frames(self) -> FirstFrames:
    """As `Videos.first_frames`, of the first test video."""
    dataset, chosen = self._chosen(self.test)
    video = dataset[chosen[0]]
    times_s = frame_times_s(video.video)
    clips = enumerate(self._frames(video))
    return _place(video)[0], {f'clip_{i}': (c, times_s[c]) for i, c in clips}

  def _chosen(self, changes: Mapping[str, Any]) -> tuple[Any, np.ndarray]:
    """A dataset, and the numbers of the videos that are read of it."""
    base = {} if 'name' in changes else self.dataset
    dataset = self.datasets.build({**base, **changes})
    count = min(len(dataset), self.max_videos or len(dataset))
    chosen = np.linspace(0, len(dataset), count, endpoint=False)
    return dataset, chosen.astype(int)

  @property
  def _span(self) -> int:
    """From the first frame of a clip to its last, both counted."""
    return (self.num_frames - 1) * self.stride + 1

  def _frames(self, video: Any) -> list[np.ndarray]:
    """The frames of each clip of a video; none if it is too short."""
    last = self.length(video) - self._span
    if last < 0:
      return []
    starts = np.unique(np.linspace(0, last, self.num_clips).astype(int))
    return [s + self.stride * np.arange(self.num_frames) for s in starts]

  def _read(self, side: str, dataset: Any, chosen: np.ndarray) -> list[Clip]:
    """All clips of some videos; the log says what cannot be read."""
    clips, num_short = [], 0
    for index in progress(chosen, len(chosen), f'{side} videos'):
      is_first = not clips
      try:
        video = dataset[index]
        of_video = self._frames(video)
        num_short += not of_video
        for frames in of_video:
          if (truth := self.truth(video, frames)) is None:
            continue
          read = read_clip(video.video, frames, self.videos.size)
          clips.append(Clip(_place(video), read, truth))
      except VideoError as error:
        logging.warning('%s continues without %s', type(self).__name__, error)
        continue
      if is_first and clips:
        _, frames, known = clips[0]
        size = frames.nbytes + sum(x.nbytes for x in known.values())
        size *= len(chosen) * self.num_clips
        check_room(size, f'The {side} clips', REMEDY)
    if num_short:
      logging.warning(
        '%d of %d %s videos are shorter than the %d frames of a clip.',
        *(num_short, len(chosen), side, self._span),
      )
    if not clips:
      raise ValueError(
        f'There are no {side} clips: of {len(chosen)} videos, {num_short} are '
        f'shorter than {self._span} frames (num_frames={self.num_frames}, '
        f'stride={self.stride}), and the others cannot be read or have no '
        'annotation.'
      )
    return clips


def _place(video: Any) -> tuple[str, str]:
  """Path and name, by which a video is known."""
  return path_of(video.video), video.name
