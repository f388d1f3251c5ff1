"""PyTorch's files, read and written without PyTorch.

Real files are compared too where PyTorch is installed: see the last test. What
is always there are files made by hand, instruction by instruction.
"""

import argparse
import collections
import io
import pickle
import struct
import zipfile

import numpy as np
import pytest

from rvmae_jax.interop import state_dict, torch_files

ARRAYS = {
  'encoder.weight': np.arange(12, dtype=np.float32).reshape(3, 4),
  'scale': np.array(0.5, np.float32),
  'nothing': np.zeros((0, 2), np.float32),
}
MEMORY = np.arange(24, dtype=np.float16)


class _Global:
  """Pickled as a name of a module that need not be there."""

  def __init__(self, module, name):
    self.module, self.name = module, name


class _Call:
  """Pickled as a call of a `_Global`."""

  def __init__(self, function, *arguments):
    self.function, self.arguments = function, arguments


class _Storage:
  """Pickled as a reference to memory `key`."""

  def __init__(self, key, size, view=()):
    kind = _Global('torch', 'HalfStorage')
    self.reference = ('storage', kind, key, 'cuda:0', size, *view)


class _Pickler(pickle._Pickler):
  """Writes what PyTorch would, without its classes."""

  def persistent_id(self, value):
    return value.reference if isinstance(value, _Storage) else None

  def save(self, value, save_persistent_id=True):
    if isinstance(value, _Global):
      self.write(f'c{value.module}\n{value.name}\n'.encode())
    elif isinstance(value, _Call):
      self.save(value.function)
      self.save(value.arguments)
      self.write(pickle.REDUCE)
    else:
      super().save(value, save_persistent_id)


def _dump(file, value):
  _Pickler(file, 2).dump(value)


def _content(view=()):
  """Half precision, transposed, in the middle of its memory; and a stranger."""
  rebuild = _Global('torch._utils', '_rebuild_tensor_v2')
  storage = _Storage('0', 24, view)
  tensor = _Call(rebuild, storage, 4, (3, 2), (1, 4), True, {})
  return {
    'model': collections.OrderedDict(
      weight=tensor,
      parameter=_Call(
        _Global('torch._utils', '_rebuild_parameter'), tensor, True, {}
      ),
    ),
    'args': argparse.Namespace(lr=1e-3),
    'danger': _Call(_Global('os', 'abort')),
    'epoch': 3,
  }


def _write_zip(path):
  with zipfile.ZipFile(path, 'w') as archive:
    with archive.open('checkpoint/data.pkl', 'w') as file:
      _dump(file, _content())
    archive.writestr('checkpoint/data/0', MEMORY.tobytes())


def _write_legacy(path):
  with open(path, 'wb') as file:
    _dump(file, 0x1950A86A20F9469CFC6C)
    _dump(file, 1001)
    _dump(file, {'little_endian': True})
    _dump(file, _content(view=(None,)))
    _dump(file, ['0'])
    file.write(struct.pack('<q', 24) + MEMORY.tobytes())


@pytest.fixture(params=[_write_zip, _write_legacy])
def path(request, tmp_path):
  request.param(tmp_path / 'checkpoint.pth')
  return tmp_path / 'checkpoint.pth'


def test_parts_of_memory_are_read_as_they_lie(path):
  content = torch_files.read(path)
  for name in ('weight', 'parameter'):
    tensor = content['model'][name]
    assert (tensor.shape, tensor.dtype) == ((3, 2), np.float16)
    np.testing.assert_array_equal(tensor.read(), [[4, 8], [5, 9], [6, 10]])


def test_nothing_of_a_file_is_run(path):
  content = torch_files.read(path)
  assert content['epoch'] == 3
  assert isinstance(content['danger'], torch_files.Opaque)
  assert isinstance(content['args'], torch_files.Opaque)


def test_every_cut_is_noticed(path):
  whole = path.read_bytes()
  for length in range(0, len(whole), 7):
    path.write_bytes(whole[:length])
    with pytest.raises(ValueError, match=r'cut off or damaged .*again\.'):
      torch_files.read(path)


def test_a_changed_bit_of_memory_is_noticed(tmp_path):
  path = tmp_path / 'checkpoint.pth'
  _write_zip(path)
  content = path.read_bytes()
  path.write_bytes(content.replace(MEMORY.tobytes(), MEMORY.tobytes()[::-1]))
  tensor = torch_files.read(path)['model']['weight']
  with pytest.raises(ValueError, match='damaged at checkpoint/data/0'):
    tensor.read()


def test_a_tensor_larger_than_its_memory_is_refused():
  storage = torch_files._Storage(np.dtype(np.float32), lambda: bytes(12))
  tensor = torch_files.Tensor(storage, 2, (2,), (1,))
  with pytest.raises(ValueError, match='element 2 of a memory of 3'):
    tensor.read()


def test_what_was_written_comes_back(tmp_path):
  path = tmp_path / 'model.pth'
  torch_files.write(path, {'model': ARRAYS, 'note': {'by': 'ü'}})
  content = torch_files.read(path)
  assert content['note'] == {'by': 'ü'}
  assert list(content['model']) == list(ARRAYS)
  for name, array in ARRAYS.items():
    np.testing.assert_array_equal(content['model'][name].read(), array)


def test_torch_reads_and_writes_the_same(tmp_path):
  torch = pytest.importorskip('torch')
  torch_files.write(tmp_path / 'ours.pth', {'model': ARRAYS})
  theirs = torch.load(tmp_path / 'ours.pth', weights_only=True)['model']
  for name, array in ARRAYS.items():
    np.testing.assert_array_equal(theirs[name].numpy(), array)
  for is_zip in (True, False):
    torch.save(
      {'model': theirs, 'args': argparse.Namespace()},
      tmp_path / 'theirs.pth',
      _use_new_zipfile_serialization=is_zip,
    )
    ours = torch_files.read(tmp_path / 'theirs.pth')['model']
    for name, array in ARRAYS.items():
      np.testing.assert_array_equal(ours[name].read(), array)


def _zip_of(path, pickled):
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr('checkpoint/data.pkl', pickled)
    archive.writestr('checkpoint/data/0', bytes(64))


# Each would take gigabytes, years, or all of the stack.
@pytest.mark.parametrize(
  'pickled',
  [
    b'\x80\x02Nr\xff\xff\xff\x7f.',
    b'\x80\x04\x8e' + struct.pack('<Q', 2**62) + b'a.',
    b'\x80\x02T\xff\xff\xff\x7fa.',
    b'\x80\x02}' + b'N' + b'2\x86' * 60 + b'Ns.',
    b'\x80\x02}U\x05model' * 5000 + b'}' + b's' * 5000 + b'.',
  ],
  ids=['memo', 'bytes', 'string', 'hash', 'nested'],
)
@pytest.mark.parametrize('is_zip', [True, False])
def test_numbers_in_a_pickle_reserve_no_memory(pickled, is_zip, tmp_path):
  path = tmp_path / 'checkpoint.pth'
  if is_zip:
    _zip_of(path, pickled)
  else:
    path.write_bytes(pickled)
  with pytest.raises(ValueError, match=r'checkpoint\.pth '):
    state_dict.read(path)


@pytest.mark.parametrize(
  'view',
  [
    (0, (2**40,), (0,)),
    (8, (2, 2), (-(2**40), 1)),
    (-4, (4,), (1,)),
    (0, (-3,), (1,)),
    (0, (2, 2), (1,)),
    (0, (1.5,), (1,)),
    (2**70, (1,), (1,)),
  ],
)
def test_views_that_no_memory_has_are_refused(view, tmp_path):
  storage = _Storage('0', 24)
  rebuild = _Global('torch._utils', '_rebuild_tensor_v2')
  path, buffer = tmp_path / 'checkpoint.pth', io.BytesIO()
  _dump(buffer, {'weight': _Call(rebuild, storage, *view, False, {})})
  _zip_of(path, buffer.getvalue())
  with pytest.raises(ValueError, match=r'checkpoint\.pth is '):
    state_dict.read(path)


def test_a_table_may_repeat_its_memory():
  storage = torch_files._Storage(np.dtype(np.float32), lambda: bytes(4))
  tensor = torch_files.Tensor(storage, 0, (5, 3), (0, 0))
  assert tensor.read().shape == (5, 3)
