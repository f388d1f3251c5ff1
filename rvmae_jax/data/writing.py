"""Writes files whole or not at all."""

import contextlib
import pathlib
import uuid
from collections.abc import Iterator
from typing import TypeVar

from etils import epath

_Path = TypeVar('_Path', pathlib.Path, epath.Path)


@contextlib.contextmanager
def whole_file(path: _Path) -> Iterator[_Path]:
  """Yields a path to write to, which then replaces `path` in one move.

  Nobody else has that path: neither another thread, nor a process of another
  machine that writes the same file. After an error it is removed, and `path` is
  as it was.

  Args:
    path: in a folder that is there; may be in a bucket (gs://).
  """
  partial = path.with_name(f'.part-{uuid.uuid4().hex}-{path.name}')
  try:
    yield partial
    partial.replace(path)
  except BaseException:
    with contextlib.suppress(OSError):
      partial.unlink(missing_ok=True)
    raise


def write_whole(path: pathlib.Path | epath.Path, content: bytes | str) -> None:
  """Writes or replaces a file so that no reader ever sees a part of it.

  Args:
    path: in a folder that is there; may be in a bucket (gs://).
    content: text is written as UTF-8.
  """
  content = content.encode() if isinstance(content, str) else content
  with whole_file(path) as partial:
    partial.write_bytes(content)


def make_folder_of(path: str) -> None:
  """Makes the folder of a file that is written later, after long work.

  Args:
    path: of the file, which may be in a bucket (gs://); '' is none.
  """
  if path:
    epath.Path(path).parent.mkdir(parents=True, exist_ok=True)
