"""NumPy archives: the format of the released weights, with a note of origin.

The note is the comment of the zip archive. To NumPy, and to any program that
reads released weights, the file holds the arrays and nothing else.
"""

import contextlib
import json
import pathlib
import zipfile
from collections.abc import Iterator, Mapping

import numpy as np

from rvmae_jax import files

# What the zip format allows.
_MAX_COMMENT_BYTES = 65535


def write(
  path: str | pathlib.Path,
  arrays: Mapping[str, np.ndarray],
  metadata: Mapping[str, str] | None = None,
) -> None:
  """Writes named arrays; `metadata` says where they come from.

  Raises:
    ValueError: the metadata is longer than a zip comment may be.
  """
  comment = json.dumps(dict(metadata or {})).encode()
  if len(comment) > _MAX_COMMENT_BYTES:
    raise ValueError(
      f'The metadata of {path} takes {len(comment)} bytes; an .npz file holds '
      f'{_MAX_COMMENT_BYTES}. Shorten it or write .safetensors.'
    )
  with open(path, 'wb') as file:  # A path would get the suffix .npz.
    np.savez(file, **arrays)
  with zipfile.ZipFile(path, 'a') as archive:
    archive.comment = comment


def read(path: str | pathlib.Path) -> dict[str, np.ndarray]:
  """All arrays by name.

  Raises:
    ValueError: the file is no .npz, or is cut off or damaged.
  """
  with _open(path), np.load(path, allow_pickle=False) as archive:
    arrays = {name: archive[name] for name in archive.files}
    for name, array in arrays.items():
      if not isinstance(array, np.ndarray):
        raise ValueError(f'{name!r} in it is not an array')
    return arrays


def read_metadata(path: str | pathlib.Path) -> dict[str, str]:
  """What `write` was told; empty for files that others made.

  Raises:
    ValueError: the file is no .npz, or is cut off.
  """
  with _open(path) as archive:
    try:
      metadata = json.loads(archive.comment or '{}')
    except (ValueError, RecursionError):  # Somebody else's comment.
      return {}
  return metadata if isinstance(metadata, dict) else {}


@contextlib.contextmanager
def _open(path: str | pathlib.Path) -> Iterator[zipfile.ZipFile]:
  """The archive of a file; names the file if it is damaged."""
  with (
    files.naming(path, 'is no .npz file, or is cut off or damaged'),
    zipfile.ZipFile(path) as archive,
  ):
    files.check_archive(archive)
    yield archive
