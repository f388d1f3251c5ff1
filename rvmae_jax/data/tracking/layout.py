"""Looking for a published layout, and saying what is there instead."""

import collections
import os
from collections.abc import Iterable

from rvmae_jax.data.decoding import image_files

_SHOWN = 6


def require_folders(dataset: str, path: str, *names: str) -> None:
  """Checks that folders are there.

  Raises:
    FileNotFoundError: shows what was looked for and what was found.
  """
  for name in names:
    if not os.path.isdir(os.path.join(path, name)):
      raise FileNotFoundError(
        f'{dataset}: looked for the folders {", ".join(names)} in {path!r}; '
        f'{name} is not there. Found {contents(path)}.'
      )


def require_list(dataset: str, folder: str, name: str) -> list[str]:
  """The lines of a list that are not empty.

  Raises:
    FileNotFoundError: shows the lists that are there.
  """
  path = os.path.join(folder, name)
  if not os.path.isfile(path):
    raise FileNotFoundError(
      f'{dataset}: no list {name!r} in {folder!r}. Found {contents(folder)}.'
    )
  with open(path) as file:
    return [line.strip() for line in file if line.strip()]


def subfolders(path: str) -> list[str]:
  """Names of the folders in a folder, sorted; hidden ones are left out."""
  return sorted(
    name
    for name in os.listdir(path)
    if not name.startswith('.') and os.path.isdir(os.path.join(path, name))
  )


def match_masks(dataset: str, images: str, masks: str) -> dict[int, str]:
  """Masks of a folder of images: frame -> path, matched by the files' names.

  Args:
    dataset: for errors.
    images: folder of the frames.
    masks: folder of masks, each named as its frame; the first must be there.

  Raises:
    FileNotFoundError: no such folders, no images, or no mask of the first.
  """
  for folder in (images, masks):
    if not os.path.isdir(folder):
      above = os.path.dirname(folder)
      raise FileNotFoundError(
        f'{dataset}: no folder {folder!r}. Found {contents(above)} in '
        f'{above!r}.'
      )
  frames = {_stem(path): i for i, path in enumerate(image_files(images))}
  files = {_stem(path): path for path in image_files(masks)}
  if not frames:
    raise FileNotFoundError(
      f'{dataset}: no images in {images!r}. Found {contents(images)}.'
    )
  matched = {frames[s]: path for s, path in files.items() if s in frames}
  if 0 not in matched:
    raise FileNotFoundError(
      f'{dataset}: the first frame of {images!r}, {next(iter(frames))!r}, has '
      f'no mask of that name in {masks!r}. Found {contents(masks)}.'
    )
  return matched


def contents(path: str) -> str:
  """What a folder holds, in a few words."""
  if not os.path.isdir(path):
    return 'no such folder'
  names = [name for name in sorted(os.listdir(path)) if name[0] != '.']
  folders = [n + '/' for n in names if os.path.isdir(os.path.join(path, n))]
  files = [n for n in names if n + '/' not in folders]
  endings = collections.Counter(os.path.splitext(name)[1] for name in files)
  if len(files) > _SHOWN:
    files = [f'{count} files {end}' for end, count in endings.items()]
  return _shown(folders + files) or 'nothing'


def _shown(names: Iterable[str]) -> str:
  names = list(names)
  more = f' and {len(names) - _SHOWN} more' if len(names) > _SHOWN else ''
  return ', '.join(names[:_SHOWN]) + more


def _stem(path: str) -> str:
  return os.path.splitext(os.path.basename(path))[0]
