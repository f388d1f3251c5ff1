"""Damage to files: of their bytes, and of what archives and JSON hold."""

import gzip
import io
import json
import os
import pickle
import struct
import zipfile
import zlib

import msgpack
import numpy as np

# What no reader expects, wherever a number or a text should be.
_ODD_VALUES = (
  *(None, True, False, 0, -1, 1, 2, 3, 0.5, 1e308, 10**12, 2**63, 10**400),
  *(float('nan'), float('inf'), -float('inf')),
  *('', ' ', '-1', '٣', 'nan', '../../x', '/dev/zero', 'os:system', 'a\0b'),
  *('\ud800', 'ü' * 50, 'x' * 200_000, '9' * 5000, '0:30', '1,5', '\r\n'),
  *([], {}, [[]], [0], [-1, 2.5], ['a'], [1, 'a', None], {'a': 1}, {'': None}),
)
_ODD_CELLS = tuple(v for v in _ODD_VALUES if isinstance(v, str)) + (
  *('1e999', '-5', '5.5', '99999999999', '1_000', '"', '"a', ',', ';', '\t'),
)
_INTEGERS = (0, 1, 2, 0x7F, 0x7FFF, 0x7FFFFFFF, 2**62, 2**63 - 1, -1, -(2**31))


def mutate(name: str, content: bytes, rng: np.random.Generator) -> bytes:
  """A damaged file.

  Args:
    name: its suffix tells what can be damaged inside of it.
    content: the sound file.
    rng: decides all.
  """
  suffix = os.path.splitext(name)[1]
  inside = {
    '.json': _mutate_json,
    '.jsonl': _mutate_lines,
    '.csv': _mutate_table,
    '.txt': _mutate_table,
    '.gz': _mutate_gzip,
    '.npz': _mutate_zip,
    '.safetensors': _mutate_safetensors,
    '.array_record': _mutate_records,
  }.get(suffix)
  if suffix in ('.pth', '.bin', '.pt'):
    inside = _mutate_zip if content[:2] == b'PK' else _mutate_pickle
  if inside is None or rng.random() < 0.35:
    return mutate_bytes(content, rng)
  return inside(content, rng)


def mutate_bytes(content: bytes, rng: np.random.Generator) -> bytes:
  """One to three kinds of damage that know nothing of the format."""
  for _ in range(rng.choice([1, 1, 1, 2, 3])):
    content = _choice(rng, _DAMAGES)(content, rng)
  return content


def _choice(rng, values):
  return values[rng.integers(len(values))]


def _place(content: bytes, rng) -> int:
  """Anywhere, or, as headers are small, near one of the ends."""
  size = max(len(content), 1)
  place = rng.integers(size)
  if rng.random() < 0.5:
    near = rng.integers(min(size, 256))
    place = near if rng.random() < 0.6 else size - 1 - near
  return int(place)


def _length(content: bytes, rng) -> int:
  return int(min(len(content), 2 ** rng.uniform(0, 14)))


def _flip_bits(content, rng):
  content = bytearray(content)
  for _ in range(rng.choice([1, 1, 2, 8, 64]) if content else 0):
    content[_place(content, rng)] ^= 1 << rng.integers(8)
  return bytes(content)


def _cut_end(content, rng):
  return content[: _place(content, rng)]


def _cut_front(content, rng):
  return content[_place(content, rng) :]


def _zero(content, rng):
  place, length = _place(content, rng), _length(content, rng)
  run = content[place : place + length]
  return content[:place] + bytes(len(run)) + content[place + length :]


def _delete(content, rng):
  place = _place(content, rng)
  return content[:place] + content[place + _length(content, rng) :]


def _double(content, rng):
  place = _place(content, rng)
  end = place + _length(content, rng)
  return content[:end] + content[place:]


def _swap(content, rng):
  a, b = sorted((_place(content, rng), _place(content, rng)))
  length = min(_length(content, rng), b - a)
  first, second = content[a : a + length], content[b : b + length]
  between = content[a + length : b]
  return content[:a] + second + between + first + content[b + length :]


def _insert(content, rng):
  place = _place(content, rng)
  return content[:place] + rng.bytes(rng.integers(1, 64)) + content[place:]


def _set_integer(content, rng):
  """Where a size stands, perhaps: 0, the largest, a negative one."""
  place = _place(content, rng)
  form = _choice(rng, ('<b', '<h', '<i', '<q', '>h', '>i', '>q'))
  limit = 256 ** struct.calcsize(form)
  value = (_choice(rng, _INTEGERS) + limit // 2) % limit - limit // 2
  packed = struct.pack(form, value)
  return content[:place] + packed + content[place + len(packed) :]


_DAMAGES = (
  *(_flip_bits, _flip_bits, _flip_bits, _set_integer, _set_integer),
  *(_cut_end, _cut_front, _zero, _delete, _double, _swap, _insert),
)


def _mutate_json(content: bytes, rng) -> bytes:
  if rng.random() < 0.08:
    return _choice(rng, _ODD_DOCUMENTS)
  value = json.loads(content)
  for _ in range(rng.choice([1, 1, 1, 2, 4])):
    value = _change_node(value, rng)
  text = json.dumps(value)
  if rng.random() < 0.05:
    text = text.replace('": ', '": 1, "again": ', 1)
  encoding = _choice(rng, ('utf-8',) * 12 + ('utf-16', 'latin-1', 'utf-8-sig'))
  return text.encode(encoding, 'replace')


_ODD_DOCUMENTS = (
  *(b'', b'null', b'[]', b'{}', b'0', b'""', b'NaN', b'[{}]', b'{"a": 1}'),
  *(b'[' * 100_000, b'{"a":' * 100_000, b'[' * 9000 + b']' * 9000),
  *(b'1' * 10_000, b'\xff\xfe', b'\x00' * 100, b'{"a": 1}{"a": 1}'),
)


def _change_node(value, rng):
  """The tree with one node changed, left out, doubled or renamed."""
  at_end = not isinstance(value, dict | list) or not value
  if at_end or rng.random() < 0.15:
    return _choice(rng, _ODD_VALUES)
  keys = list(value) if isinstance(value, dict) else range(len(value))
  key = _choice(rng, keys)
  value = dict(value) if isinstance(value, dict) else list(value)
  action = rng.random()
  if action < 0.12:
    del value[key]
  elif action < 0.2 and isinstance(value, dict):
    value[str(_choice(rng, _ODD_CELLS))[:99]] = value.pop(key)
  elif action < 0.28:
    value[key] = value[_choice(rng, keys)]
  else:
    value[key] = _change_node(value[key], rng)
  return value


def _mutate_lines(content: bytes, rng) -> bytes:
  lines = content.split(b'\n')
  number = rng.integers(len(lines))
  if lines[number].strip():
    lines[number] = _mutate_json(lines[number], rng)
  return b'\n'.join(lines)


def _mutate_table(content: bytes, rng) -> bytes:
  """Other cells, separators, line ends and encodings."""
  text = content.decode()
  separator = ',' if ',' in text else ' '
  rows = [line.split(separator) for line in text.splitlines()]
  for _ in range(rng.choice([1, 1, 2, 3])):
    row = _choice(rng, rows)
    action = rng.random()
    if action < 0.6 and row:
      row[rng.integers(len(row))] = _choice(rng, _ODD_CELLS)
    elif action < 0.7 and row:
      del row[rng.integers(len(row))]
    elif action < 0.8:
      row.append(_choice(rng, _ODD_CELLS))
    elif action < 0.9:
      separator = _choice(rng, (',', ' ', ';', '\t', ', '))
    else:
      rows.insert(rng.integers(len(rows)), [])
  end = _choice(rng, ('\n', '\n', '\n', '\r\n', '\r'))
  text = end.join(separator.join(row) for row in rows)
  encoding = _choice(rng, ('utf-8',) * 6 + ('utf-16', 'latin-1', 'utf-8-sig'))
  return text.encode(encoding, 'replace')


def _mutate_gzip(content: bytes, rng) -> bytes:
  text = gzip.decompress(content)
  if rng.random() < 0.02:
    return content[:10] + _bomb(text[:50])
  change = _mutate_table if rng.random() < 0.6 else mutate_bytes
  return gzip.compress(change(text, rng), mtime=0)


_BOMB_BYTES = 3 * 2**29


def _bomb(begin: bytes) -> bytes:
  """A start and then 1.5 GiB of zeros, deflated to 1.5 MiB."""
  packer = zlib.compressobj(9, zlib.DEFLATED, -15)
  begin = packer.compress(begin) + packer.flush(zlib.Z_FULL_FLUSH)
  piece = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
  return begin + piece * (_BOMB_BYTES // 2**20) + packer.flush()


def _mark_deflated(content: bytes, name: str) -> bytes:
  """An archive that says of a stored member that it is a bomb."""
  marked = bytearray(content)
  for place, method_at, size_at in (
    (content.find(name.encode()) - 30, 8, 22),
    (content.rfind(name.encode()) - 46, 10, 24),
  ):
    struct.pack_into('<H', marked, place + method_at, zipfile.ZIP_DEFLATED)
    struct.pack_into('<I', marked, place + size_at, _BOMB_BYTES)
  return bytes(marked)


def _mutate_zip(content: bytes, rng) -> bytes:
  """Sound archives of damaged members, and whatever else zip files may be."""
  with zipfile.ZipFile(io.BytesIO(content)) as archive:
    comment = archive.comment
    members = {i.filename: archive.read(i) for i in archive.infolist()}
  name = _choice(rng, list(members))
  if 'data.pkl' in ' '.join(members) and rng.random() < 0.6:
    name = next(name for name in members if name.endswith('data.pkl'))
  compression, action = zipfile.ZIP_STORED, rng.random()
  bomb = None
  if action < 0.02:
    bomb = name
    members[name] = _bomb(members[name][:128])
  elif action < 0.06:
    del members[name]
  elif action < 0.1:
    members[_choice(rng, ('', '/', '../x.npy', 'a', 'ü.npy', 'a.npy'))] = (
      members.pop(name)
    )
  elif action < 0.14:
    compression = _choice(
      rng, (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    )
  elif action < 0.22 and comment:
    comment = _mutate_json(comment, rng)[:65535]
  elif name.endswith('.npy'):
    members[name] = _mutate_npy(members[name], rng)
  elif name.endswith('.pkl'):
    members[name] = _mutate_pickle(members[name], rng)
  else:
    members[name] = mutate_bytes(members[name], rng)
  buffer = io.BytesIO()
  with zipfile.ZipFile(buffer, 'w', compression, compresslevel=1) as archive:
    for member, data in members.items():
      archive.writestr(zipfile.ZipInfo(member), data, compression)
    archive.comment = comment
  content = buffer.getvalue()
  if bomb:
    content = _mark_deflated(content, bomb)
  if rng.random() < 0.1:
    # Flags (encrypted), methods that nobody knows, versions of the future.
    place = content.find(b'PK\x01\x02', rng.integers(len(content)))
    field = _choice(rng, (6, 8, 10, 20, 24, 42))
    if place >= 0:
      value = struct.pack('<H', _choice(rng, (0, 1, 8, 9, 99, 255, 0xFFFF)))
      content = content[: place + field] + value + content[place + field + 2 :]
  return content


def _mutate_npy(content: bytes, rng) -> bytes:
  """Another header, as Python text, or another array of a strange type."""
  if rng.random() < 0.3:
    return mutate_bytes(content, rng)
  if rng.random() < 0.4:
    buffer = io.BytesIO()
    np.save(buffer, _choice(rng, _odd_arrays()), allow_pickle=True)
    return buffer.getvalue()
  header_end = 10 + struct.unpack('<H', content[8:10])[0]
  header = content[10:header_end].decode()
  old, new = _choice(rng, _HEADER_CHANGES)
  header = (header.replace(old, new, 1) if old else new).rstrip() + '\n'
  head = content[:8] + struct.pack('<H', len(header)) + header.encode()
  return head + content[header_end:]


_HEADER_CHANGES = (
  *(('(', '(1000000000000, '), ('(', '(-1, '), ('(', '(99999, 99999, ')),
  *(('(', '(0, '), ('(', '(1, '), ('(', '('), ('(', '(1e3, '), ('(', "('a', ")),
  *(("'<f4'", "'|O'"), ("'<f4'", "'>f4'"), ("'<f4'", "'<U9'")),
  *(("'<f4'", "'<M8[s]'"), ("'<f4'", "[('a', '<f4')]"), ("'<f4'", "'<c8'")),
  *(("'<f4'", "'|b1'"), ("'<f4'", "'<f2'"), ("'<f4'", '12'), ("'<f4'", '0')),
  *(('False', 'True'), ('False', 'None'), ("'shape'", "'shap'"), ('}', '')),
  *(('', '__import__("os").abort()'), ('', '(' * 9000), ('', 'x' * 60_000)),
)


def _odd_arrays():
  return (
    np.array([_call('os', 'abort')], object),
    np.array(['a']),
    np.zeros(3, 'M8[s]'),
    np.zeros(2, [('a', 'f4'), ('b', 'i4')]),
    np.zeros((2, 2), complex),
    np.full((3, 4), np.nan, np.float32),
    np.zeros((), np.float32),
    np.zeros((0, 7), np.float32),
    np.zeros((1,) * 30, np.float32),
  )


def _mutate_safetensors(content: bytes, rng) -> bytes:
  [length] = struct.unpack('<Q', content[:8])
  header, data = content[8 : 8 + length], content[8 + length :]
  if rng.random() < 0.15:
    lengths = (0, 1, 2**31, 2**53, 2**63, 2**64 - 1, 100_000_001)
    return struct.pack('<Q', _choice(rng, lengths)) + content[8:]
  if rng.random() < 0.35:
    fields = json.loads(header)
    entry = fields[_choice(rng, [k for k in fields if k != '__metadata__'])]
    old = _choice(rng, (*entry['shape'], *entry['data_offsets']) or (0,))
    dtypes = (*('F64', 'F16', 'BF16', 'F8_E4M3', 'F8_E5M2', 'I64', 'BOOL'),)
    entry |= _choice(
      rng,
      (
        {'dtype': _choice(rng, (*dtypes, *dtypes, 'X', 'F4', 'C64'))},
        {'shape': entry['shape'][::-1]},
        {'shape': [2**32, 2**32]},
        {'shape': [*entry['shape'], 1]},
        {'data_offsets': [old, old]},
        {'data_offsets': entry['data_offsets'][::-1]},
      ),
    )
    header = json.dumps(fields).encode()
  else:
    header = _mutate_json(header, rng)
  return struct.pack('<Q', len(header)) + header + data


def _mutate_records(content: bytes, rng) -> bytes:
  """Sound shards of damaged records."""
  import tempfile

  from array_record.python import array_record_module as library

  with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, 'shard.array_record')
    with open(path, 'wb') as file:
      file.write(content)
    reader = library.ArrayRecordReader(path)
    records = reader.read_all()
    reader.close()
    number = rng.integers(len(records))
    if records[number].startswith(b'\x93NUMPY'):
      records[number] = _mutate_npy(records[number], rng)
    elif rng.random() < 0.5:
      records[number] = mutate_bytes(records[number], rng)
    else:
      fields = msgpack.unpackb(records[number])
      key = _choice(rng, list(fields))
      if isinstance(fields[key], bytes):
        fields[key] = mutate_bytes(fields[key], rng)
      elif rng.random() < 0.3:
        del fields[key]
      else:
        odd = _choice(rng, _ODD_VALUES[:11] + _ODD_VALUES[16:19])
        fields[key] = odd if rng.random() < 0.8 else [odd]
      records[number] = msgpack.packb(fields)
    writer = library.ArrayRecordWriter(path, 'group_size:1,uncompressed')
    for record in records:
      writer.write(record)
    writer.close()
    with open(path, 'rb') as file:
      return file.read()


class _Global:
  """Pickled as a name of a module that need not be there."""

  def __init__(self, module, name):
    self.module, self.name = module, name


class _Call:
  """Pickled as a call of a `_Global`."""

  def __init__(self, function, arguments):
    self.function, self.arguments = function, arguments


def _call(module, name, *arguments):
  return _Call(_Global(module, name), arguments)


class _Pickler(pickle._Pickler):
  """Writes names and calls without having, or calling, what they name."""

  def save(self, value, save_persistent_id=True):
    if isinstance(value, _Global):
      self.write(f'c{value.module}\n{value.name}\n'.encode())
    elif isinstance(value, _Call):
      self.save(value.function)
      self.save(value.arguments)
      self.write(pickle.REDUCE)
    else:
      super().save(value, save_persistent_id)


def _pickled(value, protocol=2) -> bytes:
  buffer = io.BytesIO()
  _Pickler(buffer, protocol).dump(value)
  return buffer.getvalue()


# A program that runs leaves this file; the worker looks for it.
CANARY = 'canary'
_LEAVE = f'open({CANARY!r}, "w").close()'


def attacks() -> list[bytes]:
  """Pickles that run a program, or try to, in any reader that lets them."""
  shell = f'touch {CANARY}'
  calls = [
    _call('os', 'system', shell),
    _call('posix', 'system', shell),
    _call('subprocess', 'check_output', ['touch', CANARY]),
    _call('builtins', 'exec', _LEAVE),
    _call('__builtin__', 'eval', _LEAVE),
    _call('builtins', 'open', CANARY, 'w'),
    _call('builtins', '__import__', 'os'),
    _call('pathlib', 'Path.touch', CANARY),
    _call('torch', 'load', CANARY),
    _call('torch._utils', '_rebuild_tensor_v2.__globals__', CANARY),
    _call('torch.hub', 'load', CANARY),
    _call('numpy', 'load', CANARY, None, True),
    _call('codecs', 'open', CANARY, 'w'),
    _call('collections', 'OrderedDict', [(_call('os', 'system', shell), 1)]),
    _call('runpy', '_run_code', _LEAVE, {}),
  ]
  documents = [_pickled({'model': call}) for call in calls]
  documents += [_pickled(call) for call in calls[:4]]
  documents += [
    # INST, OBJ, STACK_GLOBAL with dots, and BUILD with a state that calls.
    f'(S{shell!r}\nios\nsystem\n.'.encode(),
    f'(cos\nsystem\nS{shell!r}\no.'.encode(),
    b'\x80\x04\x8c\x05torch\x8c\x10_utils.os.system\x93\x8c\x0c'
    + shell.encode()
    + b'\x85R.',
    b'\x80\x02ccollections\nOrderedDict\n)R}U\x0c__setstate__cos\nsystem\nsb.',
    # What eats memory or depth, with few bytes.
    b'\x80\x02Nr\xff\xff\xff\x7f.',
    b'\x80\x02Nr\xff\xff\xff\x0f.',
    b'\x80\x04\x8e' + struct.pack('<Q', 2**62) + b'a.',
    b'\x80\x04\x95' + struct.pack('<Q', 2**62) + b'N.',
    b'\x80\x02T\xff\xff\xff\x7fa.',
    b'\x80\x02\x8b\xff\xff\xff\x7fa.',
    b'\x80\x02' + b'}U\x05model' * 5000 + b'}' + b's' * 5000 + b'.',
    b'\x80\x02' + b'(' * 100_000 + b't.',
    b'\x80\x02' + b'N' + b'\x85' * 100_000 + b'.',
    # A mapping whose key takes 2^50 steps to hash.
    b'\x80\x02}' + b'N' + b'2\x86' * 50 + b'Ns.',
    b'\x80\x02' + b'ctorch\nSize\n(' + b'K\x01' * 9 + b'tR.',
  ]
  tensor = 'torch._utils', '_rebuild_tensor_v2'
  storages = [
    ('storage', _Global('torch', 'FloatStorage'), '0', 'cpu', 16),
    ('storage', _Global('torch', 'Oops'), '0', 'cpu', 16),
    ('storage', _Global('torch', 'FloatStorage'), '../0', 'cpu', 16),
    (1,),
    None,
    ('storage', _Global('torch', 'FloatStorage'), ['0'], 'cpu', 2**62),
  ]
  views = [
    (0, (2, 2), (2, 1)),
    (0, (2**40,), (0,)),
    (0, (2**31, 2**31), (0, 0)),
    (8, (2, 2), (-(2**40), 1)),
    (8, (9,), (-1,)),
    (-4, (4,), (1,)),
    (0, (-3,), (1,)),
    (0, ('a',), ('b',)),
    (0, (2, 2), (1,)),
    (0, (1.5,), (1,)),
    (None, None, None),
    (2**70, (1,), (1,)),
    (0, (1,) * 80, (1,) * 80),
  ]
  for view in views:
    documents.append(_tensor_pickle(storages[0], tensor, view))
  for storage in storages[1:]:
    documents.append(_tensor_pickle(storage, tensor, views[0]))
  return documents


class _Reference:
  def __init__(self, value):
    self.value = value


class _TensorPickler(_Pickler):
  def persistent_id(self, value):
    return value.value if isinstance(value, _Reference) else None


def _tensor_pickle(storage, function, view) -> bytes:
  buffer = io.BytesIO()
  call = _call(*function, _Reference(storage), *view, False, {})
  names = ('encoder.patch_embed.proj.weight', 'mask_token')
  content = {'model': dict.fromkeys(names, call)}
  _TensorPickler(buffer, 2).dump(content)
  return buffer.getvalue()


def _mutate_pickle(content: bytes, rng) -> bytes:
  if rng.random() < 0.4:
    attack = _choice(rng, attacks())
    if content.startswith(_LEGACY_HEAD):
      return _choice(rng, (attack, _LEGACY_HEAD + attack, attack + content))
    return attack
  return mutate_bytes(content, rng)


# Magic, version and machine of PyTorch before 1.6.
_LEGACY_HEAD = b''.join(
  map(_pickled, (0x1950A86A20F9469CFC6C, 1001, {'little_endian': True}))
)


def legacy_file(content: bytes, storages: dict[str, bytes]) -> bytes:
  """A file of PyTorch before 1.6.

  Args:
    content: pickle of what was saved.
    storages: key -> float32 memory.
  """
  parts = [_LEGACY_HEAD, content, _pickled(list(storages))]
  for memory in storages.values():
    parts += [struct.pack('<q', len(memory) // 4), memory]
  return b''.join(parts)


def stable_seed(text: str) -> int:
  """A number for a text, the same in every process."""
  return zlib.crc32(text.encode())
