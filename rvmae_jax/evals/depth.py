"""Depth of every pixel, read from frozen features by a trained head."""

import dataclasses

import flax.linen as nn
import jax
import numpy as np

from rvmae_jax.data.scenes import DEPTH
from rvmae_jax.evals.readouts import ReadoutEval
from rvmae_jax.layers.readout import READOUTS
from rvmae_jax.losses import readouts as losses
from rvmae_jax.metrics.depth import depth_scores


class ScaledReadout(nn.Module):
  """A readout in units that suit its answers, since it starts around 0.

  Attributes:
    readout: the head.
    mean: of the answers.
    std: of the answers.
  """

  readout: nn.Module
  mean: float
  std: float

  def __call__(self, features: jax.Array) -> jax.Array:
    """The head's answer times `std`, plus `mean`."""
    return self.mean + self.std * self.readout(features)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DepthEval(ReadoutEval):
  """Errors of depth maps, in metres; beside them those of the mean depth.

  Scores are `AbsRel`, `RMSE` and `within_1.25`, `within_1.25^2` and
  `within_1.25^3`, see `metrics.depth`; the smallest AbsRel chooses. Maps are as
  large as the frames.
  """

  datasets = DEPTH
  asked_for = 'depth'
  chosen_by = ('AbsRel',)
  less_is_better = True
  trivial_name = 'mean'

  def length(self, video):
    """Frames that have a map."""
    return len(video.maps)

  def truth(self, video, frames):
    """`depth` [T, H, W] float32, NaN where unknown."""
    maps = [video.depth(frame, self.videos.size) for frame in frames]
    depth = np.stack(maps).astype(np.float32)
    return None if np.isnan(depth).all() else {'depth': depth}

  def make_head(self, train):
    """`DepthReadout`, around the mean of the training videos."""
    mean, std = _moments([clip.truth['depth'] for clip in train])
    settings = {'frames_shape': (self.num_frames, *self.videos.size)}
    readout = READOUTS.build({'name': 'depth', **settings, **self.head})
    return ScaledReadout(readout, mean, std)

  @staticmethod
  def loss(outputs, depth):
    """L2, in square metres."""
    return losses.l2(outputs, depth).mean()

  def draw(self, rng, truths):
    """Nothing beside features; the maps."""
    del rng
    depth = np.stack([truth['depth'] for truth in truths])
    return [], [depth]

  def ask(self, head, truth):
    """[T, H, W] in metres."""
    del truth
    return np.asarray(head()[0])

  def trivial(self, train):
    """The mean depth of the training videos, everywhere."""
    mean, _ = _moments([clip.truth['depth'] for clip in train])
    return lambda truth: np.full_like(truth['depth'], mean)

  def score(self, truth, answer):
    """See `metrics.depth`."""
    return depth_scores(answer, truth['depth'])


def _moments(maps: list[np.ndarray]) -> tuple[float, float]:
  """Mean and standard deviation of what is known."""
  count = sum((~np.isnan(depth)).sum() for depth in maps)
  mean = sum(np.nansum(depth, dtype=float) for depth in maps) / count
  square = sum(np.nansum(np.square(depth - mean)) for depth in maps) / count
  return float(mean), float(np.sqrt(square)) or 1.0
