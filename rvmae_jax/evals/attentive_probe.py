"""Attentive probe: one learned query reads all tokens of a frozen network."""

import collections
import dataclasses
import functools
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from absl import logging

from rvmae_jax.evals.answers import Answer
from rvmae_jax.evals.features import gather
from rvmae_jax.evals.heads import AttentiveHead, ManyHeads
from rvmae_jax.evals.probing import Answers, Probe
from rvmae_jax.evals.progress import progress
from rvmae_jax.evals.token_rows import EncodedRows, KeptRows, Networks

_POOLING = 'attentive'  # Its place in the names of numbers.
# Of so few videos, drawn one by one, it may be that none is held out.
_FEW = 200


class _Chosen(NamedTuple):
  """The heads of one network and seed, and the one that was chosen."""

  heads: ManyHeads
  number: int
  validation_top1: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttentiveProbeEval(Probe):
  """Accuracy of an attentive head on the tokens of a frozen network.

  Heads with every learning rate and weight decay learn at once, see
  `heads.ManyHeads`. The best of them on a held-out part of the training videos
  (`validation_top1`), which none learned from, is asked about the test videos.

  Training videos are encoded once and their tokens kept in memory, in float16;
  the log says how much that is, and what will not fit is refused at the start.
  With `cache=False` they are read and encoded again every epoch, so that sets
  of any size fit, and clips and crops are drawn anew as in training.

  The head is that of RVM's paper (arXiv 2512.13684), see `heads.AttentiveHead`.

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

  @property
  def num_trainings(self) -> int:
    """How many heads are trained, with those that are not chosen."""
    num_heads = len(self.learning_rates) * len(self.weight_decays)
    return num_heads * len(self.encoders) * self.seeds

  def answer(self, functions, encoders):
    """One answer for each encoder and seed."""
    num_classes = self.train.num_classes
    if num_classes < 2:
      logging.info('Attentive probe skipped: its train videos have no classes.')
      return None
    networks = Networks(functions, encoders, self.seeds, self.train)
    train_rows = (KeptRows if self.cache else EncodedRows)(networks, self.train)
    if not train_rows.num_videos:
      logging.info('Attentive probe skipped: no labels in its train videos.')
      return None
    chosen = self._learn(train_rows, networks, encoders, num_classes)
    return self._ask(chosen, networks, train_rows.num_videos)

  def _learn(
    self,
    train: KeptRows | EncodedRows,
    networks: Networks,
    encoders: Sequence[str],
    num_classes: int,
  ) -> dict[tuple[str, int], _Chosen]:
    """Trains the heads of each encoder and seed, and chooses among them."""
    pairs = list(itertools.product(encoders, range(self.seeds)))
    num_steps = train.num_steps(self.num_epochs)
    heads: dict[tuple[str, int], ManyHeads] = {}
    batches = train.training_batches(self.num_epochs)
    for rows in progress(batches, num_steps, 'attentive heads', unit='steps'):
      is_held_out = self._is_held_out(rows.places)
      for encoder, number in pairs:
        tokens = rows.tokens[networks.name(encoder, number)]
        if (encoder, number) not in heads:
          heads[encoder, number] = self._new_heads(
            tokens, num_classes, num_steps, number
          )
        learns = ~is_held_out[number] & (rows.labels >= 0)
        heads[encoder, number].train(
          [tokens], [rows.labels, np.float32(learns)]
        )
    asked = collections.defaultdict(list)
    for rows in train.all_batches():
      is_held_out = self._is_held_out(rows.places)
      for encoder, number in pairs:
        tokens = rows.tokens[networks.name(encoder, number)]
        chooses = is_held_out[number] & (rows.labels >= 0)
        probabilities = heads[encoder, number].classify_all(tokens)
        asked[encoder, number].append(
          (probabilities[:, chooses], rows.labels[chooses])
        )
    return {
      pair: _Chosen(heads[pair], *heads[pair].best(asked[pair]))
      for pair in pairs
    }

  def _ask(
    self,
    chosen: dict[tuple[str, int], _Chosen],
    networks: Networks,
    num_train: int,
  ) -> Answers | None:
    """Shows every test video to the chosen heads, view by view."""

    def classify(batch):
      tokens = networks.tokens(batch['video'])
      return {
        pair: heads.classify(best, tokens[networks.name(*pair)])
        for pair, (heads, best, _) in chosen.items()
      }

    batches = progress(self.test.batches(), self.test.num_videos, 'test videos')
    asked, labels, places = gather(classify, batches, self.views())
    if not asked:
      logging.info('Attentive probe skipped: no labels in its test videos.')
      return None
    given = collections.defaultdict(list)
    for (encoder, number), (heads, best, validation_top1) in chosen.items():
      probabilities = asked[encoder, number].mean(1)
      # A class that train lacks is never the answer.
      num_lacking = max(labels.max() + 1 - probabilities.shape[1], 0)
      given[f'{encoder}/{_POOLING}'].append(
        Answer(
          np.pad(probabilities, [(0, 0), (0, num_lacking)]),
          {'validation_top1': validation_top1, **heads.setting(best)},
        )
      )
    return Answers(labels, places, num_train, given)

  def _new_heads(
    self, tokens: np.ndarray, num_classes: int, num_steps: int, number: int
  ) -> ManyHeads:
    width = self.width or tokens.shape[-1]
    num_heads = self.num_heads or max(width // 64, 1)
    if width % num_heads:
      raise ValueError(
        f'A head {width} wide cannot be split into num_heads={num_heads}; '
        'width has to be a multiple of num_heads.'
      )
    return ManyHeads(
      AttentiveHead(num_classes, width, num_heads),
      tokens,
      optimizer='adamw',
      rates=self.learning_rates,
      decays=self.weight_decays,
      num_steps=num_steps,
      seed=self.train.seed + number,
    )

  @functools.cached_property
  def _limits(self) -> np.ndarray:
    """The records drawn below these choose, for each seed: [seeds, 1]."""
    limits = np.full((self.seeds, 1), self.held_out)
    if self.train.num_videos <= _FEW:
      draws = self._draw(self.train.labelled_places())
      limits = np.maximum(limits, draws.min(1, initial=1.0, keepdims=True))
    return limits

  def _is_held_out(self, places: np.ndarray) -> np.ndarray:
    """Which records choose, for each seed: [seeds, B] bool."""
    return self._draw(places) <= self._limits

  def _draw(self, places: np.ndarray) -> np.ndarray:
    """A number in [0, 1) for each seed and record: [seeds, B].

    Drawn record by record, so that it does not depend on their order.
    """
    seeds = self.train.seed + np.arange(self.seeds)
    return np.array(
      [
        [np.random.default_rng([seed, *place]).random() for place in places]
        for seed in seeds
      ]
    ).reshape(self.seeds, len(places))
