"""JHMDB: 15 joints of people in 928 short videos of 21 actions.

PATH/Rename_Images/catch/VIDEO/00001.png
PATH/joint_positions/catch/VIDEO/joint_positions.mat   pos_img [2, 15, T]
PATH/splits/catch_test_split1.txt       VIDEO.avi and 1 (train) or 2 (test)
"""

import os

import numpy as np
from PIL import Image

from rvmae_jax.data.decoding import image_files
from rvmae_jax.data.layout import check_choice, contents, files_ending
from rvmae_jax.data.text import read_lines
from rvmae_jax.data.tracking.layout import require_folders, subfolders
from rvmae_jax.data.tracking.videos import TrackedVideo

_SPLITS = {'train': '1', 'test': '2'}


class Jhmdb:
  """Videos of a split, with their joints; those outside of a frame are hidden.

  Args:
    path: the folder.
    split: 'train' or 'test'; a copy without `splits` has all videos in both.
    number: of the split, 1 to 3.

  Raises:
    FileNotFoundError: another layout; shows what was looked for and found.
    ValueError: an unknown split.
  """

  kind = 'keypoints'
  size = (320, 320)
  top_k = 7

  def __init__(self, path: str, split: str = 'test', number: int = 1):
    check_choice('jhmdb', 'split', split, _SPLITS)
    require_folders('jhmdb', path, 'Rename_Images', 'joint_positions')
    self._path = path
    lists = os.path.join(path, 'splits')
    if os.path.isdir(lists):
      self._names = _listed(lists, f'_test_split{number}.txt', _SPLITS[split])
    else:
      joints = os.path.join(path, 'joint_positions')
      self._names = [
        f'{action}/{video}'
        for action in subfolders(joints)
        for video in subfolders(os.path.join(joints, action))
      ]

  def __len__(self) -> int:
    return len(self._names)

  def __getitem__(self, index: int) -> TrackedVideo:
    name = self._names[index]
    images = os.path.join(self._path, 'Rename_Images', name)
    frames = image_files(images) if os.path.isdir(images) else []
    if not frames:
      raise FileNotFoundError(
        f'jhmdb: no frames in {images!r}. Found {contents(images)}.'
      )
    joints = _joints(
      os.path.join(self._path, 'joint_positions', name, 'joint_positions.mat')
    )
    with Image.open(frames[0]) as image:
      outside = ((joints < 0) | (joints >= image.size)).any(-1, keepdims=True)
    joints = np.where(outside, np.nan, joints)
    return TrackedVideo(name, images, dict(enumerate(joints)))


def _listed(folder: str, ending: str, wanted: str) -> list[str]:
  """'action/video' of the lines of all lists that end so."""
  names = []
  for name in files_ending('jhmdb', folder, ending):
    rows = map(str.split, read_lines(os.path.join(folder, name)))
    action = name.removesuffix(ending)
    names += [
      f'{action}/{os.path.splitext(video)[0]}'
      for video, part in rows
      if part == wanted
    ]
  return names


def _joints(path: str) -> np.ndarray:
  """Joints of all frames, [T, 15, 2] x and y from 0."""
  import scipy.io  # Slow to import.

  if not os.path.isfile(path):
    above = os.path.dirname(path)
    raise FileNotFoundError(f'jhmdb: no {path!r}. Found {contents(above)}.')
  variables = scipy.io.loadmat(path)
  if 'pos_img' not in variables:
    found = [name for name in variables if not name.startswith('__')]
    raise ValueError(f'jhmdb: {path!r} has {found}, but not pos_img.')
  # [2, K, T] from 1 -> [T, K, 2] from 0
  return np.transpose(variables['pos_img'], (2, 1, 0)).astype(float) - 1
