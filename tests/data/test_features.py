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


@pytest.fixture
def folder(tmp_path):
  with features.shard_writer(tmp_path / 'features-00000.npz') as write:
    write(np.zeros((2, 3), np.float32))
  (tmp_path / features.INDEX).write_text(
    'path,label,num_frames,shape,file,offset\na,0,8,2x3,features-00000.npz,0\n'
  )
  (tmp_path / features.SETTINGS).write_text('{"class_names": ["a"]}')
  return tmp_path


@pytest.mark.parametrize(
  ('file', 'old', 'new'),
  [
    (features.INDEX, '2x3', '3x2'),
    (features.INDEX, '2x3', 'x'),
    (features.INDEX, '.npz', '.npz/../../features-00000.npz'),
    (features.INDEX, ',0\n', ',99\n'),
    (features.INDEX, 'offset', 'place'),
    (features.SETTINGS, 'class_names', 'names'),
    (features.SETTINGS, '}', ''),
  ],
)
def test_damage_is_named(folder, file, old, new):
  assert features.FeatureFolder(folder).stack().shape == (1, 2, 3)
  text = (folder / file).read_text()
  (folder / file).write_text(text.replace(old, new, 1))
  with pytest.raises(ValueError, match=rf'{file}|features-00000\.npz'):
    features.FeatureFolder(folder)[0]


def test_a_folder_without_an_index_says_what_to_do(tmp_path):
  with pytest.raises(FileNotFoundError, match='has not finished'):
    features.FeatureFolder(tmp_path)


@pytest.mark.parametrize('array', [np.array(['a']), np.zeros(1, [('a', 'f4')])])
def test_what_is_no_number_is_refused(folder, array):
  with features.shard_writer(folder / 'features-00000.npz') as write:
    write(array)
  with pytest.raises(ValueError, match='and features are numbers'):
    features.FeatureFolder(folder)[0]
