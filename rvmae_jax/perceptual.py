"""Frozen networks that judge how alike videos look.

`--config.perceptual_checkpoint=PATH` has one judge what a run rebuilds, in the
loss `perceptual`. PATH is one of

  what `rvmae_jax.weights` reads           a run, a checkpoint, a weights file
  vgg16-397923af.pth                       VGG16 of torchvision
  vgg16-397923af.pth,vgg.pth               LPIPS: that, and its weights for it
  the state dict of `lpips.LPIPS(net='vgg')`, which holds both

Of two files neither path may have a comma in it.
"""

import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from rvmae_jax import files, weights
from rvmae_jax.interop import vgg
from rvmae_jax.layers.vgg import perceptual_layers
from rvmae_jax.losses import perceptual
from rvmae_jax.losses.contrastive import unit_length


class Judge(NamedTuple):
  """A frozen network that judges.

  Its functions take the parameters as an argument. If jitted functions closed
  over the parameters instead, every program would hold them as constants.

  Attributes:
    features: (params, video) -> features for `losses.perceptual.distance`, of
      unit length (those of LPIPS weighted); video [B, T, H, W, 3], uint8 or
      floats in [0, 1]. Networks of this library give the features of `encode`,
      or of `encode_frames` for a single frame.
    params: its parameters, on the host.
  """

  features: Callable[[Any, jax.Array], perceptual.Features]
  params: Any

  def distance(
    self, params: Any, video: jax.Array, other: jax.Array
  ) -> jax.Array:
    """How differently two videos look to it: [B] float32, 0 if they are equal.

    Args:
      params: as the attribute, placed where it is to run.
      video, other: as `features` takes them.
    """
    return perceptual.distance(
      self.features(params, video), self.features(params, other)
    )


def load_judge(path: str) -> Judge:
  """Reads a frozen network.

  Args:
    path: as above.

  Raises:
    FileNotFoundError: there is nothing at `path`.
    ValueError: nobody knows the names in a file, or an array does not fit.
  """
  paths = weights.split_paths(path)
  if all(pathlib.Path(file).is_file() for file in paths):
    arrays = {}
    for file in paths:
      arrays |= weights.read_arrays(file)
    if vgg.is_vgg16(arrays):
      with files.naming(path, 'is not a VGG16 that loads', remedy=''):
        return Judge(perceptual_layers, vgg.from_arrays(arrays))
  model, params = weights.load_model(path)

  def features(params, video):
    method = 'encode' if video.shape[1] > 1 else 'encode_frames'
    return unit_length(model.apply({'params': params}, video, method=method))

  return Judge(features, params)
