"""Many small arrays in one file: an .npz spends 300 bytes on each of them."""

import json
import pathlib
from collections.abc import Mapping

import numpy as np


def write(path: str | pathlib.Path, arrays: Mapping[str, np.ndarray]) -> None:
  """Writes arrays by name: an index, and one vector for each type."""
  index, parts = {}, {}
  for name, array in arrays.items():
    array = np.asarray(array)
    if array.dtype.kind == 'U':  # Text stands for itself.
      index[name] = array.item()
      continue
    index[name] = (str(array.dtype), array.shape)
    parts.setdefault(str(array.dtype), []).append(array.reshape(-1))
  vectors = {dtype: np.concatenate(part) for dtype, part in parts.items()}
  np.savez_compressed(path, index=json.dumps(index), **vectors)


def read(path: str | pathlib.Path) -> dict[str, np.ndarray]:
  """What `write` wrote, or the arrays of any other .npz; no float16 is left."""
  with np.load(path) as file:
    arrays = dict(file)
  if 'index' in arrays:
    index = json.loads(str(arrays.pop('index')))
    vectors, arrays = arrays, {}
    for name, entry in index.items():
      if isinstance(entry, str):
        arrays[name] = np.array(entry)
        continue
      dtype, shape = entry
      size = int(np.prod(shape))
      arrays[name] = vectors[dtype][:size].reshape(shape)
      vectors[dtype] = vectors[dtype][size:]
  return {
    name: array.astype(np.float32) if array.dtype == np.float16 else array
    for name, array in arrays.items()
  }
