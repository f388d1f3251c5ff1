"""Dense features: those of every place in every frame of a video of any length.

A recurrent model reads the video as it was made to, carrying its state from
frame to frame. A model of clips sees windows that lie side by side.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from rvmae_jax.evals.features import Encoder
from rvmae_jax.registry import check_counts

# Frames in, features [n, h*w, D] of n frames at a time out.
Encode = Callable[[Iterable[np.ndarray]], Iterator[np.ndarray]]


@dataclasses.dataclass(frozen=True)
class DenseEncoder:
  """Encodes frames in order, a few at a time, in memory that does not grow.

    encoder = DenseEncoder(functions)
    for features in encoder(read_frames('film.mp4', size=(224, 384))):
      ...  # [n, h*w, D]

  The network is compiled once for each frame size: what is left at the end is
  filled up with its last frame, and what that gives is cut off.

  Attributes:
    functions: the network.
    window: frames that a model of clips sees at once.
    chunk: frames that a recurrent model is given at once; changes the memory,
      not the features.
    reset_every: frames after which a recurrent model's state is reset, those of
      the warm-up not counted; 0 keeps it to the end.
    warm_up: times that a recurrent model is shown the first frame before it
      counts, at the start of the video only. A state that comes from zero
      takes a few frames to fill; until then features differ from later ones of
      the same thing.
  """

  functions: Encoder
  _: dataclasses.KW_ONLY
  window: int = 16
  chunk: int = 8
  reset_every: int = 0
  warm_up: int = 0

  def __post_init__(self):
    check_counts(self, 'window', 'chunk')
    check_state_settings(self.reset_every, self.warm_up)

  def __call__(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yields the features of some frames at a time, in order.

    Args:
      frames: [H, W, 3] uint8 each, all of one size.

    Yields:
      [n, h*w, D] float32, without prefix tokens (CLS): one entry for each
      frame. Where a token spans several frames, each of them has it.

    Raises:
      ValueError: patches do not tile the frames, or tubelets the window.
    """
    if self.functions.is_recurrent:
      return self._streamed(iter(frames))
    return self._windowed(iter(frames))

  def _streamed(self, frames: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    # Frames since the last reset; below 0 they do not count.
    age, state = -self.warm_up, None
    first = list(itertools.islice(frames, 1))
    frames = itertools.chain(first * (1 + self.warm_up), frames)
    while True:
      # Stop at each reset: padding spoils the state, and a reset drops it.
      size = self.chunk
      if self.reset_every:
        if age == self.reset_every:
          age, state = 0, None
        size = min(size, self.reset_every - age)
      clip = _take(frames, size)
      if not len(clip):
        return
      if state is None:
        state = self.functions.init_state(1, *clip.shape[1:3])
      features, state = self.functions.encode_from(
        state, filled(clip, self.chunk)[None]
      )
      counted = slice(max(-age, 0), len(clip))
      age += len(clip)
      if counted.start < counted.stop:
        yield features[0, counted, self.functions.num_prefix_tokens :]

  def _windowed(self, frames: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    while len(clip := _take(frames, self.window)):
      video = filled(clip, self.window)[None]
      features = self.functions.encode(video)[0]
      # [t, P+h*w, D] -> [T, P+h*w, D]
      features = features.repeat(self.window // len(features), axis=0)
      yield features[: len(clip), self.functions.num_prefix_tokens :]


class Standardised:
  """Features without what videos have in common, in units of their deviation.

  Much of a feature may say where in the frame it is and, of a recurrent
  network, how many frames have been seen. That is the same in all videos and
  outweighs, in a cosine, what tells one thing from another.

  Args:
    encode: of features as they are.
    videos: the frames of each, all of one size. They are read once; others that
      are encoded later may not be longer.

  Attributes:
    share_in_common: of the variance, which is that of the mean over videos at a
      frame and place.
  """

  def __init__(
    self, encode: Encode, videos: Iterable[Iterable[np.ndarray]]
  ) -> None:
    self._encode = encode
    sums, counts, squares = [], [], 0
    for frames in videos:
      parts = encode(frames)
      for number, features in enumerate(itertools.chain.from_iterable(parts)):
        if number == len(sums):
          sums.append(np.zeros_like(features))
          counts.append(0)
        sums[number] += features
        counts[number] += 1
        squares += np.square(features, dtype=np.float64).mean(0)
    self._means = [total / count for total, count in zip(sums, counts)]
    mean = np.average([m.mean(0) for m in self._means], 0, counts)
    of_means = [np.square(m - mean).mean(0) for m in self._means]
    variance = squares / sum(counts) - mean**2
    self.share_in_common = float(
      np.average(of_means, 0, counts).sum() / variance.sum()
    )
    deviation = np.sqrt(np.maximum(variance, 0))
    self._deviation = np.where(deviation > 0, deviation, 1).astype(np.float32)

  def __call__(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """As of `DenseEncoder`."""
    number = 0
    for part in self._encode(frames):
      means = np.stack(self._means[number : number + len(part)])
      number += len(part)
      yield (part - means) / self._deviation


def check_state_settings(reset_every: int, warm_up: int) -> None:
  """Raises ValueError for settings of `DenseEncoder` that make no sense."""
  if reset_every < 0:
    raise ValueError(
      f'reset_every={reset_every} must be a number of frames, or 0 to '
      'never reset.'
    )
  if warm_up < 0:
    raise ValueError(
      f'warm_up={warm_up} must be 0, or how often the first frame is '
      'shown before it counts.'
    )
  if warm_up and reset_every == 1:
    raise ValueError(
      f'warm_up={warm_up} fills a state that reset_every=1 throws away '
      'after every frame; leave one of them out.'
    )


def _take(frames: Iterator[np.ndarray], count: int) -> np.ndarray:
  """Up to `count` frames, [n, H, W, 3]; n is 0 at the end."""
  taken = list(itertools.islice(frames, count))
  return np.stack(taken) if taken else np.zeros(0)


def filled(rows: np.ndarray, length: int) -> np.ndarray:
  """Rows made as many as that by repeating the last of them."""
  return np.concatenate([rows, rows[-1:].repeat(length - len(rows), axis=0)])
