"""VGG16's convolutions, frozen: they judge how alike images look."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rvmae_jax.layers.patches import normalize_colours, to_unit_float

# Convolutions of each stage; between stages images are halved.
STAGES = (2, 2, 3, 3, 3)
# Of the images that it learned from.
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Vgg16(NamedTuple):
  """The network's arrays, and how much each channel counts.

  Attributes:
    kernels: of the 13 convolutions, [3, 3, C, D] each.
    biases: [D] each.
    heads: for each stage, weights of its channels [D], none below 0.
  """

  kernels: tuple[np.ndarray, ...]
  biases: tuple[np.ndarray, ...]
  heads: tuple[np.ndarray, ...]


def vgg16_layers(network: Vgg16, images: jax.Array) -> list[jax.Array]:
  """What each stage ends in, after its ReLU and before pooling.

  Args:
    network: its arrays.
    images: [..., H, W, 3], uint8 or floats in [0, 1]; sides of 16 or more.

  Returns:
    [..., H/s, W/s, D] float32 for each stage, s = 1, 2, 4, 8, 16 (rounded
    down).

  Raises:
    ValueError: images are too small to halve four times.
  """
  *lead, height, width, _ = images.shape
  if min(height, width) < 16:
    raise ValueError(
      f'VGG16 needs images of 16x16 pixels or more, not {height}x{width}.'
    )
  tokens = normalize_colours(to_unit_float(images), _MEAN, _STD)
  tokens = tokens.reshape(-1, height, width, 3)  # [..., H, W, 3] -> [B, ...]
  layers, convolutions = [], iter(zip(network.kernels, network.biases))
  for stage, num_convolutions in enumerate(STAGES):
    if stage:
      tokens = jax.lax.reduce_window(
        *(tokens, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), 'VALID')
      )
    for _ in range(num_convolutions):
      kernel, bias = next(convolutions)
      tokens = jax.nn.relu(
        jax.lax.conv_general_dilated(
          tokens,
          jnp.asarray(kernel),
          window_strides=(1, 1),
          padding='SAME',
          dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
        )
        + bias
      )
    # [B, h, w, D] -> [..., h, w, D]
    layers.append(tokens.reshape(*lead, *tokens.shape[1:]))
  return layers


def perceptual_layers(network: Vgg16, images: jax.Array) -> list[jax.Array]:
  """`vgg16_layers` so scaled that their squared distance is that of LPIPS.

  Vectors of unit length, times the roots of the weights of channels. Mean over
  places and sum over layers: `losses.perceptual.distance`. Source: arXiv
  1801.03924, equation 1.
  """
  return [
    layer
    * jax.lax.rsqrt(
      jnp.maximum(jnp.square(layer).sum(-1, keepdims=True), 1e-20)
    )
    * jnp.sqrt(head)
    for layer, head in zip(vgg16_layers(network, images), network.heads)
  ]
