"""ScanNet: rooms filmed with a depth sensor (arXiv 1702.04405).

PATH/scene0000_00/color/0.jpg     frames, named by their number
PATH/scene0000_00/depth/0.png     16 bits, millimetres, 0 where nothing is known
PATH/scannetv2_val.txt            names of scenes, one a line
"""

import os
import re

from rvmae_jax.data.decoding import image_files
from rvmae_jax.data.layout import contents, find_part
from rvmae_jax.data.records import NO_LABEL
from rvmae_jax.data.scenes.videos import DepthVideo
from rvmae_jax.data.text import read_lines
from rvmae_jax.data.tracking.layout import subfolders


class ScanNet:
  """Scenes of a split; frames without a depth map are left out.

  Args:
    path: the folder.
    split: name of a list, 'train', 'val' or 'test'; 'all' takes every scene
      that is there and needs no list.
    scenes: folder of the scenes in `path`.

  Raises:
    FileNotFoundError: another layout; shows what was looked for and found.
  """

  def __init__(self, path: str, split: str = 'val', scenes: str = ''):
    self._path = os.path.join(path, scenes)
    if split == 'all':
      if not os.path.isdir(self._path):
        raise FileNotFoundError(f'scannet: no folder {self._path!r}.')
      self._names = [
        name
        for name in subfolders(self._path)
        if os.path.isdir(os.path.join(self._path, name, 'depth'))
      ]
      looked_for = 'scenes NAME with NAME/color and NAME/depth'
    else:
      name = f'scannetv2_{split}.txt'
      names = [name, os.path.join('Tasks', 'Benchmark', name)]
      listed = read_lines(find_part('scannet', path, 'list of scenes', names))
      self._names = [
        name for name in listed if os.path.isdir(self._folder(name))
      ]
      looked_for = f'the {len(listed)} scenes of {name}, as {listed[:2]}'
    if not self._names:
      raise FileNotFoundError(
        f'scannet: looked for {looked_for} in {self._path!r}. Found '
        f'{contents(self._path)}.'
      )

  def __len__(self) -> int:
    return len(self._names)

  def __getitem__(self, index: int) -> DepthVideo:
    name = self._names[index]
    colour, depth = (self._images(name, part) for part in ('color', 'depth'))
    numbers = sorted(colour.keys() & depth.keys())
    if not numbers:
      raise FileNotFoundError(
        f'scannet: no frame of {self._folder(name)!r} has both an image and a '
        f'depth map. Found {contents(self._folder(name, "color"))} in color '
        f'and {contents(self._folder(name, "depth"))} in depth.'
      )
    record = {
      'path': self._folder(name),
      'label': NO_LABEL,
      'jpegs': [colour[number] for number in numbers],
    }
    return DepthVideo(name, record, [depth[number] for number in numbers])

  def _folder(self, *names: str) -> str:
    return os.path.join(self._path, *names)

  def _images(self, *names: str) -> dict[int, str]:
    """Number -> image: 10.jpg comes after 9.jpg."""
    folder = self._folder(*names)
    if not os.path.isdir(folder):
      above = os.path.dirname(folder)
      raise FileNotFoundError(
        f'scannet: no folder {folder!r}. Found {contents(above)}.'
      )
    numbered = (
      (re.fullmatch(r'(?:frame-)?(\d+)\D*', os.path.basename(path)), path)
      for path in image_files(folder)
    )
    return {int(match[1]): path for match, path in numbered if match}
