"""PyTorch's files (.bin, .pth, .pt, .pyth), in and out, without PyTorch.

A file is a pickle that names tensors, and the memory that they point into. A
pickle may run any program, so only what tensors and containers are made of is
rebuilt; whatever else a training script left there, its arguments for example,
becomes an `Opaque` that does nothing. Memory is read when a tensor is asked for
it: parameters can be had without the optimizer that lies beside them.
"""

import collections
import dataclasses
import functools
import io
import pathlib
import pickle
import struct
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import ml_dtypes
import numpy as np

_DTYPES = {
  'DoubleStorage': np.float64,
  'FloatStorage': np.float32,
  'HalfStorage': np.float16,
  'BFloat16Storage': ml_dtypes.bfloat16,
  'LongStorage': np.int64,
  'IntStorage': np.int32,
  'ShortStorage': np.int16,
  'CharStorage': np.int8,
  'ByteStorage': np.uint8,
  'BoolStorage': np.bool_,
}
# What comes of reading something that is no sound pickle in a sound archive.
_SIGNS_OF_DAMAGE = (
  *(zipfile.BadZipFile, pickle.UnpicklingError, struct.error, EOFError),
  *(LookupError, AttributeError, TypeError, ValueError, OverflowError),
)
# How files begin that PyTorch before 1.6 wrote.
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


@dataclasses.dataclass(frozen=True)
class _Storage:
  """Memory of tensors: the type of its elements, and how to read it."""

  dtype: np.dtype
  read_bytes: Callable[[], bytes]


@dataclasses.dataclass(frozen=True)
class Tensor:
  """A tensor of a file, not yet read.

  Attributes:
    storage: the memory that it is a part of.
    offset: its first element there.
    shape: of the array.
    strides: in elements.
  """

  storage: _Storage
  offset: int
  shape: tuple[int, ...]
  strides: tuple[int, ...]

  @property
  def dtype(self) -> np.dtype:
    """Of the elements."""
    return self.storage.dtype

  def read(self) -> np.ndarray:
    """The array.

    Raises:
      ValueError: the file holds less memory than the tensor needs.
    """
    if 0 in self.shape:
      return np.zeros(self.shape, self.dtype)
    memory = np.frombuffer(self.storage.read_bytes(), self.dtype)
    steps = sum((n - 1) * s for n, s in zip(self.shape, self.strides))
    if self.offset + steps >= len(memory):
      raise ValueError(
        f'A tensor of shape {self.shape} starts at element {self.offset} of a '
        f'memory of {len(memory)}: the file is damaged.'
      )
    strides = [s * self.dtype.itemsize for s in self.strides]
    return np.lib.stride_tricks.as_strided(
      memory[self.offset :], self.shape, strides
    ).copy()


class Opaque:
  """Stands for an object that is not rebuilt; takes anything, does nothing."""

  def __new__(cls, *args, **kwargs):
    return super().__new__(cls)

  def __init__(self, *args, **kwargs):
    pass

  def __call__(self, *args, **kwargs) -> 'Opaque':
    return self

  def __setstate__(self, state):
    pass

  def __setitem__(self, key, value):
    pass

  def append(self, item):
    pass

  extend = add = append


def read(path: str | pathlib.Path) -> Any:
  """What `torch.save` was given, with a `Tensor` for each tensor.

  Args:
    path: written by any version of PyTorch since 0.4.

  Raises:
    ValueError: the file is no PyTorch file, or is cut off or damaged.
  """
  try:
    if zipfile.is_zipfile(path):
      return _read_zip(path)
    return _read_legacy(path)
  except _SIGNS_OF_DAMAGE as error:
    raise ValueError(
      f'{path} is no PyTorch file, or is cut off or damaged '
      f'({type(error).__name__}: {error}). Copy or download it again.'
    ) from error


def write(path: str | pathlib.Path, content: Mapping[str, Any]) -> None:
  """Writes what `torch.load(..., weights_only=True)` reads.

  Args:
    path: replaced if it exists.
    content: nested dicts of arrays, which become float32 tensors, and text.
  """
  memory: list[bytes] = []
  instructions = _pickled_content(content, memory)
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr('archive/data.pkl', b'\x80\x02' + instructions + b'.')
    archive.writestr('archive/byteorder', 'little')
    for i, array in enumerate(memory):
      archive.writestr(f'archive/data/{i}', array)
    archive.writestr('archive/version', '3\n')


class _Unpickler(pickle.Unpickler):
  """Rebuilds containers and tensors, and nothing else."""

  def __init__(self, file, load_storage: Callable[..., _Storage]):
    super().__init__(file, encoding='utf-8')
    self._load_storage = load_storage

  def find_class(self, module: str, name: str) -> Any:
    known = {
      ('collections', 'OrderedDict'): collections.OrderedDict,
      ('torch._utils', '_rebuild_tensor'): Tensor,
      ('torch._utils', '_rebuild_tensor_v2'): _tensor,
      ('torch._utils', '_rebuild_parameter'): _parameter,
      ('torch', 'Size'): tuple,
    }
    if module == 'torch' and name in _DTYPES:
      return np.dtype(_DTYPES[name])
    return known.get((module, name), Opaque)

  def persistent_load(self, reference: tuple) -> _Storage:
    return self._load_storage(*reference[1:])


def _tensor(storage, offset, shape, strides, *unused) -> Tensor:
  return Tensor(storage, offset, tuple(shape), tuple(strides))


def _parameter(tensor, *unused) -> Tensor:
  return tensor


def _read_zip(path: str | pathlib.Path) -> Any:
  with zipfile.ZipFile(path) as archive:
    names = archive.namelist()
    # All lies in one folder, named as the writer liked.
    folder = names[0].partition('/')[0]
    content = archive.read(f'{folder}/data.pkl')
    byteorder = f'{folder}/byteorder'
    if byteorder in names and archive.read(byteorder) != b'little':
      raise ValueError('written by a machine of another byte order')

  def storage(kind, key, device, size):
    member = f'{folder}/data/{key}'
    return _Storage(kind, functools.partial(_read_member, path, member))

  return _Unpickler(io.BytesIO(content), storage).load()


def _read_member(path: str | pathlib.Path, name: str) -> bytes:
  try:
    with zipfile.ZipFile(path) as archive:
      return archive.read(name)
  except (zipfile.BadZipFile, KeyError) as error:
    raise ValueError(
      f'{path} is damaged at {name} ({error}). Copy or download it again.'
    ) from error


def _read_legacy(path: str | pathlib.Path) -> Any:
  """Pickles one after the other: magic, version, machine, content, keys."""
  places, item_bytes = {}, {}

  def read_bytes(key, num_bytes):
    with open(path, 'rb') as file:
      file.seek(places[key])
      return file.read(num_bytes)

  def storage(kind, key, device, size, *unused):
    item_bytes[key] = kind.itemsize
    return _Storage(
      kind, functools.partial(read_bytes, key, size * kind.itemsize)
    )

  with open(path, 'rb') as file:
    if _Unpickler(file, storage).load() != _LEGACY_MAGIC:
      raise ValueError('another magic number')
    for _ in range(2):
      _Unpickler(file, storage).load()
    content = _Unpickler(file, storage).load()
    end = pathlib.Path(path).stat().st_size
    for key in _Unpickler(file, storage).load():
      [size] = struct.unpack('<q', file.read(8))
      places[key] = file.tell()
      file.seek(size * item_bytes[key], io.SEEK_CUR)
      if file.tell() > end:
        raise EOFError(f'{file.tell() - end} bytes are missing')
  return content


def _pickled_content(content: Any, memory: list[bytes]) -> bytes:
  """Instructions of a pickle machine; tensors add what they point to."""
  if isinstance(content, Mapping):
    entries = (
      _pickled(name) + _pickled_content(value, memory)
      for name, value in content.items()
    )
    return b'}(' + b''.join(entries) + b'u'
  if isinstance(content, np.ndarray | np.generic):
    memory.append(np.asarray(content, '<f4', order='C').tobytes())
    return _pickled_tensor(str(len(memory) - 1), np.shape(content))
  return _pickled(content)


def _pickled(value: Any) -> bytes:
  """The instructions that put a plain value on the pickle machine's stack."""
  return pickle.dumps(value, 2)[2:-1]  # Without the frame around them.


def _pickled_tensor(key: str, shape: tuple[int, ...]) -> bytes:
  """`_rebuild_tensor_v2(storage, 0, shape, strides, False, OrderedDict())`."""
  strides = tuple(int(np.prod(shape[i + 1 :])) for i in range(len(shape)))
  size = int(np.prod(shape))
  parts = (
    b'ctorch._utils\n_rebuild_tensor_v2\n((',
    _pickled('storage'),
    b'ctorch\nFloatStorage\n',
    *map(_pickled, (key, 'cpu', size)),
    b'tQ',  # A tuple; what it refers to.
    *map(_pickled, (0, shape, strides, False)),
    b'ccollections\nOrderedDict\n)R',
    b'tR',  # A tuple; the function called with it.
  )
  return b''.join(parts)
