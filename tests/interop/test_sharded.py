"""Weights in several files: put together, or told what is wrong with them."""

import numpy as np
import pytest

from rvmae_jax.interop import safetensors, sharded
from tests.interop.sharded_files import write_sharded

ARRAYS = {
  f'layer.{i}.weight': np.full((2, i + 1), i, np.float32) for i in range(5)
}


@pytest.fixture
def files(tmp_path):
  """An index, and the three files that it names."""
  index = tmp_path / 'model.safetensors.index.json'
  return index, write_sharded(index, ARRAYS, num_files=3)


def test_arrays_of_all_files_are_read(files):
  index, parts = files
  assert sharded.find_files(index) == parts
  arrays = sharded.read(index)
  assert arrays.keys() == ARRAYS.keys()
  for name, array in ARRAYS.items():
    np.testing.assert_array_equal(arrays[name], array)


def test_a_missing_file_is_named_with_the_remedy(files):
  index, parts = files
  parts[1].unlink()
  with pytest.raises(
    FileNotFoundError,
    match=r'1 of them .*-00002-of-00003\.safet.*download',
  ):
    sharded.read(index)


def test_a_file_of_another_version_is_refused(files):
  index, parts = files
  safetensors.write(parts[0], {'layer.0.weight': ARRAYS['layer.0.weight']})
  with pytest.raises(ValueError, match='names 5 arrays, and its files have 4'):
    sharded.read(index)


@pytest.mark.parametrize('content', ['{"weight', '[1]', '{"metadata": {}}'])
def test_a_damaged_index_is_refused(files, content):
  index, _ = files
  index.write_text(content)
  with pytest.raises(
    ValueError, match=r'index\.json is not (an index|valid JSON)'
  ):
    sharded.read(index)
