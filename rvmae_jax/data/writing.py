"""Files that are there as a whole or not at all."""

import os
import pathlib

from etils import epath


def write_whole(path: pathlib.Path | epath.Path, content: bytes | str) -> None:
  """Writes or replaces a file so that no reader ever sees a part of it.

  Args:
    path: in a folder that is there; may be in a bucket (gs://).
    content: text is written as UTF-8.
  """
  partial = path.with_name(f'.{path.name}.part-{os.getpid()}')
  partial.write_bytes(content.encode() if isinstance(content, str) else content)
  partial.replace(path)
