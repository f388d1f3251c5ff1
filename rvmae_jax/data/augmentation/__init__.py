"""Clip-consistent image augmentation: one draw for all frames of a clip.

  augment = make_augmentation(
    {'size': (224, 224), 'area': (0.08, 1.0)},
    {'colour_jitter': {'probability': 0.8}, 'grey': {'probability': 0.2}},
    train=True,
  )
  frames, crop = augment(frames, rng)

First a crop, of `CROPS`: it says where each pixel comes from, so that optical
flow and object masks can be moved as well (geometry.py). Then changes of the
pixels, of `AUGMENTATIONS`: `(frames [T,H,W,3] uint8, rng) -> frames`. A clip's
source and target frames come in together and nothing is drawn for one frame
alone. To add one: a class, and a line in a table.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rvmae_jax.data.augmentation.crop import CentreCrop
from rvmae_jax.data.augmentation.geometry import Crop
from rvmae_jax.registry import Registry

_ROOM = 'rvmae_jax.data.augmentation'

CROPS = Registry(
  'crop',
  {
    'random_resized': f'{_ROOM}.crop:RandomResizedCrop',
    'multi_scale': f'{_ROOM}.crop:MultiScaleCrop',
  },
)

# In the order in which they are applied, whatever the order in a config:
# configs sort their keys, and every published recipe has this order.
_AUGMENTATIONS = {
  'rand_augment': f'{_ROOM}.rand_augment:RandAugment',
  'colour_jitter': f'{_ROOM}.colour:ColourJitter',
  'grey': f'{_ROOM}.colour:Grey',
  'blur': f'{_ROOM}.colour:Blur',
  'solarise': f'{_ROOM}.colour:Solarise',
  'erase': f'{_ROOM}.erase:Erase',
}
AUGMENTATIONS = Registry('augmentation', _AUGMENTATIONS)


@dataclasses.dataclass(frozen=True)
class Augmentation:
  """A crop, then changes of the pixels one after the other."""

  draw_crop: Callable[[int, int, np.random.Generator], Crop]
  changes: list[Callable[[np.ndarray, np.random.Generator], np.ndarray]]

  @property
  def moves_pixels(self) -> bool:
    """Whether pixels move in a way that the reported crop does not tell."""
    return any(getattr(change, 'geometric', False) for change in self.changes)

  def __call__(
    self, frames: np.ndarray, rng: np.random.Generator
  ) -> tuple[np.ndarray, Crop]:
    """Frames [T,h,w,3] uint8 -> [T,H,W,3], and the crop that was drawn."""
    crop = self.draw_crop(*frames.shape[1:3], rng)
    frames = crop.move_frames(frames)
    for change in self.changes:
      frames = change(frames, rng)
    return frames, crop


def make_augmentation(
  crop: Mapping[str, Any],
  augment: Mapping[str, Mapping[str, Any]],
  *,
  train: bool,
) -> Augmentation:
  """What `config.data.crop` and `config.data.augment` describe.

  Args:
    crop: `size`, `name` (random_resized if absent) and arguments of that crop.
    augment: name of an augmentation -> its arguments.
    train: False gives the centre crop of evaluation, which ignores the rest.

  Raises:
    ValueError: an unknown name or argument, or a setting out of range.
  """
  draw_crop = CROPS.build({'name': 'random_resized', **crop})
  built = {
    name: AUGMENTATIONS.build({'name': name, **arguments})
    for name, arguments in augment.items()
  }
  if not train:
    return Augmentation(CentreCrop(crop['size']), [])
  changes = [built[name] for name in _AUGMENTATIONS if name in built]
  return Augmentation(draw_crop, changes)
