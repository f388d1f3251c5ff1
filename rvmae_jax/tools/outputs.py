"""Output folders of commands that resume where they stopped."""

import json
import pathlib
from typing import Any

from rvmae_jax import files
from rvmae_jax.data.writing import write_whole


def check_settings(path: pathlib.Path, settings: dict[str, Any]) -> None:
  """Writes the settings, or compares them with those of a former start.

  Args:
    path: the file of them, in the folder that is filled.
    settings: whatever decides what the folder will hold.

  Raises:
    ValueError: the folder was begun with others, or the file is damaged.
  """
  settings = json.loads(json.dumps(settings))  # Lists for tuples.
  if not path.exists():
    write_whole(path, json.dumps(settings, indent=1))
  # Read in any case: another process may have written it at the same moment.
  former = files.read_json(path)
  keys = {**settings, **former}
  changed = [k for k in keys if settings.get(k) != former.get(k)]
  if changed:
    differences = ', '.join(
      f'{k}: {former.get(k)!r} then, {settings.get(k)!r} now' for k in changed
    )
    raise ValueError(
      f'{str(path.parent)!r} was started with other settings or videos '
      f'({differences}). Use another --output, or delete that one.'
    )
