"""Weights in safetensors files."""

import sys

import numpy as np
import pytest
from safetensors import numpy as library

from rvmae_jax.interop import safetensors

ARRAYS = {
  'encoder/norm/scale': np.arange(3, dtype=np.float32),
  'encoder/dense/kernel': np.arange(6, dtype=np.float32).reshape(2, 3).T,
}


def test_arrays_and_metadata_come_back(tmp_path):
  path = tmp_path / 'weights.safetensors'
  safetensors.write(path, ARRAYS, {'config': '{}'})
  back = safetensors.read(path)
  assert back.keys() == ARRAYS.keys()
  for name, array in ARRAYS.items():
    np.testing.assert_array_equal(back[name], array)
  # transformers 4 reads no file that does not say what its tensors are for.
  assert safetensors.read_metadata(path) == {'format': 'pt', 'config': '{}'}


def test_the_file_splits_names_by_dots(tmp_path):
  path = tmp_path / 'weights.safetensors'
  safetensors.write(path, ARRAYS)
  assert sorted(library.load_file(path)) == [
    'encoder.dense.kernel',
    'encoder.norm.scale',
  ]


def test_the_file_is_as_open_as_any_other(tmp_path):
  path, other = tmp_path / 'weights.safetensors', tmp_path / 'other'
  safetensors.write(path, ARRAYS)
  other.touch()
  assert path.stat().st_mode == other.stat().st_mode


def test_without_the_library_the_error_names_the_extra(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'safetensors.numpy', None)
  with pytest.raises(ImportError, match=r"pip install 'rvmae_jax\[interop\]'"):
    safetensors.read(tmp_path / 'weights.safetensors')


def test_a_file_that_is_cut_off_is_named(tmp_path):
  path = tmp_path / 'weights.safetensors'
  safetensors.write(path, ARRAYS, {'config': '{}'})
  whole = path.read_bytes()
  for length in (0, 7, len(whole) // 2, len(whole) - 50):
    path.write_bytes(whole[:length])
    with pytest.raises(
      ValueError, match=r'weights\.safetensors is no .* cut off'
    ):
      safetensors.read(path)
