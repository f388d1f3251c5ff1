"""NumPy archives with a note of origin."""

import zipfile

import numpy as np
import pytest

from rvmae_jax.interop import npz

ARRAYS = {
  'encoder/norm/scale': np.arange(3, dtype=np.float32),
  'cls_token': np.full((1, 2), np.nan, np.float32),
}


def test_arrays_and_metadata_come_back(tmp_path):
  path = tmp_path / 'weights.npz'
  npz.write(path, ARRAYS, {'config': '{"a": "ü"}'})
  back = npz.read(path)
  assert back.keys() == ARRAYS.keys()
  for name, array in ARRAYS.items():
    np.testing.assert_array_equal(back[name], array)
  assert npz.read_metadata(path) == {'config': '{"a": "ü"}'}


def test_other_programs_see_the_arrays_and_nothing_else(tmp_path):
  path = tmp_path / 'weights.npz'
  npz.write(path, ARRAYS, {'config': '{}'})
  with np.load(path, allow_pickle=False) as archive:
    assert sorted(archive.files) == sorted(ARRAYS)
  with zipfile.ZipFile(path) as archive:
    assert archive.testzip() is None


@pytest.mark.parametrize('comment', [b'', b'made by hand', b'[1, 2]'])
def test_files_of_others_have_no_metadata(tmp_path, comment):
  path = tmp_path / 'weights.npz'
  np.savez(path, **ARRAYS)
  with zipfile.ZipFile(path, 'a') as archive:
    archive.comment = comment
  assert npz.read_metadata(path) == {}
  assert npz.read(path).keys() == ARRAYS.keys()


def test_metadata_that_does_not_fit_is_refused(tmp_path):
  with pytest.raises(ValueError, match=r'takes 700\d\d bytes'):
    npz.write(tmp_path / 'weights.npz', ARRAYS, {'config': 'x' * 70_000})


def test_a_file_that_is_cut_off_is_named(tmp_path):
  path = tmp_path / 'weights.npz'
  npz.write(path, ARRAYS, {'config': '{}'})
  whole = path.read_bytes()
  for length in (0, 7, len(whole) // 2, len(whole) - 50):
    path.write_bytes(whole[:length])
    with pytest.raises(ValueError, match=r'weights\.npz is no .* cut off'):
      npz.read(path)


def test_what_is_no_array_is_refused(tmp_path):
  path = tmp_path / 'weights.npz'
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr('cls_token.npy', b'text')
  with pytest.raises(
    ValueError, match=r"weights\.npz .*'cls_token' in it is no"
  ):
    npz.read(path)


@pytest.mark.parametrize(
  'field', [6, 8, 10], ids=['version', 'flags', 'method']
)
def test_archives_of_another_kind_are_named(field, tmp_path):
  path = tmp_path / 'weights.npz'
  npz.write(path, ARRAYS)
  content = bytearray(path.read_bytes())
  place = content.find(b'PK\x01\x02') + field
  content[place : place + 2] = (99).to_bytes(2, 'little')
  path.write_bytes(content)
  with pytest.raises(ValueError, match=r'weights\.npz is no .* damaged'):
    npz.read(path)
