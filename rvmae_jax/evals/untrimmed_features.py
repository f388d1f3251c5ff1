"""Features of long videos, step by step, for a network and baselines."""

import collections
import dataclasses
import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from rvmae_jax.data.localization.untrimmed import UntrimmedVideo
from rvmae_jax.evals.dense import DenseEncoder
from rvmae_jax.evals.features import check_encoders, thumbnails
from rvmae_jax.evals.functions import ModelFunctions


@dataclasses.dataclass(kw_only=True)
class UntrimmedFeatures:
  """Reads a video once and gives the features of every encoder.

  A frame's features are the mean over its tokens, a step's those over its
  frames. A recurrent network reads on from the first frame to the last.

  Attributes:
    functions: the network.
    size: (height, width) that frames are resized to.
    encoders: some of `evals.features.ENCODERS`.
    fps: frames that are read of a second, see `UntrimmedVideo.read`.
    frames_per_step: of those read.
    window: frames at once, of a model of clips.
    seed: of the random network.
  """

  functions: ModelFunctions
  size: tuple[int, int]
  encoders: Sequence[str]
  fps: float = 0
  frames_per_step: int = 2
  window: int = 16
  seed: int = 0

  def __post_init__(self):
    check_encoders(self.encoders)

  def __call__(self, video: UntrimmedVideo) -> dict[str, np.ndarray]:
    """Source -> [T, D] float32."""
    frames = video.read(self.size, self.fps)
    # Side by side, so that no more frames wait than one encoder takes at once.
    rows = zip(
      *(
        self._by_frame(encoder, copy)
        for encoder, copy in zip(
          self.encoders, itertools.tee(frames, len(self.encoders))
        )
      )
    )
    steps = collections.defaultdict(list)
    while step := list(itertools.islice(rows, self.frames_per_step)):
      for encoder, features in zip(self.encoders, zip(*step)):
        steps[encoder].append(np.mean(features, axis=0))
    return {encoder: np.stack(values) for encoder, values in steps.items()}

  def step_edges_s(self, video: UntrimmedVideo) -> np.ndarray:
    """When each step begins, and the last one ends: [T + 1] in seconds."""
    times = video.times_s(self.fps)
    return np.append(times[: -1 : self.frames_per_step], times[-1])

  def _by_frame(
    self, name: str, frames: Iterable[np.ndarray]
  ) -> Iterator[np.ndarray]:
    """Features [D] of each frame."""
    if name == 'pixels':
      for frame in frames:
        yield thumbnails(frame[None, None])[0, 0, 0]
      return
    encoder = DenseEncoder(
      self._random if name == 'random' else self.functions,
      window=self.window,
      method='encode_frames' if name == 'per_frame' else 'encode',
    )
    for features in encoder(frames):
      yield from features.mean(1)

  @functools.cached_property
  def _random(self) -> ModelFunctions:
    frames = np.zeros((1, self.window, *self.size, 3), np.uint8)
    return self.functions.untrained(frames, self.seed)
