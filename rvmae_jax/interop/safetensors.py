"""Hugging Face's safetensors files, which PyTorch and others read.

Names are split by '/' on this side and by '.' in the file, as is usual there.
Arrays keep their Flax layout: a dense kernel is [in, out].
"""

import contextlib
import pathlib
from collections.abc import Iterator, Mapping

import numpy as np

from rvmae_jax import files


def _library():
  try:
    import safetensors.numpy
  except ImportError as error:
    raise ImportError(
      'Reading or writing .safetensors needs the package safetensors: '
      "pip install 'rvmae_jax[interop]'."
    ) from error
  return safetensors


def write(
  path: str | pathlib.Path,
  arrays: Mapping[str, np.ndarray],
  metadata: Mapping[str, str] | None = None,
) -> None:
  """Writes named arrays; `metadata` says where they come from.

  Raises:
    ImportError: safetensors is not installed.
  """
  # The library writes the memory of an array, whatever its strides.
  arrays = {
    name.replace('/', '.'): np.asarray(array, order='C')
    for name, array in arrays.items()
  }
  # transformers 4 refuses files that do not say what their tensors are for.
  metadata = {'format': 'pt', **(metadata or {})}
  content = _library().numpy.save(arrays, metadata=metadata)
  # `save_file` makes files that nobody else may read.
  pathlib.Path(path).write_bytes(content)


def read(path: str | pathlib.Path) -> dict[str, np.ndarray]:
  """All arrays by name.

  Raises:
    ImportError: safetensors is not installed.
    ValueError: the file is no .safetensors, or is cut off.
  """
  with _open(path):
    arrays = _library().numpy.load_file(path)
  return {name.replace('.', '/'): array for name, array in arrays.items()}


def read_metadata(path: str | pathlib.Path) -> dict[str, str]:
  """What `write` was told; empty for files that others made without.

  Raises:
    ImportError: safetensors is not installed.
    ValueError: the file is no .safetensors, or is cut off.
  """
  with _open(path), _library().safe_open(path, framework='numpy') as file:
    return dict(file.metadata() or {})


@contextlib.contextmanager
def _open(path: str | pathlib.Path) -> Iterator[None]:
  """Says which file is damaged, which the library does not."""
  with files.naming(path, 'is no .safetensors file, or is cut off'):
    yield
