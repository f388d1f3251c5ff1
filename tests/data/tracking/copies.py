"""Tiny copies of what published tracking data looks like."""

import numpy as np
from PIL import Image

from rvmae_jax.data.tracking import TRACKING
from rvmae_jax.data.tracking.videos import KINDS

FRAMES = 3
SIZE = (12, 16)  # Height and width.
FIRST = np.zeros(SIZE, np.uint8)
FIRST[2:6, 3:9] = 1
FIRST[8:, :4] = 2


def save_images(
  folder, ending='jpg', first=0, digits=5, mode=None, values=None
):
  """Frames, or masks with the given values, named by their number."""
  folder.mkdir(parents=True)
  for number in range(first, first + FRAMES):
    pixels = np.full((*SIZE, 3), number, np.uint8) if values is None else values
    image = Image.fromarray(pixels)
    if mode == 'P':
      image = image.convert('P')
      image.putpalette(np.arange(768, dtype=np.uint8).tobytes())
    image.save(folder / f'{number:0{digits}d}.{ending}')


def palette_masks(folder, **settings):
  """The mask `FIRST` for every frame, as a palette image."""
  save_images(folder, 'png', values=FIRST, mode='P', **settings)


def build(name, path, **settings):
  """The dataset `name` at `path`."""
  return TRACKING.build({'name': name, 'path': str(path), **settings})


def names(dataset):
  """The videos of a dataset."""
  assert dataset.kind in KINDS
  return [dataset[i].name for i in range(len(dataset))]
