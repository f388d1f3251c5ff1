"""A classifier of clips: any encoder, a pooling, a norm and a linear head."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from rvmae_jax.layers.transformer import layer_norm
from rvmae_jax.models import MODELS, flops
from rvmae_jax.models.backbone import OnBackbone

POOLS = ('mean', 'mean_std', 'cls')
# What a wrapper around an encoder has besides the encoder's own settings.
_WRAPPER = ('backbone', 'hidden_dim', 'output_dim')


def classifier_config(
  model: Mapping[str, Any], **fields: Any
) -> dict[str, Any]:
  """`config.model` of a classifier on the encoder that a recipe trains.

  Args:
    model: that recipe's `config.model`.
    **fields: fields of the classifier, and encoder fields to change.
  """
  encoder = {k: v for k, v in model.items() if k not in _WRAPPER}
  if 'space_time' in encoder:
    # VideoMAE moves the norm behind pooling.
    encoder['encoder_norm'] = False
  backbone = model.get('backbone', model['name'])
  return {**encoder, 'name': 'classifier', 'backbone': backbone, **fields}


def build_classifier(
  *,
  backbone: str,
  num_classes: int,
  pool: str = 'mean',
  norm: bool = True,
  head_scale: float = 1e-3,
  **fields,
) -> 'Classifier':
  """A classifier on a model of the registry; `fields` are those of the model.

  VideoMAE's own norm belongs before pooling; give `encoder_norm=False` for the
  classifier of its paper, which has the norm after.

  Raises:
    ValueError: an unknown pooling or model, or a field that it does not have.
  """
  if pool not in POOLS:
    raise ValueError(f'Unknown pool {pool!r}; use one of {POOLS}.')
  network = MODELS.build({'name': backbone, **fields})
  if pool == 'cls' and not network.num_prefix_tokens:
    raise ValueError(
      f"pool='cls' needs a CLS token, which this {backbone} does not have; use "
      "pool='mean'."
    )
  return Classifier(network, num_classes, pool, norm, head_scale)


class Classifier(OnBackbone, nn.Module):
  """Encodes a clip, pools its features and tells the class.

  Attributes:
    backbone: answers to the model contract.
    num_classes: logits.
    pool: 'mean' over all times and places, CLS left out; 'mean_std', the mean
      over places, and of that the mean and the deviation over time; or 'cls',
      the mean of the CLS tokens of all times.
    norm: whether a norm comes before the head; of mean and deviation, each by
      itself.
    head_scale: factor on the initial kernel of the head. VideoMAE has 0.001.
  """

  backbone: nn.Module
  num_classes: int
  pool: str = 'mean'
  norm: bool = True
  head_scale: float = 1e-3

  @nn.compact
  def __call__(
    self, batch: Mapping[str, jax.Array], *, train: bool = False
  ) -> dict[str, jax.Array]:
    """Logits of whole clips.

    Args:
      batch: `video` [B, T, H, W, 3], as the backbone takes it.
      train: handed to the backbone.

    Returns:
      `logits` [B, num_classes] float32, and `features` of the backbone.
    """
    features = self.backbone.encode(batch['video'], train=train)
    prefix, grid = jnp.split(features, [self.num_prefix_tokens], axis=2)
    if self.pool == 'mean_std':
      frames = grid.mean(2)  # [B, T, D]
      deviation = jnp.sqrt(frames.var(1) + 1e-6)  # Has a gradient at 0.
      pooled = jnp.stack([frames.mean(1), deviation], 1)  # [B, 2, D]
    else:
      pooled = (grid if self.pool == 'mean' else prefix).mean((1, 2))
    if self.norm:
      pooled = layer_norm(jnp.float32, 'norm')(pooled)
    # [B, (2,) D] -> [B, D or 2 * D]
    pooled = pooled.reshape(pooled.shape[0], -1)
    head = nn.Dense(
      self.num_classes,
      kernel_init=nn.initializers.variance_scaling(
        self.head_scale**2, 'fan_in', 'truncated_normal'
      ),
      name='head',
    )
    return {'logits': head(pooled), 'features': features}

  def encode(self, video: jax.Array, *, train: bool = False) -> jax.Array:
    """Features of the backbone: [B, T, H, W, 3] -> [B, t, P+h*w, D]."""
    return self.backbone.encode(video, train=train)

  def flops_per_clip(self, spec: Mapping[str, Any]) -> dict[str, int]:
    """Forward FLOPs of one clip by part; see the backbone's."""
    count = self.backbone.flops_per_clip({'video': spec['video']})
    width = self.width * (2 if self.pool == 'mean_std' else 1)
    return count | {'head': flops.dense(1, width, self.num_classes)}
