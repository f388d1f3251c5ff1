"""Reads files that may be damaged, or not what they should be."""

import contextlib
import json
import os
import zipfile
from collections.abc import Iterator
from typing import Any

from etils import epath

# Files of weights or features compress by less than this factor; only a file
# of nothing but zeros compresses by 1000.
_MOST_INFLATION = 100
_SMALL_BYTES = 2**28


@contextlib.contextmanager
def naming(
  path: str | os.PathLike,
  problem: str,
  remedy: str = 'Copy or download it again.',
) -> Iterator[None]:
  """Turns a library's error about a file's content into one naming the file.

  Libraries report damage by errors of many classes, which seldom name the file.
  Errors that do, files that cannot be opened, and missing packages are reported
  unchanged.

  Args:
    path: of the file.
    problem: completes a sentence that begins with the path.
    remedy: a sentence.

  Raises:
    ValueError: instead of the library's error, which is its cause.
  """
  try:
    yield
  except ImportError:
    raise
  except Exception as error:
    is_own = isinstance(error, ValueError | OSError)
    if is_own and os.fspath(path) in str(error):
      raise
    if isinstance(error, FileNotFoundError | PermissionError):
      raise
    detail = f'{error}'
    if type(error) is not ValueError or not detail:
      detail = f'{type(error).__name__}: {detail}'
    raise ValueError(
      f'{path} {problem} ({detail}). {remedy}'.strip()
    ) from error


def read_json(path: str | os.PathLike) -> dict[str, Any]:
  """The object that a JSON file holds.

  Args:
    path: may be in a bucket (gs://).

  Raises:
    ValueError: it holds none, or is cut off or damaged.
  """
  with naming(path, 'is not valid JSON, or is cut off or damaged'):
    content = json.loads(epath.Path(path).read_bytes())
    if not isinstance(content, dict):
      raise ValueError(f'it holds a {type(content).__name__}, not an object')
  return content


def check_archive(archive: zipfile.ZipFile) -> None:
  """Refuses zip archives that cannot be genuine files of weights or features.

  Raises:
    ValueError: a member is compressed in a way that NumPy does not use, or a
      small archive would unpack to enough data to fill the memory.
  """
  num_bytes = packed_bytes = 0
  for member in archive.infolist():
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
      raise ValueError(
        f'{member.filename} has the unknown compression method '
        f'{member.compress_type}'
      )
    num_bytes += member.file_size
    packed_bytes += member.compress_size
  if num_bytes > max(_SMALL_BYTES, _MOST_INFLATION * packed_bytes):
    raise ValueError(
      f'its {packed_bytes:,} bytes would become {num_bytes:,} in memory'
    )
