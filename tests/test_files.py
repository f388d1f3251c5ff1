"""Errors of reading damaged files name the file."""

import io
import json
import struct
import zipfile

import pytest

from rvmae_jax import files


@pytest.mark.parametrize(
  'error',
  [
    KeyError('a'),
    struct.error('short'),
    RecursionError('deep'),
    NotImplementedError('zip file version 9.9'),
    MemoryError(),
    OSError(22, 'Invalid argument'),
    UnicodeDecodeError('utf-8', b'a', 0, 1, 'invalid'),
    json.JSONDecodeError('bad', 'a', 0),
  ],
  ids=lambda error: type(error).__name__,
)
def test_whatever_a_library_says_names_the_file(error):
  kind = type(error).__name__
  with (
    pytest.raises(
      ValueError, match=rf'^dir/a\.npz is damaged \({kind}: .*again\.$'
    ) as raised,
    files.naming('dir/a.npz', 'is damaged'),
  ):
    raise error
  assert raised.value.__cause__ is error


@pytest.mark.parametrize(
  'error',
  [
    ValueError('a.npz holds nothing'),
    FileNotFoundError(2, 'No such file', 'b.npz'),
    PermissionError(13, 'Permission denied', 'b.npz'),
    ImportError('safetensors'),
  ],
  ids=lambda error: type(error).__name__,
)
def test_what_tells_enough_is_left_as_it_is(error):
  with pytest.raises(type(error)) as raised, files.naming('a.npz', 'is bad'):
    raise error
  assert raised.value is error


def test_a_name_that_is_a_number_is_not_taken_for_that_of_a_line():
  with (
    pytest.raises(ValueError, match=r'^checkpoints/1 is bad \(JSONDecodeError'),
    files.naming('checkpoints/1', 'is bad'),
  ):
    json.loads('{')


@pytest.mark.parametrize(
  'content',
  [
    b'',
    b'{"a": ',
    b'[1]',
    b'null',
    b'\xff\xfe\xff',
    b'[' * 100_000,
    b'1' * 9999,
  ],
)
def test_what_is_no_json_object_is_refused(content, tmp_path):
  path = tmp_path / 'config.json'
  path.write_bytes(content)
  with pytest.raises(
    ValueError, match=r'config\.json is not valid JSON, or is cut'
  ):
    files.read_json(path)


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16'])
def test_json_of_any_unicode_is_read(encoding, tmp_path):
  path = tmp_path / 'config.json'
  path.write_bytes('{"a": "ü"}'.encode(encoding))
  assert files.read_json(path) == {'a': 'ü'}


def _archive(content, compression):
  buffer = io.BytesIO()
  with zipfile.ZipFile(buffer, 'w', compression) as archive:
    archive.writestr('a.npy', content)
  return zipfile.ZipFile(buffer)


def test_archives_that_would_fill_the_memory_are_refused():
  small = _archive(bytes(2**20), zipfile.ZIP_DEFLATED)
  files.check_archive(small)
  small.infolist()[0].file_size = 2**30
  with pytest.raises(ValueError, match='would become 1,073,741,824 in memory'):
    files.check_archive(small)


@pytest.mark.parametrize('method', [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_archives_packed_in_other_ways_are_refused(method):
  with pytest.raises(ValueError, match=r'a\.npy has the unknown compression'):
    files.check_archive(_archive(bytes(99), method))
