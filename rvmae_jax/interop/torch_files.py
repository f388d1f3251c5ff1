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
import math
import mmap
import pathlib
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import ml_dtypes
import numpy as np

from rvmae_jax import files

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
  'ComplexFloatStorage': np.complex64,
  'ComplexDoubleStorage': np.complex128,
}
# How files begin that PyTorch before 1.6 wrote.
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
# Strides of 0 make a large array of a small memory; tables do, up to this.
_MOST_REPEATED_VALUES = 2**20


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
      ValueError: the file holds less memory than the tensor needs, or of a type
        that NumPy does not have.
    """
    if not isinstance(self.dtype, np.dtype):
      raise ValueError('A tensor has elements of a type that is not read here.')
    if 0 in self.shape:
      return np.zeros(self.shape, self.dtype)
    memory = np.frombuffer(self.storage.read_bytes(), self.dtype)
    if math.prod(self.shape) > max(len(memory), _MOST_REPEATED_VALUES):
      raise ValueError(
        f'A tensor of shape {self.shape} repeats a memory of {len(memory)}: '
        'the file is damaged.'
      )
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
  with files.naming(path, 'is no PyTorch file, or is cut off or damaged'):
    if zipfile.is_zipfile(path):
      return _read_zip(path)
    return _read_legacy(path)


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


class _Unpickler(pickle._Unpickler):
  """Rebuilds containers and tensors, and nothing else.

  Its base is pickle's Python version: the C version would allocate as much
  memory as a number in the file asks for.
  """

  dispatch: ClassVar = dict(pickle._Unpickler.dispatch)

  def __init__(self, file, load_storage: Callable[..., _Storage]):
    super().__init__(file, encoding='utf-8')
    self._load_storage = load_storage

  def find_class(self, module: str, name: str) -> Any:
    known = {
      ('collections', 'OrderedDict'): _ordered_dict,
      ('torch._utils', '_rebuild_tensor'): _tensor,
      ('torch._utils', '_rebuild_tensor_v2'): _tensor,
      ('torch._utils', '_rebuild_parameter'): _parameter,
      ('torch', 'Size'): tuple,
    }
    if module == 'torch' and name in _DTYPES:
      return np.dtype(_DTYPES[name])
    return known.get((module, name), Opaque)

  def persistent_load(self, reference: tuple) -> _Storage:
    _, kind, key, device, size, *view = reference
    if not isinstance(key, str) or type(size) is not int:
      raise ValueError(f'no memory: {reference!r:.200}')
    return self._load_storage(kind, key, device, size, *view)

  def load_build(self) -> None:
    """Leaves out attributes that objects had besides."""
    self.stack.pop()

  def load_setitems(self) -> None:
    """Adds entries to a dict."""
    items = self.pop_mark()
    _check_keys(items[::2])
    for key, value in zip(items[::2], items[1::2]):
      self.stack[-1][key] = value

  def load_setitem(self) -> None:
    """Adds an entry to a dict."""
    value, key = self.stack.pop(), self.stack.pop()
    _check_keys([key])
    self.stack[-1][key] = value

  def load_set(self) -> None:
    """Leaves out sets: no tensor is in one."""
    self.append(Opaque())

  def load_additems(self) -> None:
    """Leaves out what is added to a set."""
    self.pop_mark()

  def load_frozenset(self) -> None:
    """Leaves out sets."""
    self.pop_mark()
    self.append(Opaque())

  dispatch[pickle.BUILD[0]] = load_build
  dispatch[pickle.SETITEMS[0]] = load_setitems
  dispatch[pickle.SETITEM[0]] = load_setitem
  dispatch[pickle.EMPTY_SET[0]] = load_set
  dispatch[pickle.ADDITEMS[0]] = load_additems
  dispatch[pickle.FROZENSET[0]] = load_frozenset


def _check_keys(keys: Iterable[Any]) -> None:
  """Refuses keys in keys: hashing such can take years."""
  for key in keys:
    parts = key if isinstance(key, tuple) else (key,)
    if any(isinstance(part, tuple) for part in parts):
      raise ValueError('a dict with keys of nested tuples')


def _ordered_dict(items: Iterable[tuple] = ()) -> dict[Any, Any]:
  items = [(key, value) for key, value in items]
  _check_keys(key for key, _ in items)
  return collections.OrderedDict(items)


def _tensor(storage, offset, shape, strides, *unused) -> Tensor:
  shape, strides = tuple(shape), tuple(strides)
  numbers = (offset, *shape, *strides)
  is_sound = isinstance(storage, _Storage) and len(shape) == len(strides)
  if not is_sound or any(type(n) is not int or n < 0 for n in numbers):
    raise ValueError(f'no tensor: from {offset!r:.20}, {shape!r:.200}')
  return Tensor(storage, offset, shape, strides)


def _parameter(tensor, *unused) -> Tensor:
  return tensor


def _read_zip(path: str | pathlib.Path) -> Any:
  with zipfile.ZipFile(path) as archive:
    files.check_archive(archive)
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
  with (
    files.naming(path, f'is damaged at {name}'),
    zipfile.ZipFile(path) as archive,
  ):
    return archive.read(name)


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

  with (
    open(path, 'rb') as file,
    # Asked for more than there is, it gives what there is.
    mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as memory,
  ):
    if _Unpickler(memory, storage).load() != _LEGACY_MAGIC:
      raise ValueError('another magic number')
    for _ in range(2):
      _Unpickler(memory, storage).load()
    content = _Unpickler(memory, storage).load()
    for key in _Unpickler(memory, storage).load():
      [size] = struct.unpack('<q', memory.read(8))
      places[key] = memory.tell()
      missing = memory.tell() + size * item_bytes[key] - len(memory)
      if missing > 0 or size < 0:
        raise EOFError(f'{missing} bytes are missing')
      memory.seek(size * item_bytes[key], io.SEEK_CUR)
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
