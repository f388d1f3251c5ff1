"""VIP: 20 parts of people, a mask for every frame of its fine videos.

PATH/Images/videos1/000000000001.jpg
PATH/Annotations/Category_ids/videos1/000000000001.png
PATH/lists/val_videos.txt                    names, one a line
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

_MASKS = 'Annotations/Category_ids'


class Vip:
  """Videos of a split, with their parts; 0 is the background.

  Frames without a mask are tracked through and not measured.

  Args:
    path: the folder.
    split: start of a list's name; a copy without `lists` has all of its videos
      in every split.

  Raises:
    FileNotFoundError: another layout; shows what was looked for and found.
  """

  kind = 'parts'
  size = (448, 880)
  top_k = 10

  def __init__(self, path: str, split: str = 'val'):
    require_folders('vip', path, 'Images', _MASKS)
    self._path = path
    lists = os.path.join(path, 'lists')
    if os.path.isdir(lists):
      file = find_part('vip', lists, 'list', [f'{split}_videos.txt'])
      self._names = read_lines(file)
    else:
      self._names = subfolders(os.path.join(path, _MASKS))

  def __len__(self) -> int:
    return len(self._names)

  def __getitem__(self, index: int) -> TrackedVideo:
    name = self._names[index]
    images = os.path.join(self._path, 'Images', name)
    masks = match_masks('vip', images, os.path.join(self._path, _MASKS, name))
    return TrackedVideo(name, images, masks)
