"""Folders of frames, and of the masks that belong to them."""

import os

from rvmae_jax.data.decoding import image_files
from rvmae_jax.data.layout import contents


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


def _stem(path: str) -> str:
  return os.path.splitext(os.path.basename(path))[0]
