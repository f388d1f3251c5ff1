"""An artifact and its note, written whole or not at all."""

import contextlib
import hashlib
import json
import logging
import pathlib
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

from rvmae_jax.artifacts import SAVED_MODEL, WRITERS, kind_of
from rvmae_jax.artifacts.program import Program

NOTE_SUFFIX = '.json'


def note_path(path: str | pathlib.Path) -> pathlib.Path:
  """Where the note of an artifact is: `rvm.onnx.json` of `rvm.onnx`."""
  path = pathlib.Path(path)
  return path.with_name(path.name + NOTE_SUFFIX)


def check_place(out: str | pathlib.Path) -> None:
  """Raises FileExistsError where a folder would have to be replaced."""
  out = pathlib.Path(out)
  if out.is_dir() or (out.exists() and kind_of(out) == SAVED_MODEL):
    raise FileExistsError(
      f'{out} is there already, and a folder is not replaced: remove it, or '
      'choose another --out.'
    )


def write(
  program: Program, out: str | pathlib.Path, facts: Mapping[str, Any]
) -> dict[str, Any]:
  """Writes an artifact of the kind that `out` names, and its note.

  Args:
    program: what it computes.
    out: a file is replaced.
    facts: further entries of the note.

  Returns:
    The note: `inputs`, `outputs`, `parameters`, size and SHA-256 of all
    `files`, how to `call` it, and `facts`.

  Raises:
    FileExistsError: see `check_place`.
    ImportError: a converter is not installed.
    ValueError: an unknown kind, or what a converter cannot do.
  """
  out = pathlib.Path(out)
  check_place(out)
  writer = WRITERS.get(kind_of(out))
  out.parent.mkdir(parents=True, exist_ok=True)
  with tempfile.TemporaryDirectory(prefix='.part-', dir=out.parent) as folder:
    partial = pathlib.Path(folder) / out.name
    with _log_as_it_was():
      details = writer(program, partial)
    files = sorted(partial.rglob('*')) if partial.is_dir() else [partial]
    note = {
      'artifact': out.name,
      'function': program.function,
      'inputs': {k: array._asdict() for k, array in program.inputs.items()},
      'outputs': {k: array._asdict() for k, array in program.outputs.items()},
      'parameters': program.num_parameters,
      'files': {
        str(file.relative_to(folder)): {
          'bytes': file.stat().st_size,
          'sha256': hashlib.sha256(file.read_bytes()).hexdigest(),
        }
        for file in files
        if file.is_file()
      },
      **details,
      **facts,
    }
    written = note_path(partial)
    written.write_text(json.dumps(note, indent=2) + '\n')
    # A note without its artifact is harmless; the reverse is not.
    written.replace(note_path(out))
    partial.replace(out)
  return note


@contextlib.contextmanager
def _log_as_it_was() -> Iterator[None]:
  """TensorFlow silences absl's log, the caller's own, when it saves."""
  log = logging.getLogger('absl')
  level = log.level
  try:
    yield
  finally:
    log.setLevel(level)
