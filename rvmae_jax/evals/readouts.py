"""What evaluations with readout heads share: from scenes to numbers.

ReadoutEval        which clips, encoders, learning rates; trains and chooses
  DepthEval          depth of every pixel
  PointTrackingEval  points, with a head or without
  BoxTrackingEval    boxes
"""

import abc
import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import flax.linen as nn
import numpy as np
from absl import logging

from rvmae_jax.data.decoding import VideoError
from rvmae_jax.data.frames import frame_times_s, path_of, read_clip
from rvmae_jax.evals import Result, refuse_unused
from rvmae_jax.evals.features import check_encoders, make_encoder
from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.evals.heads import TrainedHeads, hold_out, shuffled
from rvmae_jax.evals.progress import progress
from rvmae_jax.evals.token_rows import normalise
from rvmae_jax.evals.tracking.encoders import patch_colours
from rvmae_jax.evals.videos import FirstFrames, Videos
from rvmae_jax.memory import check_room
from rvmae_jax.registry import Registry

# What is known of a clip, by name.
Truth = Mapping[str, np.ndarray]
# The features [B, t, h*w, D] of a video [B, T, H, W, 3] uint8.
Encode = Callable[[np.ndarray], np.ndarray]
# What a head puts out, given what it takes beside features.
Head = Callable[..., Any]


class Clip(NamedTuple):
  """Frames that a head is asked about.

  Attributes:
    place: path and name of the video.
    frames: [T, H, W, 3] uint8.
    truth: of these frames.
  """

  place: tuple[str, str]
  frames: np.ndarray
  truth: Truth


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadoutEval(abc.ABC):
  """A readout head on frozen features; the same for a network and baselines.

  Heads with every learning rate learn at once from the training videos. The one
  that is best on the validation videos is asked about the test videos, whose
  scores are averaged clip by clip. Features are encoded once and kept in
  memory, in float16; what will not fit is refused at the start. A clip is shown
  whole; a recurrent network reads it from a state of zeros.

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
    encoders: what is compared, see `evals.features.ENCODERS`; `pixels` are the
      colours of patches. `per_frame` is left out where there is no recurrence.
    learning_rates: of AdamW, along a cosine to 0.
    weight_decay: of all heads.
    num_epochs: over the training clips, in batches of `videos.batch_size`.
    head: settings of the head, see `layers.readout`; by default as released.
    num_pictures: test clips that are kept for pictures.
  """

  reads: ClassVar = ('crop',)
  # Of a subclass: where datasets come from, the score that chooses (and what
  # does among equals), and whether less of it is better.
  datasets: ClassVar[Registry]
  chosen_by: ClassVar[tuple[str, ...]]
  less_is_better: ClassVar = False

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
  encoders: Sequence[str] = ('trained', 'random', 'per_frame', 'pixels')
  learning_rates: Sequence[float] = (3e-4, 1e-3, 3e-3)
  weight_decay: float = 1e-4
  num_epochs: int = 20
  head: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  num_pictures: int = 1

  def __post_init__(self):
    check_encoders(self.encoders)
    if self.validation:
      refuse_unused(self, ('held_out',), 'where validation videos choose')
    for name in ('num_frames', 'stride', 'num_clips'):
      if getattr(self, name) < 1:
        raise ValueError(f'{name}={getattr(self, name)} must be at least 1.')
    self.videos.check_tiled(self.videos.size, 'data.crop.size')
    if self.num_frames % self.videos.tubelet_size:
      raise ValueError(
        f'Tokens of {self.videos.tubelet_size} frames do not tile clips of '
        f'num_frames={self.num_frames}.'
      )

  @property
  def learns(self) -> bool:
    """Whether heads are trained."""
    return True

  @property
  def num_trainings(self) -> int:
    """Of heads, those included that are not chosen."""
    return len(self.learning_rates) * len(self.encoders) * self.learns

  @abc.abstractmethod
  def length(self, video: Any) -> int:
    """How many frames of a video something is known of."""

  @abc.abstractmethod
  def truth(self, video: Any, frames: np.ndarray) -> Truth | None:
    """What is known of these frames; None if there is nothing to ask."""

  @abc.abstractmethod
  def make_head(self, train: Sequence[Clip]) -> nn.Module:
    """The head that is to learn from these clips."""

  @staticmethod
  @abc.abstractmethod
  def loss(outputs: Any, *truth: Any) -> Any:
    """Of a batch, see `losses.readouts`: a scalar."""

  @abc.abstractmethod
  def draw(
    self, rng: np.random.Generator, truths: Sequence[Truth]
  ) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """What the head takes beside features of so many clips, and the truth."""

  @abc.abstractmethod
  def ask(self, head: Head, truth: Truth) -> Any:
    """Everything there is to answer about a clip."""

  @abc.abstractmethod
  def trivial(
    self, train: Sequence[Clip]
  ) -> tuple[str, Callable[[Truth], Any]]:
    """The answer of somebody who has not looked: its name, and as `ask`."""

  @abc.abstractmethod
  def right_answer(self, truth: Truth) -> Any:
    """The answer that could not be better."""

  @abc.abstractmethod
  def score(self, truth: Truth, answer: Any) -> dict[str, float]:
    """How good an answer is; NaN where there is nothing to tell it by."""

  @abc.abstractmethod
  def picture(self, answer: Any) -> dict[str, np.ndarray]:
    """What is drawn of an answer."""

  def run(self, functions: ModelFunctions) -> Result:
    """Scores of each encoder and of the trivial answer, as `<encoder>/...`.

    Also `num_train`, `num_validation`, `num_test` (clips), and of the chosen
    heads `chosen/<encoder>/learning_rate` and their score on validation clips.

    Arrays, of the first test clips: `frames_<n>`, `name_<n>`, and for each
    encoder, the trivial answer and `true`, `<what>_<n>/<encoder>`.

    Raises:
      ValueError: no clips, videos on both sides, or heads that diverged.
    """
    train, validation, test = self._read()
    metrics: dict[str, float] = {'num_test': len(test)}
    if self.learns:
      metrics['num_train'], metrics['num_validation'] = map(
        len, (train, validation)
      )
    arrays = {}
    for number, clip in enumerate(test[: self.num_pictures]):
      arrays[f'frames_{number}'] = clip.frames
      arrays[f'name_{number}'] = np.array(clip.place[1])

    def tell(source, answers):
      scores = []
      for number, (clip, answer) in enumerate(zip(test, answers)):
        scores.append(self.score(clip.truth, answer))
        if number < self.num_pictures:
          for key, values in self.picture(answer).items():
            arrays[f'{key}_{number}/{source}'] = values
      if source != 'true':
        means = _means(scores)
        metrics.update({f'{source}/{k}': v for k, v in means.items()})
        logging.info('%s of %s: %s', type(self).__name__, source, means)

    tell('true', (self.right_answer(clip.truth) for clip in test))
    for encoder, encode in self._encoders(functions, test[0]).items():
      answer, numbers = self.fit(encode, train, validation)
      tokens = progress(
        self.encoded(encode, test), len(test), f'asking {encoder}', unit='clips'
      )
      tell(encoder, (answer(t, clip.truth) for t, clip in zip(tokens, test)))
      metrics |= {f'chosen/{encoder}/{k}': v for k, v in numbers.items()}
    name, answer = self.trivial(train)
    tell(name, (answer(clip.truth) for clip in test))
    return Result(metrics, arrays)

  def fit(
    self, encode: Encode, train: Sequence[Clip], validation: Sequence[Clip]
  ) -> tuple[Callable[[np.ndarray, Truth], Any], dict[str, float]]:
    """Trains heads and chooses one of them.

    Returns:
      The answer for features [1, t, h*w, D] of a clip of which something is
      asked, and numbers about the head that gives it.
    """
    rng = np.random.default_rng(self.videos.seed)
    tokens = self._kept(encode, train)
    batch_size = min(self.videos.batch_size, len(train))
    num_steps = self.num_epochs * (len(train) // batch_size)
    inputs, _ = self.draw(rng, [train[0].truth])
    heads = TrainedHeads(
      self.make_head(train),
      tokens[:1],
      *inputs,
      loss=self.loss,
      optimizer='adamw',
      rates=self.learning_rates,
      decays=(self.weight_decay,),
      num_steps=num_steps,
      seed=self.videos.seed,
    )
    batches = shuffled(
      np.arange(len(train)), batch_size, self.num_epochs, self.videos.seed
    )
    for rows in progress(batches, num_steps, 'readout heads', unit='steps'):
      inputs, truth = self.draw(rng, [train[row].truth for row in rows])
      heads.train([tokens[rows], *inputs], truth)

    def answer(number, tokens, truth):
      head = functools.partial(heads.answer, number, normalise(tokens))
      return self.ask(head, truth)

    scores = [[] for _ in range(len(heads))]
    for clip, of_clip in zip(validation, self.encoded(encode, validation)):
      for number, found in enumerate(scores):
        found.append(
          self.score(clip.truth, answer(number, of_clip, clip.truth))
        )
    number, value = self.best([_means(found) for found in scores])
    return functools.partial(answer, number), {
      **heads.setting(number),
      f'validation_{self.chosen_by[0].replace("/", "_")}': value,
    }

  def best(self, scores: Sequence[Mapping[str, float]]) -> tuple[int, float]:
    """Which of the heads has the best scores, and the first that chooses.

    Raises:
      ValueError: none has that score.
    """
    sign = -1 if self.less_is_better else 1

    def rank(number):
      return [
        sign * scores[number].get(name, -sign * np.inf)
        for name in self.chosen_by
      ]

    number = max(range(len(scores)), key=rank)
    name = self.chosen_by[0]
    if name not in scores[number]:
      raise ValueError(
        f'No head has a {name} on the validation clips: they hold nothing to '
        f'tell it by, or learning_rates={self.learning_rates} are too high.'
      )
    return number, scores[number][name]

  def encoded(
    self, encode: Encode, clips: Sequence[Clip]
  ) -> Iterator[np.ndarray]:
    """Features [1, t, h*w, D] of each clip; encoded a batch at a time."""
    size = min(self.videos.batch_size, len(clips))
    for start in range(0, len(clips), size):
      frames = [clip.frames for clip in clips[start : start + size]]
      # Filled up, so that the network is compiled once.
      video = np.stack(frames + frames[-1:] * (size - len(frames)))
      yield from encode(video)[: len(frames), None]

  def test_files(self) -> list[str]:
    """Where the test videos come from; see `evals.leakage`."""
    dataset = self._dataset(self.test)
    return [_place(dataset[i])[0] for i in self._chosen(dataset)]

  def first_frames(self) -> FirstFrames:
    """As `Videos.first_frames`, of the first test video."""
    dataset = self._dataset(self.test)
    video = dataset[self._chosen(dataset)[0]]
    times_s = frame_times_s(video.video)
    clips = enumerate(self._frames(video))
    return _place(video)[0], {f'clip_{i}': (c, times_s[c]) for i, c in clips}

  def _encoders(
    self, functions: ModelFunctions, clip: Clip
  ) -> dict[str, Encode]:
    def network(name):
      encoder = make_encoder(
        name, functions, clip.frames[None], self.videos.seed
      )
      skipped = functions.num_prefix_tokens
      return lambda video: encoder.encode(video)[:, :, skipped:]

    def colours(video):
      return np.stack(
        [
          np.concatenate([*patch_colours(frames, self.videos.patch_size)])
          for frames in video
        ]
      )

    return {
      name: colours if name == 'pixels' else network(name)
      for name in self.encoders
      if name != 'per_frame' or functions.is_recurrent
    }

  def _kept(self, encode: Encode, clips: Sequence[Clip]) -> np.ndarray:
    """Normalised features [clips, t, h*w, D] float16."""
    kept = None
    for number, tokens in enumerate(
      progress(
        self.encoded(encode, clips), len(clips), 'features', unit='clips'
      )
    ):
      if kept is None:
        shape = (len(clips), *tokens.shape[1:])
        size = 2 * math.prod(shape)
        check_room(size, f'The features of {len(clips)} clips', _REMEDY)
        kept = np.empty(shape, np.float16)
      kept[number] = normalise(tokens)[0]
    logging.info(
      'Features of %d clips take %.2f GB.', len(clips), kept.nbytes / 1e9
    )
    return kept

  def _read(self) -> tuple[list[Clip], list[Clip], list[Clip]]:
    """The clips to learn from, to choose by, and to be asked about."""
    dataset = self._dataset(self.test)
    test = self._clips('test', dataset, self._chosen(dataset))
    if not self.learns:
      return [], [], test
    dataset = self._dataset(self.train)
    chosen = self._chosen(dataset)
    if self.validation:
      train = self._clips('train', dataset, chosen)
      dataset = self._dataset(self.validation)
      chosen = self._chosen(dataset)
    else:
      # By videos: two clips of one are too much alike.
      rows, held_out = hold_out(len(chosen), self.held_out, self.videos.seed)
      train = self._clips('train', dataset, chosen[np.sort(rows)])
      chosen = chosen[np.sort(held_out)]
    validation = self._clips('validation', dataset, chosen)
    sides = {'train': train, 'validation': validation, 'test': test}
    places = {k: {clip.place for clip in clips} for k, clips in sides.items()}
    for one, other in (
      ('train', 'test'), ('validation', 'test'), ('train', 'validation')
    ):  # fmt: skip
      shared = sorted(places[one] & places[other])
      if shared:
        raise ValueError(
          f'{len(shared)} videos are in {one} and in {other}, such as '
          f'{" ".join(shared[0])}; give each its own, such as a split.'
        )
    return train, validation, test

  def _dataset(self, changes: Mapping[str, Any]) -> Any:
    base = {} if 'name' in changes else self.dataset
    return self.datasets.build({**base, **changes})

  def _chosen(self, dataset: Any) -> np.ndarray:
    """The numbers of the videos that are read."""
    count = min(len(dataset), self.max_videos or len(dataset))
    return np.linspace(0, len(dataset), count, endpoint=False).astype(int)

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

  def _clips(self, side: str, dataset: Any, chosen: np.ndarray) -> list[Clip]:
    """All clips of some videos; the log says what cannot be read."""
    clips, num_short = [], 0
    for index in progress(chosen, len(chosen), f'{side} videos'):
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
        logging.warning('%s goes on without %s', type(self).__name__, error)
        continue
      if len(clips) == 1:
        size = read.nbytes + sum(x.nbytes for x in truth.values())
        size *= len(chosen) * self.num_clips
        check_room(size, f'The {side} clips', _REMEDY)
    if num_short:
      logging.warning(
        '%d of %d %s videos are shorter than the %d frames of a clip.',
        *(num_short, len(chosen), side, self._span),
      )
    if not clips:
      raise ValueError(
        f'There are no {side} clips: of {len(chosen)} videos, {num_short} are '
        f'shorter than {self._span} frames (num_frames={self.num_frames}, '
        f'stride={self.stride}), and the others cannot be read or have nothing '
        'to ask.'
      )
    return clips


_REMEDY = 'Set max_videos or num_clips so that there are fewer.'


def in_chunks(
  function: Callable[[np.ndarray], tuple[np.ndarray, ...]],
  queries: np.ndarray,
  size: int = 64,
) -> list[np.ndarray]:
  """Asks about queries [Q, ...] so many at a time, so as to compile once.

  Args:
    function: from [size, ...] to arrays [size, ...].
    queries: any number of them but none.
    size: of a chunk; what is missing from the last is filled up.
  """
  missing = -len(queries) % size
  filled = np.concatenate([queries, queries[-1:].repeat(missing, axis=0)])
  parts = [
    function(filled[start : start + size])
    for start in range(0, len(filled), size)
  ]
  return [np.concatenate(part)[: len(queries)] for part in zip(*parts)]


def _means(scores: Sequence[Mapping[str, float]]) -> dict[str, float]:
  """Each score over the clips that have it; without those that none has."""
  found = {}
  for name in scores[0]:
    values = np.array([of_clip[name] for of_clip in scores])
    if not np.isnan(values).all():
      found[name] = float(np.nanmean(values))
  return found


def _place(video: Any) -> tuple[str, str]:
  """Path and name, by which a video is known."""
  return path_of(video.video), video.name
