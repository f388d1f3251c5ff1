"""Files that are there as a whole or not at all."""

import pathlib

import pytest

from rvmae_jax.data.writing import write_whole


def test_a_file_is_replaced_by_text_or_bytes(tmp_path):
  path = tmp_path / 'file'
  for content in ('größer', b'\x00\xff'):
    write_whole(path, content)
  assert path.read_bytes() == b'\x00\xff'
  assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_former_file(tmp_path, monkeypatch):
  path = tmp_path / 'file'
  write_whole(path, 'former')

  def fail(self, content):
    raise OSError('disk full')

  monkeypatch.setattr(pathlib.Path, 'write_bytes', fail)
  with pytest.raises(OSError, match='disk full'):
    write_whole(path, 'new')
  assert path.read_text() == 'former'
