"""Fingerprints tell files apart by what is in them, not by name or place."""

import hashlib

import pytest

from rvmae_jax.data import fingerprints

MEGABYTE = bytes(range(256)) * 4096


@pytest.mark.parametrize('place', [0, 64 * 1024 - 1, -1])
def test_a_byte_at_either_end_counts(place, tmp_path):
  changed = bytearray(MEGABYTE)
  changed[place] ^= 1
  for name, content in (('a', MEGABYTE), ('b', MEGABYTE), ('c', changed)):
    (tmp_path / name).write_bytes(content)
  a, b, c = (fingerprints.quick_fingerprint(tmp_path / n) for n in 'abc')
  assert a == b != c and len(a) == 32


def test_size_counts_where_both_ends_agree(tmp_path):
  (tmp_path / 'a').write_bytes(MEGABYTE)
  (tmp_path / 'b').write_bytes(MEGABYTE * 2)
  a, b = (fingerprints.quick_fingerprint(tmp_path / n) for n in 'ab')
  assert a != b


def test_sha256_of_a_file_and_of_a_folder_of_images(tmp_path):
  (tmp_path / '2.png').write_bytes(b'two')
  (tmp_path / '1.png').write_bytes(b'one')
  (tmp_path / 'note.txt').write_bytes(b'no image')
  assert fingerprints.size_bytes(tmp_path) == 6
  for path, content in ((tmp_path, b'onetwo'), (tmp_path / '1.png', b'one')):
    expected = hashlib.sha256(content).hexdigest()
    assert fingerprints.content_sha256(path) == expected


def test_empty_and_absent_files_have_no_fingerprint(tmp_path):
  (tmp_path / 'empty.mp4').touch()
  for name, num_bytes in (('empty.mp4', 0), ('absent.mp4', None)):
    path = str(tmp_path / name)
    assert fingerprints.identify(path) == fingerprints.Identity(path, num_bytes)
