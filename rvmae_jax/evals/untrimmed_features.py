"""Features of long videos, step by step, for a network and baselines."""

import collections
import itertools
from collections.abc import Callable, Mapping

import numpy as np

from rvmae_jax.data.localization.untrimmed import UntrimmedVideo
from rvmae_jax.evals.dense import DenseEncoder
from rvmae_jax.evals.features import Encoder


def step_reader(
  encoders: Mapping[str, Encoder],
  size: tuple[int, int],
  *,
  fps: float = 0,
  frames_per_step: int = 2,
  window: int = 16,
) -> Callable[[UntrimmedVideo], dict[str, np.ndarray]]:
  """Reads a video once and gives the features of every encoder.

  A frame's features are the mean over its tokens, a step's those over its
  frames. A recurrent network reads on from the first frame to the last.

  Args:
    encoders: by name, see `evals.features.make_encoder`.
    size: (height, width) that frames are resized to.
    fps: frames that are read of a second, see `UntrimmedVideo.read`.
    frames_per_step: of those read.
    window: frames at once, of a model of clips.

  Returns:
    From a video to the features [T, D] float32 of each encoder.
  """

  def by_frame(encoder, frames):
    for features in DenseEncoder(encoder, window=window)(frames):
      yield from features.mean(1)

  def read(video):
    copies = itertools.tee(video.read(size, fps), len(encoders))
    # Side by side, so that no more frames wait than one encoder takes at once.
    rows = zip(*map(by_frame, encoders.values(), copies))
    steps = collections.defaultdict(list)
    while step := list(itertools.islice(rows, frames_per_step)):
      for encoder, features in zip(encoders, zip(*step)):
        steps[encoder].append(np.mean(features, axis=0))
    return {encoder: np.stack(values) for encoder, values in steps.items()}

  return read


def step_edges_s(
  video: UntrimmedVideo, fps: float = 0, frames_per_step: int = 2
) -> np.ndarray:
  """When each step begins, and the last one ends: [T + 1] in seconds."""
  times = video.times_s(fps)
  return np.append(times[:-1:frames_per_step], times[-1])
