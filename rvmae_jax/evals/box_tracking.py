"""Boxes of a first frame, followed by a trained head on frozen features."""

import dataclasses

import flax.linen as nn
import jax
import numpy as np

from rvmae_jax.data.scenes import BOXES
from rvmae_jax.evals.readouts import ReadoutEval, draw_rows, in_chunks
from rvmae_jax.layers.readout import READOUTS
from rvmae_jax.losses import readouts as losses
from rvmae_jax.metrics.boxes import tracked_iou


class RelativeBoxes(nn.Module):
  """A `BoxReadout` that says how far boxes have gone.

  Attributes:
    readout: the head.
    std: how far they go, as a share of the frame; the unit of its answers.
  """

  readout: nn.Module
  std: float

  def __call__(self, features: jax.Array, queries: jax.Array) -> jax.Array:
    """See `BoxReadout`."""
    return queries[:, :, None] + self.std * self.readout(features, queries)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BoxTrackingEval(ReadoutEval):
  """Mean IoU after the first frame; beside it that of the first box.

  Only boxes that are known in the first frame of a clip, and in another, count.

  Attributes:
    num_queries: boxes of a clip that are drawn for a step of training.
    relative: the head says how far a box has gone since the first frame;
      released heads say where it is, which takes more training.
  """

  datasets = BOXES
  asked_for = 'boxes'
  chosen_by = ('mean_iou',)
  trivial_name = 'first_box'

  num_queries: int = 8
  relative: bool = False

  def length(self, video):
    """Frames that may have boxes."""
    return video.boxes.shape[1]

  def truth(self, video, frames):
    """`boxes` [N, T, 4]."""
    boxes = video.boxes[:, frames]
    is_known = ~np.isnan(boxes).any(-1)
    boxes = boxes[is_known[:, 0] & is_known[:, 1:].any(1)]
    return {'boxes': boxes} if len(boxes) else None

  def make_head(self, train):
    """`BoxReadout`."""
    settings = {'num_frames': self.num_frames}
    readout = READOUTS.build({'name': 'boxes', **settings, **self.head})
    if not self.relative:
      return readout
    boxes = np.concatenate([clip.truth['boxes'] for clip in train])
    return RelativeBoxes(readout, float(np.nanstd(boxes - boxes[:, :1])))

  @staticmethod
  def loss(outputs, boxes):
    """L2."""
    return losses.l2(outputs, boxes).mean()

  def draw(self, rng, truths):
    """Boxes of the first frame [B, Q, 4], and of all."""
    known = [truth['boxes'] for truth in truths]
    boxes = np.stack([b[draw_rows(rng, b, self.num_queries)] for b in known])
    return [boxes[:, :, 0]], [boxes]

  def ask(self, head, truth):
    """[N, T, 4]."""
    [boxes] = in_chunks(
      lambda queries: (np.asarray(head(queries[None])[0]),),
      truth['boxes'][:, 0],
    )
    return boxes

  def trivial(self, train):
    """The box of the first frame, in all."""
    del train
    return lambda truth: truth['boxes'][:, :1].repeat(self.num_frames, axis=1)

  def score(self, truth, answer):
    """`mean_iou`, see `metrics.boxes`."""
    return {'mean_iou': tracked_iou(answer, truth['boxes'])}
