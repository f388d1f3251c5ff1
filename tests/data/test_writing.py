"""Files that are there as a whole or not at all."""

import concurrent.futures
import pathlib

import pytest

from rvmae_jax.data.writing import whole_file, write_whole


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
  assert list(tmp_path.iterdir()) == [path]


def test_writers_of_one_file_do_not_meet(tmp_path):
  """Threads here; in two containers even their process ids may be the same."""
  path = tmp_path / 'file'

  def write(content):
    for _ in range(100):
      write_whole(path, content)
      assert path.read_text() in contents

  contents = ['a' * 999, 'b' * 99, 'c' * 9]
  with concurrent.futures.ThreadPoolExecutor(3) as threads:
    list(threads.map(write, contents))
  assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_cut_off_is_neither_seen_nor_left(tmp_path):
  path = tmp_path / 'file.npz'
  with pytest.raises(KeyboardInterrupt), whole_file(path) as partial:
    assert partial.suffix == '.npz'
    partial.write_text('half')
    raise KeyboardInterrupt
  assert not list(tmp_path.iterdir())
