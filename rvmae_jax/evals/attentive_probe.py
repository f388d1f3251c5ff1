"""Attentive probe: one learned query reads all tokens of a frozen network."""

import collections
import dataclasses
import functools
from collections.abc import Callable, Sequence

import jax
import numpy as np

from rvmae_jax.evals.answers import Answer
from rvmae_jax.evals.features import gather
from rvmae_jax.evals.heads import (
  AttentiveHead,
  TrainedHeads,
  cross_entropy,
  most_accurate,
)
from rvmae_jax.evals.probing import Answers, Probe
from rvmae_jax.evals.progress import progress
from rvmae_jax.evals.token_rows import EncodedRows, KeptRows, Networks
from rvmae_jax.registry import check_counts, check_share

_POOLING = 'attentive'  # Its place in the names of numbers.
# Up to this many videos, drawing each one by itself may hold out none at all.
_FEW = 200
# The best head by encoder and seed, and numbers of how it came about.
_Chosen = dict[tuple[str, int], tuple[Callable, dict[str, float]]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttentiveProbeEval(Probe):
  """Accuracy of an attentive head on the tokens of a frozen network.

  Heads with every learning rate and weight decay learn at once, see
  `heads.TrainedHeads`. The best of them on a held-out part of the training
  videos (`validation_top1`), which none learned from, is tested on the test
  videos.

  Training videos are encoded once and their tokens kept in memory, in float16;
  the log says how much that is, and what will not fit is refused at the start.
  With `cache=False` they are read and encoded again every epoch, so that sets
  of any size fit, and clips and crops are drawn anew as in training.

  The head is that of RVM's paper (arXiv 2512.13684), see `heads.AttentiveHead`.
  Seeds share the order of training, so that rows are encoded once; random
  weights, the heads' parameters and the held-out videos differ.

  Attributes:
    learning_rates: of AdamW, along a cosine to 0.
    weight_decays: combined with each rate.
    num_epochs: over the training videos, in batches of `train.batch_size`.
    held_out: the share of training videos that chooses; one of them at least.
    width: of the head; 0 takes that of the tokens. The paper's is 768.
    num_heads: of its attention; 0 takes one for each 64 channels.
    cache: whether tokens of training videos are kept.
  """

  learning_rates: Sequence[float] = (1e-4, 3e-4, 1e-3)
  weight_decays: Sequence[float] = (1e-4, 1e-2)
  num_epochs: int = 20
  held_out: float = 0.1
  width: int = 0
  num_heads: int = 0
  cache: bool = True

  def __post_init__(self):
    super().__post_init__()
    check_counts(self, 'num_epochs')
    check_share(self, 'held_out')
    if self.train.max_videos and not self.cache:
      raise ValueError(
        f'train.max_videos={self.train.max_videos} does nothing with '
        'cache=False, which draws from all videos as in training; leave one '
        'of them out.'
      )
    # Heads have a position for each frame.
    learned, asked = self.train.num_frames, self.test.num_frames
    if asked != learned * self.num_clips:
      raise ValueError(
        f'Heads are trained on clips of {learned} frames, so test clips need '
        f'{learned * self.num_clips} (num_clips={self.num_clips}) and have '
        f'{asked}: set data.clip.num_frames.'
      )

  @property
  def num_trainings(self) -> int:
    """How many heads are trained, with those that are not chosen."""
    num_heads = len(self.learning_rates) * len(self.weight_decays)
    return num_heads * len(self.encoders) * self.seeds

  def answer(self, functions):
    """One answer for each encoder and seed."""
    if self.train.num_classes < 2:
      return 'its train videos have no classes'
    networks = Networks(functions, self.encoders, self.seeds, self.train)
    train_rows = (KeptRows if self.cache else EncodedRows)(networks, self.train)
    if not train_rows.num_videos:
      return 'no labels in its train videos'
    chosen = self._learn(train_rows, networks)
    return self._ask(chosen, networks, train_rows.num_videos)

  def _learn(
    self, train: KeptRows | EncodedRows, networks: Networks
  ) -> _Chosen:
    """Trains the heads of each encoder and seed, and chooses among them."""
    num_steps = train.num_steps(self.num_epochs)
    heads: dict[tuple[str, int], TrainedHeads] = {}
    batches = train.training_batches(self.num_epochs)
    for rows in progress(batches, num_steps, 'attentive heads', unit='steps'):
      is_held_out = self._is_held_out(rows.places)
      for pair, name in networks.names.items():
        tokens, (_, number) = rows.tokens[name], pair
        if pair not in heads:
          heads[pair] = self._new_heads(tokens, num_steps, number)
        learns = ~is_held_out[number] & (rows.labels >= 0)
        heads[pair].train([tokens], [rows.labels, np.float32(learns)])
    asked = collections.defaultdict(list)
    for rows in train.all_batches():
      is_held_out = self._is_held_out(rows.places)
      for pair, name in networks.names.items():
        chooses = is_held_out[pair[1]] & (rows.labels >= 0)
        logits = np.asarray(heads[pair].answer(rows.tokens[name]))
        asked[pair].append((logits[:, chooses], rows.labels[chooses]))
    chosen = {}
    for pair, of_pair in heads.items():
      best, validation_top1 = most_accurate(asked[pair])
      numbers = {'validation_top1': validation_top1, **of_pair.setting(best)}
      chosen[pair] = of_pair[best], numbers
    return chosen

  def _ask(
    self, chosen: _Chosen, networks: Networks, num_train: int
  ) -> Answers | str:
    """Shows every test video to the chosen heads, view by view."""

    def classify(batch):
      tokens = networks.tokens(batch['video'])
      return {
        pair: jax.nn.softmax(head(tokens[networks.names[pair]]))
        for pair, (head, _) in chosen.items()
      }

    batches = self.test.batches(what='test videos')
    asked, labels, places = gather(classify, batches, self.views())
    if not asked:
      return 'no labels in its test videos'
    given = collections.defaultdict(list)
    for (encoder, number), (_, numbers) in chosen.items():
      probabilities = asked[encoder, number].mean(1)
      # A class that train lacks is never the answer.
      num_lacking = max(labels.max() + 1 - probabilities.shape[1], 0)
      given[f'{encoder}/{_POOLING}'].append(
        Answer(np.pad(probabilities, [(0, 0), (0, num_lacking)]), numbers)
      )
    return Answers(labels, places, num_train, given)

  def _new_heads(
    self, tokens: np.ndarray, num_steps: int, number: int
  ) -> TrainedHeads:
    width = self.width or tokens.shape[-1]
    num_heads = self.num_heads or max(width // 64, 1)
    if width % num_heads:
      raise ValueError(
        f'A head {width} wide cannot be split into num_heads={num_heads}; '
        'width has to be a multiple of num_heads.'
      )
    return TrainedHeads(
      AttentiveHead(self.train.num_classes, width, num_heads),
      tokens,
      loss=cross_entropy,
      optimizer='adamw',
      rates=self.learning_rates,
      decays=self.weight_decays,
      num_steps=num_steps,
      seed=self.train.seed + number,
    )

  @functools.cached_property
  def _limits(self) -> np.ndarray:
    """Records whose `_draw` is at most this are held out: [seeds, 1]."""
    limits = np.full((self.seeds, 1), self.held_out)
    if self.train.num_videos <= _FEW:
      draws = self._draw(self.train.labelled_places())
      limits = np.maximum(limits, draws.min(1, initial=1.0, keepdims=True))
    return limits

  def _is_held_out(self, places: np.ndarray) -> np.ndarray:
    """Which records are held out to choose heads: [seeds, B] bool."""
    return self._draw(places) <= self._limits

  def _draw(self, places: np.ndarray) -> np.ndarray:
    """A number in [0, 1) for each seed and record: [seeds, B].

    Drawn record by record, so that it does not depend on their order.
    """
    draws = [
      np.random.default_rng([self.train.seed + number, *place]).random()
      for number in range(self.seeds)
      for place in places
    ]
    return np.reshape(draws, (self.seeds, len(places)))
