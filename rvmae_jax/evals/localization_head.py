"""A small head that finds segments in the features of a long video.

Anchor-free, as ActionFormer's (arXiv 2202.07925) on a single scale, with
convolutions where that has attention: at each step it says what is going on,
and how far away the start and the end of it are.
"""

import dataclasses
from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from rvmae_jax.evals.heads import TrainedHeads
from rvmae_jax.metrics.localization import AMBIGUOUS, Truth

# Videos are padded to a multiple of this, so that few lengths are compiled.
_LENGTH = 128
_SOFTPLUS_1 = float(np.log(np.e - 1))  # Where softplus is 1.
_PRIOR = 0.01  # What a fresh head thinks is the probability of each class.

# Scores [T, C] in [0, 1] and distances [T, 2] in steps of features [T, D].
Localize = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


class LocalizationNetwork(nn.Module):
  """Dilated convolutions over time, then two linear read-outs.

  Attributes:
    num_classes: C.
    width: channels.
    num_blocks: residual blocks; the n-th has dilation 2^n, so that a step sees
      2^num_blocks - 1 steps to either side.
  """

  num_classes: int
  width: int
  num_blocks: int

  @nn.compact
  def __call__(
    self, features: jax.Array, valid: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    """Logits [B, T, C] and distances [B, T, 2] > 0, about 1 at the start.

    Args:
      features: [B, T, D], about standardised.
      valid: [B, T] bool; steps beyond the end look like those beyond the edge.
    """
    x = nn.Dense(self.width, name='embedding')(features)
    for number in range(self.num_blocks):
      y = nn.LayerNorm(name=f'norm_{number}')(x) * valid[..., None]
      # A dilated convolution as one matmul, which CPUs are much faster at.
      y = jnp.concatenate([_shift(y, n * 2**number) for n in (-1, 0, 1)], -1)
      y = nn.Dense(self.width, name=f'convolution_{number}')(y)
      y = nn.Dense(self.width, name=f'mix_{number}')(nn.gelu(y))
      x += y
    x = nn.gelu(nn.LayerNorm(name='norm')(x))
    prior = nn.initializers.constant(np.log(_PRIOR / (1 - _PRIOR)))
    logits = nn.Dense(self.num_classes, bias_init=prior, name='classes')(x)
    distances = nn.Dense(2, name='boundaries')(x)
    return logits, nn.softplus(distances + _SOFTPLUS_1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LocalizationHead:
  """The network and how it learns.

  Attributes:
    num_classes: C.
    width, num_blocks: of the network.
    middle: the share of a segment, around its middle, whose steps shall find
      it; the others of it learn nothing.
    crop: steps that are learned from at once; longer videos are cut at random.
    batch_size: crops at once.
    num_steps: of training.
    learning_rate: peak of a cosine with a tenth of warm-up.
    weight_decay: of AdamW.
    seed: of parameters and crops.
  """

  num_classes: int
  width: int = 64
  num_blocks: int = 4
  middle: float = 0.5
  crop: int = 128
  batch_size: int = 8
  num_steps: int = 800
  learning_rate: float = 2e-3
  weight_decay: float = 0.05
  seed: int = 0

  def fit(
    self, features: Sequence[np.ndarray], truths: Sequence[Truth]
  ) -> tuple[Localize, np.ndarray]:
    """Learns from videos [T, D], T of each its own.

    Args:
      features: of each video.
      truths: their segments in steps: step t lasts from t to t + 1.

    Returns:
      What it says of the features [T, D] of any video, and its losses
      [num_steps] float32 as it learned.
    """
    every = np.concatenate(features)
    mean, deviation = every.mean(0), every.std(0) + 1e-6
    videos = [
      step_targets(truth, len(rows), self.num_classes, self.middle)
      for rows, truth in zip(features, truths)
    ]
    reach = np.concatenate([v['distances'][v['found']] for v in videos])
    reach = float(np.median(reach)) if len(reach) else 1.0
    for rows, video in zip(features, videos):
      video['features'] = (rows - mean) / deviation
      video['distances'] /= reach
    rng = np.random.default_rng(self.seed)
    first = self._crops(videos, rng)
    heads = TrainedHeads(
      LocalizationNetwork(self.num_classes, self.width, self.num_blocks),
      *(first['features'], first['valid']),
      loss=detection_loss,
      optimizer='clipped_adamw',
      rates=(self.learning_rate,),
      decays=(self.weight_decay,),
      num_steps=self.num_steps,
      num_warmup=self.num_steps // 10,
      seed=self.seed,
    )
    losses = []
    for _ in range(self.num_steps):
      batch = self._crops(videos, rng)
      losses.append(heads.train([batch['features'], batch['valid']], [batch]))

    head = heads[0]

    def localize(features):
      end = len(features)
      video = _pad(
        {'features': (features - mean) / deviation},
        -(-end // _LENGTH) * _LENGTH,
      )
      logits, distances = head(video['features'][None], video['valid'][None])
      scores = jax.nn.sigmoid(logits[0, :end])
      return np.asarray(scores), reach * np.asarray(distances[0, :end])

    return localize, np.concatenate(losses)

  def _crops(
    self, videos: Sequence[dict[str, np.ndarray]], rng: np.random.Generator
  ) -> dict[str, np.ndarray]:
    """Random parts of random videos, [batch_size, crop, ...]."""
    rows = []
    for number in rng.integers(len(videos), size=self.batch_size):
      video = videos[number]
      last = max(len(video['features']) - self.crop, 0)
      start = rng.integers(last + 1)
      part = {k: v[start : start + self.crop] for k, v in video.items()}
      rows.append(_pad(part, self.crop))
    return {key: np.stack([row[key] for row in rows]) for key in rows[0]}


def step_targets(
  truth: Truth, num_steps: int, num_classes: int, middle: float = 1.0
) -> dict[str, np.ndarray]:
  """What the head should say at each step of a video.

  Args:
    truth: segments in steps.
    num_steps: T.
    num_classes: C.
    middle: the share of a segment whose steps shall find it.

  Returns:
    `classes` [T, C] in {0, 1}; `found` [T] bool, steps that find a segment,
    and `distances` [T, 2] from their middle to its ends, of the shortest if
    there are several; `counts` [T] bool, steps whose classes are learned. A
    step in a segment but not in its middle does not count, nor does one in an
    ambiguous segment.
  """
  classes = np.zeros((num_steps, num_classes), np.float32)
  distances = np.ones((num_steps, 2), np.float32)
  found, inside = np.zeros((2, num_steps), bool)
  at = np.arange(num_steps) + 0.5
  # Long ones first, so that the shortest one overwrites the others.
  for number in np.argsort(-np.diff(truth.segments)[:, 0], kind='stable'):
    (start, end), label = truth.segments[number], truth.labels[number]
    covered = (at >= start) & (at < end)
    if not covered.any():  # Too short to be found, but not background either.
      covered = (at + 0.5 > start) & (at - 0.5 < end)
    inside |= covered
    if label == AMBIGUOUS:
      continue
    offset = np.abs(at - (start + end) / 2)
    # The nearest step at least, if its middle lies in the segment.
    near = offset <= max(middle * (end - start) / 2, offset.min())
    near &= (at > start) & (at < end)
    found |= near
    classes[near, label] = 1
    distances[near] = np.stack([at - start, end - at], axis=1)[near]
  return {
    'classes': classes,
    'found': found,
    'distances': distances,
    'counts': found | ~inside,
  }


def detection_loss(
  outputs: tuple[jax.Array, jax.Array], batch: dict[str, jax.Array]
) -> jax.Array:
  """Focal loss of the classes and DIoU loss of the boundaries.

  Args:
    outputs: of `LocalizationNetwork`.
    batch: of `step_targets`, and `valid`, each [B, T, ...].
  """
  logits, distances = outputs
  counts = batch['valid'] & batch['counts']
  focal = optax.sigmoid_focal_loss(
    logits, batch['classes'], alpha=0.25, gamma=2.0
  ).sum(-1)
  found = batch['valid'] & batch['found']
  error = diou_loss(distances, batch['distances'])
  total = jnp.where(counts, focal, 0).sum() + jnp.where(found, error, 0).sum()
  return total / jnp.maximum(found.sum(), 1)


def diou_loss(first: jax.Array, second: jax.Array) -> jax.Array:
  """1 - tIoU of segments around one point, and how far apart their centres are.

  Args:
    first, second: [..., 2], distances >= 0 to the start and to the end.

  Returns:
    [...], 0 where both agree; the distance of the centres is counted in squares
    of the shortest segment that holds both (arXiv 1911.08287).
  """
  shared = jnp.minimum(first, second).sum(-1)
  union = first.sum(-1) + second.sum(-1) - shared
  hull = jnp.maximum(first, second).sum(-1)
  apart = (first - second) @ jnp.array([-0.5, 0.5])
  return 1 - shared / union + (apart / hull) ** 2


def _shift(x: jax.Array, count: int) -> jax.Array:
  """[B, T, D] so many steps later, with zeros where nothing was."""
  padded = jnp.pad(x, ((0, 0), (max(count, 0), max(-count, 0)), (0, 0)))
  return padded[:, : x.shape[1]] if count > 0 else padded[:, -x.shape[1] :]


def _pad(video: dict[str, np.ndarray], length: int) -> dict[str, np.ndarray]:
  """Zeros after the end of [T, ...], and `valid` [length] to tell."""
  num_steps = len(video['features'])
  padded = {
    key: np.pad(
      values, [(0, length - num_steps)] + [(0, 0)] * (values.ndim - 1)
    )
    for key, values in video.items()
  }
  return {**padded, 'valid': np.arange(length) < num_steps}
