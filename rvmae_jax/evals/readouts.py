"""What evaluations with readout heads share: from clips to numbers.

SceneClips             which clips (scene_clips.py)
  ReadoutEval          which encoders and learning rates; trains and chooses
    DepthEval          depth of every pixel
    PointTrackingEval  points, with a head or without
    BoxTrackingEval    boxes
"""

import abc
import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import flax.linen as nn
import numpy as np
from absl import logging

from rvmae_jax.evals import Result
from rvmae_jax.evals.answers import over_seeds
from rvmae_jax.evals.dense import filled
from rvmae_jax.evals.features import check_encoders, make_encoder, patch_colours
from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.evals.heads import TrainedHeads, shuffled
from rvmae_jax.evals.progress import progress
from rvmae_jax.evals.scene_clips import REMEDY, Clip, SceneClips, Truth
from rvmae_jax.evals.token_rows import normalise
from rvmae_jax.memory import check_room
from rvmae_jax.registry import check_counts, check_known

# Inputs of a head other than features -> its outputs.
Head = Callable[..., Any]
# The answer for a row of features (or frames) and what is asked.
Answer = Callable[[np.ndarray, Truth], Any]

# What is trained.
LEARNS = {
  'head': 'the head alone; the encoder is frozen',
  'all': 'the head and the encoder',
}


class TunedReadout(nn.Module):
  """A readout and the network under it, both of which learn.

  Attributes:
    network: answers to the contract of `rvmae_jax.models`.
    method: of it, that gives features.
    readout: takes features, and queries if it follows something.
  """

  network: nn.Module
  method: str
  readout: nn.Module

  def __call__(self, video: Any, *queries: Any) -> Any:
    """Asks about a video [B, T, H, W, 3] uint8."""
    features = getattr(self.network, self.method)(video)
    grid = features[:, :, self.network.num_prefix_tokens :]
    return self.readout(grid, *queries)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadoutEval(SceneClips):
  """A readout head on a network; the same for the network and baselines.

  Heads with every learning rate learn at once from the training clips, and the
  one that is best on the validation clips is tested on the test clips. Scores
  are means over clips, with the standard error of that mean; over seeds, too.
  A clip is shown whole; a recurrent network reads it from a state of zeros.

  What heads are given of all clips is kept in memory, features in float16;
  what will not fit is refused at the start.

  Attributes:
    encoders: what is compared, see `evals.features.ENCODERS`; `pixels` are the
      colours of patches.
    learns: one of `LEARNS`. With 'all', each learning rate trains a copy of the
      encoder, `trained` from the network's parameters and `random` from random
      ones; `pixels` have nothing to train but the head.
    network_rate: with 'all', the encoder's learning rate as a share of the
      head's.
    learning_rates: of AdamW; each rises over the first `warmup` of the steps,
      and falls along a cosine to 0.
    warmup: a share of the steps.
    weight_decay: of all that learns.
    num_epochs: over the training clips, in batches of `videos.batch_size`.
    head: settings of the head, see `layers.readout`; by default as released.
    seeds: of heads, batches and random weights; from two up, numbers are
      means, with their deviation as `<name>_std`.
    num_pictures: test clips that are kept for pictures.
  """

  # Set by subclasses: the key of the truth to predict; the scores by which to
  # rank heads, the first one first; and whether lower scores are better.
  asked_for: ClassVar[str] = ''
  chosen_by: ClassVar[tuple[str, ...]]
  less_is_better: ClassVar = False

  encoders: Sequence[str] = ('trained', 'random', 'per_frame', 'pixels')
  learns: str = 'head'
  network_rate: float = 0.1
  learning_rates: Sequence[float] = (3e-4, 1e-3, 3e-3)
  warmup: float = 0.05
  weight_decay: float = 1e-4
  num_epochs: int = 20
  head: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  seeds: int = 1
  num_pictures: int = 1

  def __post_init__(self):
    super().__post_init__()
    check_encoders(self.encoders)
    check_counts(self, 'seeds', 'num_epochs')
    check_known('value of learns', LEARNS, self.learns)
    if self.learns == 'head':
      self.refuse_unused(('network_rate',), "with learns='head'")

  @property
  def trains(self) -> bool:
    """Whether anything is trained."""
    return True

  @property
  def num_trainings(self) -> int:
    """Of heads, those included that are not chosen."""
    count = len(self.learning_rates) * len(self.encoders) * self.seeds
    return count * self.trains

  @abc.abstractmethod
  def make_head(self, train: Sequence[Clip]) -> nn.Module:
    """The head that is to learn from these clips."""

  @staticmethod
  @abc.abstractmethod
  def loss(outputs: Any, *truth: Any) -> Any:
    """The loss of a batch, a scalar; see `losses.readouts`."""

  @abc.abstractmethod
  def draw(
    self, rng: np.random.Generator, truths: Sequence[Truth]
  ) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """A training batch: inputs other than features, then the truth."""

  @abc.abstractmethod
  def ask(self, head: Head, truth: Truth) -> Any:
    """The head's answer to all queries of a clip."""

  @abc.abstractmethod
  def trivial(self, train: Sequence[Clip]) -> Callable[[Truth], Any]:
    """A baseline that ignores the video: truth -> answer, as of `ask`."""

  @abc.abstractmethod
  def score(self, truth: Truth, answer: Any) -> dict[str, float]:
    """Scores of an answer; NaN where the clip has no truth for a score."""

  def right_answer(self, truth: Truth) -> Any:
    """The answer that could not be better."""
    return truth[self.asked_for]

  def picture(self, answer: Any) -> dict[str, np.ndarray]:
    """The arrays of an answer that pictures show."""
    return {self.asked_for: answer}

  def run(self, functions: ModelFunctions) -> Result:
    """Scores of each encoder and of the trivial answer, as `<encoder>/...`.

    Beside each score stands `<score>_se`, its standard error over test clips.
    Also `num_train`, `num_validation`, `num_test` (clips), and of the chosen
    heads `chosen/<encoder>/learning_rate` and their score on validation clips.

    Arrays, of the first test clips: `frames_<n>`, `name_<n>`, and for each
    encoder, the trivial answer and `true`, `<what>_<n>/<encoder>`; of several
    seeds, those of the first.

    Raises:
      ValueError: no clips, videos on both sides, or heads that diverged.
    """
    train, validation = [], []
    if self.trains:
      train, validation, test = self.read_all()
      metrics = {'num_train': len(train), 'num_validation': len(validation)}
    else:
      test, metrics = self.read_test(), {}
    metrics['num_test'] = len(test)
    arrays, drawn = {}, test[: self.num_pictures]

    def draw(source, answers):
      for number, (_, answer) in enumerate(zip(drawn, answers)):
        for key, values in self.picture(answer).items():
          arrays[f'{key}_{number}/{source}'] = values

    def tell(source, *runs):
      """Draws and scores answers for all test clips, for each seed."""
      draw(source, runs[0])
      scores = [
        [self.score(c.truth, answer) for c, answer in zip(test, answers)]
        for answers in runs
      ]
      means = summarise(scores)
      metrics.update({f'{source}/{k}': v for k, v in means.items()})
      logging.info('%s of %s: %s', type(self).__name__, source, means)

    for number, clip in enumerate(drawn):
      arrays[f'frames_{number}'] = clip.frames
      arrays[f'name_{number}'] = np.array(clip.place[1])
    draw('true', [self.right_answer(clip.truth) for clip in drawn])
    for encoder in self.encoders:
      fits = self._fits(encoder, functions, train, validation, test)
      answers, chosen = zip(*fits)
      tell(encoder, *answers)
      chosen = over_seeds(chosen)
      metrics |= {f'chosen/{encoder}/{k}': v for k, v in chosen.items()}
    answer = self.trivial(train)
    tell(self.trivial_name, [answer(clip.truth) for clip in test])
    return Result(metrics, arrays)

  def _fits(
    self,
    encoder: str,
    functions: ModelFunctions,
    train: Sequence[Clip],
    validation: Sequence[Clip],
    test: Sequence[Clip],
  ) -> Iterator[tuple[list[Any], dict[str, float]]]:
    """For each seed, the answers for all test clips and what was chosen."""
    for number in range(self.seeds):
      seed = self.videos.seed + number
      if not number or encoder == 'random':
        colours = functools.partial(
          patch_colours, patch_size=self.videos.patch_size
        )
        clip = test[0].frames[None]
        source = make_encoder(encoder, functions, clip, seed, colours)
        tuned = self.learns == 'all' and encoder != 'pixels'
        sides = []
        for clips in (train, validation, test):
          frames = [clip.frames for clip in clips]
          rows = np.array(frames) if tuned else self.features(source, frames)
          sides.append((rows, clips))
      *learning, asked = sides
      answer, chosen = self.fit(*learning, seed, source if tuned else None)
      pairs = progress(
        zip(*asked), len(test), f'asking {encoder}', unit='clips'
      )
      yield [answer(row[None], clip.truth) for row, clip in pairs], chosen

  def fit(
    self,
    train: tuple[np.ndarray, Sequence[Clip]],
    validation: tuple[np.ndarray, Sequence[Clip]],
    seed: int,
    network: ModelFunctions | None = None,
  ) -> tuple[Answer, dict[str, float]]:
    """Trains heads and chooses one of them.

    Args:
      train, validation: rows and their clips. Rows are features
        [clips, t, h*w, D], or frames if a network learns with the head.
      seed: of all that is drawn.
      network: that learns with the head; None if there is none.

    Returns:
      The answer for a row [1, ...] of which something is asked, and numbers
      about the head that gives it.
    """
    rng = np.random.default_rng(seed)
    rows, clips = train
    head, start, shares = self.make_head(clips), {}, ()
    if network:
      module, params, method = network.trainable
      head, start = TunedReadout(module, method, head), {'network': params}
      shares = (('network', self.network_rate),)
    batch_size = min(self.videos.batch_size, len(clips))
    num_steps = self.num_epochs * (len(clips) // batch_size)
    inputs, _ = self.draw(rng, [clips[0].truth])
    heads = TrainedHeads(
      head,
      rows[:1],
      *inputs,
      loss=self.loss,
      optimizer='adamw',
      rates=self.learning_rates,
      decays=(self.weight_decay,),
      num_steps=num_steps,
      num_warmup=round(self.warmup * num_steps),
      start=start,
      shares=shares,
      seed=seed,
    )
    batches = shuffled(np.arange(len(clips)), batch_size, self.num_epochs, seed)
    for chosen in progress(batches, num_steps, 'readout heads', unit='steps'):
      inputs, truth = self.draw(rng, [clips[i].truth for i in chosen])
      heads.train([rows[chosen], *inputs], truth)

    def answer(head, row, truth):
      return self.ask(functools.partial(head, row), truth)

    scores = []
    for number in range(len(heads)):
      head = heads[number]
      of_clips = [
        self.score(clip.truth, answer(head, row[None], clip.truth))
        for row, clip in zip(*validation)
      ]
      scores.append(summarise([of_clips]))
    number, value = self.best(scores)
    return functools.partial(answer, heads[number]), {
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
        f'No head has a {name} on the validation clips: they have nothing to '
        'measure it on, or the heads diverged and '
        f'learning_rates={self.learning_rates} are too high.'
      )
    return number, scores[number][name]

  def prepare(self, features: np.ndarray) -> np.ndarray:
    """What is kept of features [B, t, h*w, D]."""
    return normalise(features)

  def features(self, encoder: Any, clips: Sequence[np.ndarray]) -> np.ndarray:
    """Features [clips, t, h*w, D] float16, encoded a batch at a time.

    Args:
      encoder: has `encode` and `num_prefix_tokens`.
      clips: frames [T, H, W, 3] uint8 of each.
    """
    size = min(self.videos.batch_size, len(clips)) or 1
    kept = np.zeros(0, np.float16)
    starts = range(0, len(clips), size)
    for start in progress(starts, len(starts), 'features', unit='batches'):
      frames = np.stack(clips[start : start + size])
      # Filled up, so that the network is compiled once.
      grid = encoder.encode(filled(frames, size))[
        : len(frames), :, encoder.num_prefix_tokens :
      ]
      if not start:
        shape = (len(clips), *grid.shape[1:])
        num_bytes = kept.itemsize * math.prod(shape)
        check_room(num_bytes, f'The features of {len(clips)} clips', REMEDY)
        kept = np.empty(shape, kept.dtype)
      kept[start : start + size] = self.prepare(grid)
    return kept


def draw_rows(
  rng: np.random.Generator, rows: np.ndarray, count: int
) -> np.ndarray:
  """Draws `count` row numbers, with repeats only if there are fewer rows."""
  return rng.choice(len(rows), count, replace=len(rows) < count)


def in_chunks(
  function: Callable[[np.ndarray], tuple[np.ndarray, ...]],
  queries: np.ndarray,
  size: int = 64,
) -> list[np.ndarray]:
  """Calls a function on chunks of queries [Q, ...]; it is compiled once.

  Args:
    function: from [size, ...] to arrays [size, ...].
    queries: at least one.
    size: queries in a chunk; the last chunk is padded.
  """
  parts = [
    function(filled(queries[start : start + size], size))
    for start in range(0, len(queries), size)
  ]
  return [np.concatenate(part)[: len(queries)] for part in zip(*parts)]


def summarise(
  runs: Sequence[Sequence[Mapping[str, float]]],
) -> dict[str, float]:
  """Scores of clips, for each seed, as means; without those that no clip has.

  Args:
    runs: for each seed, the scores of every clip; NaN is none.

  Returns:
    For each score its mean over clips and seeds; `<score>_std`, the deviation
    of the means over seeds, if there are several; and `<score>_se`, the
    standard error over clips, if there are several.
  """
  found = {}
  for name in runs[0][0]:
    values = np.array([[clip[name] for clip in run] for run in runs])
    known = ~np.isnan(values).any(0)
    if not known.any():
      continue
    values = values[:, known]
    found |= over_seeds([{name: run.mean()} for run in values])
    if known.sum() > 1:
      error = values.mean(0).std(ddof=1) / math.sqrt(known.sum())
      found[f'{name}_se'] = float(error)
  return found
