"""Pickles of arrays, lists, dicts and bytes, read without running them.

A pickle may call any function by its name. Here none is called: arrays are put
together from their bytes, and whatever else a file asks for is refused.
"""

import os
import pickle
import re
import struct
from typing import Any, NoReturn

import numpy as np

# Numbers, truth values, text and bytes, as NumPy writes them: 'u1', 'f8', 'S5';
# and 'O', an array of any of these.
_DTYPE = re.compile(r'[?biufcSU]\d*|O8?')
# Errors that a damaged pickle, or something else, may raise when it is read.
_SIGNS_OF_DAMAGE = (
  *(pickle.UnpicklingError, struct.error, EOFError, LookupError),
  *(AttributeError, TypeError, OverflowError, MemoryError, RecursionError),
)


def read(path: str | os.PathLike) -> Any:
  """The content of a pickle of any protocol.

  Args:
    path: written by Python 3 and any NumPy.

  Returns:
    Nested dicts, lists and tuples of read-only arrays, numbers, text and bytes.

  Raises:
    ValueError: the file asks for something else, which is named and was not
      run; or it is not a pickle, or is cut off or damaged.
  """
  with open(path, 'rb') as file:
    try:
      return _plain(_Unpickler(file, encoding='latin1').load())
    except _Refused as error:
      raise ValueError(
        f'{os.fspath(path)} asks for {error}, which is not an array, list, '
        'dict or bytes. None of it was run. If you trust the file, write '
        'these arrays into a new one.'
      ) from error
    except (*_SIGNS_OF_DAMAGE, ValueError) as error:
      raise ValueError(
        f'{os.fspath(path)} is not a pickle, or is cut off or damaged '
        f'({type(error).__name__}: {error}). Copy or download it again.'
      ) from error


class _Refused(Exception):
  """Names what a pickle must not ask for."""


class _Unpickler(pickle.Unpickler):
  """Knows the few names that arrays are pickled by."""

  def find_class(self, module: str, name: str) -> Any:
    known = _KNOWN.get((module.replace('numpy.core', 'numpy._core'), name))
    if known is None:
      raise _Refused(f'{module}.{name}')
    return known

  def persistent_load(self, reference: Any) -> NoReturn:
    raise _Refused(f'the persistent object {reference!r}')


class _Piece:
  """Part of an array; takes the place of NumPy's own objects in a pickle."""

  __slots__ = ('state', 'value')

  def __init__(self, *arguments):
    self.state = None
    self.value = arguments

  def __setstate__(self, state):
    self.state = state


class _Dtype(_Piece):
  """`dtype(code, align, copy)`, whose state tells the byte order."""

  def dtype(self) -> np.dtype:
    code = self.value[0]
    if not isinstance(code, str) or not _DTYPE.fullmatch(code):
      raise _Refused(f'an array of {code!r}')
    if self.state is None:
      return np.dtype(code)
    order, *parts = self.state[1:5]
    if any(part is not None for part in parts):
      raise _Refused('an array of records')
    return np.dtype(code).newbyteorder(order)


class _Array(_Piece):
  """`_reconstruct(ndarray, (0,), b'b')`, whose state is the array."""

  def array(self) -> np.ndarray:
    _, shape, dtype, is_fortran, content = self.state
    return _array(dtype, shape, 'F' if is_fortran else 'C', content)


class _Buffer(_Piece):
  """`_frombuffer(content, dtype, shape, order)` of protocol 5."""

  def array(self) -> np.ndarray:
    content, dtype, shape, order = self.value
    return _array(dtype, shape, order, content)


class _Scalar(_Piece):
  """`scalar(dtype, content)`: one number of NumPy's."""

  def array(self) -> Any:
    return _array(self.value[0], (), 'C', self.value[1])[()]


class _Bytes(_Piece):
  """`_codecs.encode(text, 'latin1')` or `bytes()`, as of protocols below 3."""

  def array(self) -> bytes:
    if not self.value:
      return b''
    text, encoding = self.value
    if encoding != 'latin1':
      raise _Refused(f'text encoded as {encoding!r}')
    return text.encode('latin1')


_KNOWN = {
  ('_codecs', 'encode'): _Bytes,
  ('__builtin__', 'bytes'): _Bytes,
  ('numpy', 'dtype'): _Dtype,
  # Only ever the first argument of `_reconstruct`.
  ('numpy', 'ndarray'): _Piece,
  ('numpy._core.multiarray', '_reconstruct'): _Array,
  ('numpy._core.multiarray', 'scalar'): _Scalar,
  ('numpy._core.numeric', '_frombuffer'): _Buffer,
}


def _array(dtype: _Dtype, shape: Any, order: str, content: Any) -> np.ndarray:
  dtype, content = dtype.dtype(), _plain(content)
  if dtype.hasobject:
    if not isinstance(content, list):
      raise _Refused('an array of objects that are not listed')
    array = np.empty(len(content), object)
    array[:] = content
  else:
    if isinstance(content, str):
      content = content.encode('latin1')
    # Shares its memory: films in such files are large. So it is read-only.
    array = np.frombuffer(content, dtype)
  return array.reshape(shape, order=order)


def _plain(content: Any) -> Any:
  """The content with arrays and dtypes in place of each `_Piece`."""
  if isinstance(content, dict):
    return {_plain(key): _plain(value) for key, value in content.items()}
  if isinstance(content, list | tuple):
    return type(content)(map(_plain, content))
  if isinstance(content, _Dtype):
    return content.dtype()
  if isinstance(content, _Piece):
    return content.array()
  return content
