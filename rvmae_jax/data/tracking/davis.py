"""DAVIS 2016 and 2017: objects of short videos, a mask for every frame.

PATH/JPEGImages/480p/blackswan/00000.jpg
PATH/Annotations/480p/blackswan/00000.png   palette (2017) or 0/255 (2016)
PATH/ImageSets/2017/val.txt                 names, one a line
"""

import os

from rvmae_jax.data.layout import find_part
from rvmae_jax.data.text import read_lines
from rvmae_jax.data.tracking.layout import (
  match_masks,
  require_folders,
  subfolders,
)
from rvmae_jax.data.tracking.videos import TrackedVideo


class Davis:
  """Videos of a split, with their objects.

  Args:
    path: the folder.
    split: name of a list; a copy without ImageSets has all of its videos in
      every split.
    year: 2017 (every object for itself) or 2016 (all are one).
    resolution: folder of the frames and masks.

  Raises:
    FileNotFoundError: another layout; shows what was looked for and found.
  """

  kind = 'objects'
  size = (480, 880)
  top_k = 7

  def __init__(
    self,
    path: str,
    split: str = 'val',
    year: int = 2017,
    resolution: str = '480p',
  ):
    self._images = os.path.join(path, 'JPEGImages', resolution)
    self._masks = os.path.join(path, 'Annotations', resolution)
    self._one_object = year == 2016
    require_folders(
      'davis', path, f'JPEGImages/{resolution}', f'Annotations/{resolution}'
    )
    lists = os.path.join(path, 'ImageSets')
    if not os.path.isdir(lists):
      self._names = subfolders(self._masks)
      return
    # The lists of the release of 2016 have no folder of the year.
    folder = next(
      (
        os.path.join(lists, name)
        for name in (str(year), resolution)
        if os.path.isdir(os.path.join(lists, name))
      ),
      os.path.join(lists, str(year)),
    )
    lines = read_lines(find_part('davis', folder, 'list', [f'{split}.txt']))
    # Lists of 2016 have a line for each frame: /JPEGImages/480p/NAME/00000.jpg
    names = [
      line.split()[0].split('/')[-2] if '/' in line else line for line in lines
    ]
    self._names = list(dict.fromkeys(names))

  def __len__(self) -> int:
    return len(self._names)

  def __getitem__(self, index: int) -> TrackedVideo:
    name = self._names[index]
    images = os.path.join(self._images, name)
    masks = match_masks('davis', images, os.path.join(self._masks, name))
    return TrackedVideo(name, images, masks, self._one_object)
