"""VGG16 as torchvision has it, and the weights that LPIPS learned for it.

features.0.weight     torchvision's vgg16, up to features.28
lin0.model.1.weight   what the package lpips brings for it, up to lin4
net.slice1.0.weight   the convolutions, where its whole network was saved
"""

import re
from collections.abc import Mapping

import numpy as np

from rvmae_jax.layers.vgg import STAGES, Vgg16

# Places of the convolutions among torchvision's layers.
_CONVOLUTIONS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
_WIDTHS = (64, 128, 256, 512, 512)


def is_vgg16(arrays: Mapping[str, np.ndarray]) -> bool:
  """Whether arrays of a file, by name, are of VGG16 or of LPIPS."""
  arrays = _with_plain_names(arrays)
  return bool({'features.0.weight', 'lin0.model.1.weight'} & set(arrays))


def from_arrays(arrays: Mapping[str, np.ndarray]) -> Vgg16:
  """The network of the arrays of one file, or of two put together.

  Without LPIPS' weights all channels count alike.

  Raises:
    ValueError: an array is missing or has another shape, or a weight of LPIPS
      is negative.
  """
  arrays = _with_plain_names(arrays)

  def take(name, shape):
    found = arrays[name].shape if name in arrays else 'not there'
    if found != shape:
      raise ValueError(
        f'{name} of VGG16 is {list(shape)}, here it is {found}. Give the file '
        'of torchvision\'s vgg16, and the one of LPIPS for it, "vgg.pth", if '
        'any, joined by a comma.'
      )
    return np.asarray(arrays[name], np.float32)

  kernels, biases = [], []
  places, channels = iter(_CONVOLUTIONS), 3
  for num_convolutions, width in zip(STAGES, _WIDTHS):
    for _ in range(num_convolutions):
      name = f'features.{next(places)}'
      kernel = take(f'{name}.weight', (width, channels, 3, 3))
      # [D, C, 3, 3] -> [3, 3, C, D]
      kernels.append(kernel.transpose(2, 3, 1, 0))
      biases.append(take(f'{name}.bias', (width,)))
      channels = width
  heads = [np.ones(width, np.float32) for width in _WIDTHS]
  if 'lin0.model.1.weight' in arrays:
    heads = [
      # [1, D, 1, 1] -> [D]
      take(f'lin{i}.model.1.weight', (1, width, 1, 1)).reshape(-1)
      for i, width in enumerate(_WIDTHS)
    ]
  if min(head.min() for head in heads) < 0:
    raise ValueError(
      'Weights of LPIPS are 0 or more; these have '
      f'{min(head.min() for head in heads):.3g}. Is the file damaged?'
    )
  return Vgg16(tuple(kernels), tuple(biases), tuple(heads))


def _with_plain_names(
  arrays: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
  """Names as torchvision has them, split by dots."""
  return {
    re.sub(r'^net\.slice\d\.', 'features.', name.replace('/', '.')): array
    for name, array in arrays.items()
  }
