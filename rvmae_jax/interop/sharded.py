"""Hugging Face's weights in several files, and the index that names them.

`model.safetensors.index.json`, or `pytorch_model.bin.index.json`, says which
file holds each array. The files lie beside it.
"""

import pathlib

import numpy as np

from rvmae_jax import files
from rvmae_jax.interop import state_dict

SUFFIX = '.index.json'


def is_index(path: str | pathlib.Path) -> bool:
  """Whether a file is an index, by its name."""
  return str(path).endswith(SUFFIX)


def find_files(index: str | pathlib.Path) -> list[pathlib.Path]:
  """The files that an index names.

  Raises:
    FileNotFoundError: one is not there.
    ValueError: the index is damaged, or something else.
  """
  index = pathlib.Path(index)
  names = sorted(set(_read_map(index).values()))
  missing = [name for name in names if not index.with_name(name).is_file()]
  if missing:
    raise FileNotFoundError(
      f'{index} names {len(names)} files, and {len(missing)} of them are not '
      f'beside it: {", ".join(missing)}. Copy or download them there.'
    )
  return [index.with_name(name) for name in names]


def read(index: str | pathlib.Path) -> dict[str, np.ndarray]:
  """All arrays of all files, see `state_dict.read`.

  Raises:
    FileNotFoundError: a file is not there.
    ValueError: index or file is damaged, or they do not belong together.
  """
  arrays = {}
  for file in find_files(index):
    arrays |= state_dict.read(file)
  num_named = len(_read_map(pathlib.Path(index)))
  if len(arrays) != num_named:
    raise ValueError(
      f'{index} names {num_named} arrays, and its files have {len(arrays)}. '
      'Copy or download all of them again.'
    )
  return arrays


def _read_map(index: pathlib.Path) -> dict[str, str]:
  """Name of an array -> name of its file."""
  with files.naming(index, 'is not an index of weights, or is cut off'):
    names = dict(files.read_json(index)['weight_map'])
    for name in names.values():
      # Files have to lie beside the index; no other path may be read.
      if pathlib.PurePath(name).name != name:
        raise ValueError(f'{name!r} is not the name of a file beside it')
    return names
