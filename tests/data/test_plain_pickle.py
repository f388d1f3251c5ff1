"""Pickles of arrays and containers; everything else is refused, not run."""

import os
import pickle

import numpy as np
import pytest

from rvmae_jax.data import plain_pickle

CONTENT = {
  'video': np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3),
  'points': np.linspace(0, 1, 12).reshape(3, 2, 2),
  'columns first': np.asfortranarray(np.arange(6.0).reshape(2, 3)),
  'big-endian': np.arange(3, dtype='>i4'),
  'occluded': np.array([[True, False]]),
  'empty': np.zeros((0, 2), np.float32),
  'nothing at all': np.float32(1.5),
  'text': np.array(['ab', 'c']),
  'objects': np.array([b'jpeg', None], object),
  'jpegs': [b'\xff\xd8\x00', b''],
  'plain': [1, 2.5, 'a', None, True, (3, 4)],
}


def write(path, content, protocol=2):
  path.write_bytes(pickle.dumps(content, protocol))
  return path


def assert_same(ours, true):
  assert type(ours) is type(true)
  if isinstance(true, dict):
    assert ours.keys() == true.keys()
    for key, value in true.items():
      assert_same(ours[key], value)
  elif isinstance(true, np.ndarray):
    assert ours.dtype == true.dtype and ours.shape == true.shape
    np.testing.assert_array_equal(ours, true)
  else:
    assert ours == true


@pytest.mark.parametrize('protocol', [2, 3, 4, 5])
def test_what_was_put_in_comes_out(tmp_path, protocol):
  path = write(tmp_path / 'a.pkl', CONTENT, protocol)
  assert_same(plain_pickle.read(path), CONTENT)


def test_the_module_of_an_older_numpy(tmp_path):
  content = pickle.dumps({'a': np.arange(3)}, 2)
  older = content.replace(b'numpy._core', b'numpy.core')
  assert older != content
  (tmp_path / 'a.pkl').write_bytes(older)
  assert plain_pickle.read(tmp_path / 'a.pkl')['a'].tolist() == [0, 1, 2]


class Malicious:
  """Pickled, it asks for a call."""

  def __init__(self, function, *arguments):
    self.call = function, arguments

  def __reduce__(self):
    return self.call


@pytest.mark.parametrize('protocol', [0, 2, 4, 5])
@pytest.mark.parametrize(
  ('function', 'name'),
  [
    (os.system, f'{os.system.__module__}.system'),
    (eval, r'builtin\w+\.eval'),
    (getattr, r'builtin\w+\.getattr'),
    (np.load, r'numpy\.load'),
    (bytearray, r'builtin\w+\.bytearray'),
  ],
)
def test_a_call_is_refused_by_name_and_not_made(
  tmp_path, protocol, function, name
):
  trace = tmp_path / 'was_run'
  content = {'video': [Malicious(function, f'touch {trace}')]}
  path = write(tmp_path / 'a.pkl', content, protocol)
  with pytest.raises(ValueError, match=name) as error:
    plain_pickle.read(path)
  assert str(path) in str(error.value) and 'None of it was' in str(error.value)
  assert not trace.exists()


@pytest.mark.parametrize(
  ('content', 'message'),
  [
    (np.zeros(2, [('x', 'f4')]), "an array of 'V4'"),
    (np.array(['2026'], 'M8[Y]'), "an array of 'M8'"),
    (pickle.PickleBuffer(b''), 'damaged'),
  ],
)
def test_stranger_arrays_are_refused(tmp_path, content, message):
  if isinstance(content, pickle.PickleBuffer):
    data = pickle.dumps(content, 5, buffer_callback=lambda buffer: None)
  else:
    data = pickle.dumps(content, 4)
  (tmp_path / 'a.pkl').write_bytes(data)
  with pytest.raises(ValueError, match=message):
    plain_pickle.read(tmp_path / 'a.pkl')


def test_functions_cannot_be_changed(tmp_path):
  """A pickle that gives a known name a state of its own is damaged."""
  changed = (
    b'\x80\x02cnumpy\ndtype\n}X\x07\x00\x00\x00__doc__X\x01\x00\x00\x00xsb.'
  )
  (tmp_path / 'a.pkl').write_bytes(changed)
  with pytest.raises(ValueError, match='damaged'):
    plain_pickle.read(tmp_path / 'a.pkl')


def test_every_cut_is_damage(tmp_path):
  content = pickle.dumps(CONTENT, 4)
  for end in range(0, len(content) - 1, 37):
    (tmp_path / 'a.pkl').write_bytes(content[:end])
    with pytest.raises(ValueError, match=r'cut off or damaged|asks for'):
      plain_pickle.read(tmp_path / 'a.pkl')


def test_flipped_bits_are_damage_or_other_values(tmp_path):
  content = bytearray(pickle.dumps(CONTENT, 4))
  rng = np.random.default_rng(0)
  refused = 0
  for place in rng.integers(len(content), size=100):
    changed = bytearray(content)
    changed[place] ^= 1 << rng.integers(8)
    (tmp_path / 'a.pkl').write_bytes(changed)
    try:
      plain_pickle.read(tmp_path / 'a.pkl')
    except ValueError:
      refused += 1
  assert refused > 10
