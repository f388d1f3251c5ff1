"""Features come back as they were written, from both formats."""

import numpy as np
import pytest

from rvmae_jax.data import features


@pytest.mark.parametrize('format_name', features.SUFFIXES)
@pytest.mark.parametrize('dtype', ['float32', 'float16'])
def test_arrays_of_any_shape_come_back(format_name, dtype, tmp_path):
  rng = np.random.default_rng(0)
  shapes = [(3,), (5, 4), (2, 3, 4), (0, 4)]
  arrays = [rng.normal(size=shape).astype(dtype) for shape in shapes]
  path = tmp_path / f'shard{features.SUFFIXES[format_name]}'
  with features.shard_writer(path) as write:
    assert [write(array) for array in arrays] == [0, 1, 2, 3]
  read = features.open_shard(path)
  for offset in (2, 0, 3, 1):
    array = read(offset)
    assert array.dtype == dtype
    np.testing.assert_array_equal(array, arrays[offset])


def test_a_folder_without_an_index_says_what_to_do(tmp_path):
  with pytest.raises(FileNotFoundError, match='has not finished'):
    features.FeatureFolder(tmp_path)
