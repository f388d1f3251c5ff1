"""Tells whether two video files are the same, wherever they lie."""

import hashlib
import os
from collections.abc import Sequence
from typing import NamedTuple

from rvmae_jax.data.decoding import image_files

_END_BYTES = 64 * 1024
_CHUNK_BYTES = 1 << 20


class Identity(NamedTuple):
  """Which video it is.

  Attributes:
    path: a file or folder, or a name that says which video it is.
    num_bytes: None where nobody counted.
    fingerprint: of the file, see `quick_fingerprint`; '' where `path` is a name
      or nobody looked.
    licence, consent, source: what a list says of it, see `provenance`.
  """

  path: str
  num_bytes: int | None = None
  fingerprint: str = ''
  licence: str = ''
  consent: str = ''
  source: str = ''


def identify(path: str) -> Identity:
  """The identity of a file; of one with nothing to be read, its path alone."""
  try:
    num_bytes = size_bytes(path)
    # Empty files are all alike, and yet not the same video.
    fingerprint = quick_fingerprint(path) if num_bytes else ''
    return Identity(path, num_bytes, fingerprint)
  except OSError:
    return Identity(path)


def content_sha256(path: str | os.PathLike) -> str:
  """SHA-256 of a file, or of the images of a folder one after the other."""
  digest = hashlib.sha256()
  for part in _parts(path):
    with open(part, 'rb') as file:
      while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
  return digest.hexdigest()


def quick_fingerprint(path: str | os.PathLike) -> str:
  """A hash of a file's size and of its first and last 64 KiB.

  Containers keep their index of frames at one end, so two videos that share it
  are the same for all practical purposes; reading it takes the same time for a
  film and for a clip. Of a folder of images, sizes of all and the ends of the
  first and the last image count.

  Returns:
    32 hexadecimal digits.
  """
  parts = _parts(path)
  sizes = [os.path.getsize(part) for part in parts]
  digest = hashlib.sha256(repr(sizes).encode())
  for part in sorted({parts[0], parts[-1]}) if parts else ():
    with open(part, 'rb') as file:
      digest.update(file.read(_END_BYTES))
      # What overlaps the beginning is read twice, to no harm.
      file.seek(max(0, os.path.getsize(part) - _END_BYTES))
      digest.update(file.read(_END_BYTES))
  return digest.hexdigest()[:32]


def images_fingerprint(images: Sequence[bytes]) -> str:
  """The same of encoded images that are no files."""
  digest = hashlib.sha256(repr([len(image) for image in images]).encode())
  for image in (images[0], images[-1]) if images else ():
    digest.update(image[:_END_BYTES])
    digest.update(image[-_END_BYTES:])
  return digest.hexdigest()[:32]


def size_bytes(path: str | os.PathLike) -> int:
  """Size of a file, or of all images of a folder."""
  return sum(os.path.getsize(part) for part in _parts(path))


def _parts(path: str | os.PathLike) -> list[str | os.PathLike]:
  return image_files(path) if os.path.isdir(path) else [path]
