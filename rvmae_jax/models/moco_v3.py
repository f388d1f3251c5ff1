"""MoCo v3 on video: two clips of one video, and what tells them from others.

The network is the query encoder; the momentum encoder is the same network with
the running mean of its parameters, which the training state keeps
(`config.ema_decay`). Source: arXiv 2104.02057.
"""

import itertools
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from rvmae_jax.layers.heads import BatchNormMlp
from rvmae_jax.models import MODELS, flops
from rvmae_jax.models.backbone import OnBackbone


def build_moco_v3(
  *,
  backbone: str = 'videomae',
  hidden_dim: int = 4096,
  output_dim: int = 256,
  **fields,
) -> 'MoCoV3':
  """MoCo v3 on a model of the registry; `fields` are those of the model.

  Raises:
    ValueError: an unknown model, or a field that it does not have.
  """
  network = MODELS.build({'name': backbone, **fields})
  return MoCoV3(network, hidden_dim, output_dim)


class MoCoV3(OnBackbone, nn.Module):
  """Encodes two views of each clip and projects their mean features.

  Attributes:
    backbone: answers to the model contract.
    hidden_dim: width of the heads inside.
    output_dim: width of what views are compared by.
  """

  backbone: nn.Module
  hidden_dim: int = 4096
  output_dim: int = 256

  @nn.compact
  def __call__(
    self, batch: Mapping[str, jax.Array], *, train: bool = False
  ) -> dict[str, jax.Array]:
    """Queries and keys of both views; batch norm sees the rows of one view.

    Args:
      batch: `video` and `view2` [B, T, H, W, 3], as the backbone takes them.
      train: handed to the backbone.

    Returns:
      `projection` (keys, from the momentum encoder's parameters) and
      `prediction` (queries), both [B, 2, output_dim] float32, and `features`
      [B, 2, t, P+h*w, D] of the backbone.

    Raises:
      ValueError: the batch has no second view.
    """
    if 'view2' not in batch:
      raise ValueError(
        'MoCo v3 compares two clips of a video, and the batch has one; use the '
        "clip sampler 'two_views'."
      )
    views = jnp.stack([batch['video'], batch['view2']], axis=1)
    # [B, 2, T, H, W, 3] -> [B*2, T, H, W, 3]: one encoder for both, and no clip
    # has to change its device.
    features = self.backbone.encode(
      views.reshape(-1, *views.shape[2:]), train=train
    )
    pooled = features[:, :, self.num_prefix_tokens :].mean((1, 2))
    pooled = pooled.reshape(len(views), 2, -1)  # [B*2, D] -> [B, 2, D]
    dtype = self.backbone.dtype
    projector = (self.hidden_dim, self.hidden_dim, self.output_dim)
    projection = BatchNormMlp(projector, dtype, name='projector')(pooled)
    prediction = BatchNormMlp(projector[1:], dtype, name='predictor')(
      projection
    )
    return {
      'projection': projection.astype(jnp.float32),
      'prediction': prediction.astype(jnp.float32),
      'features': features.reshape(*views.shape[:2], *features.shape[1:]),
    }

  def encode(self, video: jax.Array, *, train: bool = False) -> jax.Array:
    """Features of the backbone: [B, T, H, W, 3] -> [B, t, P+h*w, D]."""
    return self.backbone.encode(video, train=train)

  def flops_per_clip(self, spec: Mapping[str, Any]) -> dict[str, int]:
    """Forward FLOPs of both views of one video by part, queries alone."""
    count = self.backbone.flops_per_clip({'video': spec['video']})
    widths = (self.width, *[self.hidden_dim] * 2, self.output_dim)
    widths += (self.hidden_dim, self.output_dim)
    heads = sum(flops.dense(1, *pair) for pair in itertools.pairwise(widths))
    return {
      part: 2 * value for part, value in (count | {'heads': heads}).items()
    }
