"""Frozen networks that judge how alike videos look.

`--config.perceptual_checkpoint=PATH` has one judge what a run rebuilds, in the
loss `perceptual`. PATH is one of

  what `rvmae_jax.weights` reads           a run, a checkpoint, a weights file
  vgg16-397923af.pth                       VGG16 of torchvision
  vgg16-397923af.pth,vgg.pth               LPIPS: that, and its weights for it
  the state dict of `lpips.LPIPS(net='vgg')`, which holds both
"""

import functools
import pathlib
from collections.abc import Callable

import jax

from rvmae_jax import weights
from rvmae_jax.interop import vgg
from rvmae_jax.layers.vgg import perceptual_layers
from rvmae_jax.losses import perceptual
from rvmae_jax.losses.contrastive import unit_length


def frozen_features(
  path: str | None,
) -> Callable[[jax.Array], perceptual.Features] | None:
  """Features of a frozen network, for `losses.perceptual.distance`.

  Args:
    path: as above; or nothing.

  Returns:
    Video [B, T, H, W, 3], uint8 or floats in [0, 1], -> features of unit length
    (those of LPIPS weighted); or None without a path. Ours are those of
    `encode`, of a single frame those of `encode_frames`.

  Raises:
    FileNotFoundError: there is nothing at `path`.
    ValueError: nobody knows the names in a file, or an array does not fit.
  """
  if not path:
    return None
  files = path.split(',')
  if all(pathlib.Path(file).is_file() for file in files):
    arrays = {}
    for file in files:
      arrays |= weights.read_arrays(file)
    if vgg.is_vgg16(arrays):
      return functools.partial(perceptual_layers, vgg.from_arrays(arrays))
  model, params = weights.load_model(path)

  def features(video):
    method = 'encode' if video.shape[1] > 1 else 'encode_frames'
    return unit_length(model.apply({'params': params}, video, method=method))

  return features


def frozen_distance(
  path: str,
) -> Callable[[jax.Array, jax.Array], jax.Array]:
  """How differently two videos look to a frozen network, jitted.

  Args:
    path: as above.

  Returns:
    Two videos, as `frozen_features` takes them -> [B] float32, 0 if they are
    equal.
  """
  features = frozen_features(path)

  @jax.jit
  def distance(video, other):
    return perceptual.distance(features(video), features(other))

  return distance
