"""Operations of a program compiled for TPUs, and the bytes that they move."""

import functools
import math
import re
from typing import NamedTuple

from rvmae_jax.tools.planning.program import (
  ITEM_BYTES,
  called_functions,
  functions_of,
  lines_as_run,
)

_OPERATION = re.compile(r'^\s+(ROOT )?%([\w.-]+) = (.*?) ([a-z][\w-]*)\((.*)$')
_NAME = re.compile(r'%([\w.-]+)')
_PARAMETER = re.compile(r' parameter\((\d+)\)')
_CALLS = re.compile(r'\bcalls=%?([\w.-]+)')
# Type, shape and layout: bf16[8,257,384]{2,1,0:T(8,128)(2,1)S(1)}.
_ARRAY = re.compile(r'\b([a-z]+\d*\w*)\[([\d,]*)\](?:\{([^}]*)\})?')
_TILE = re.compile(r'T\(([\d,]+)\)')
# Memory that is not the chip's large one.
_NEAR = re.compile(r'S\([1-9]\)')
# A name for memory that later operations fill.
_ALLOCATION = 'custom_call_target="AllocateBuffer"'
# Scratch memory of library calls on GPUs, which take as much as is free.
_SCRATCH = re.compile(r', [su]8\[\d+\]\{0\}\)$')
# What differs between two operations that are otherwise the same.
_INDIVIDUAL = re.compile(
  r'%[\w.-]+|, metadata=\{[^{}]*\}|, control-predecessors=\{[^{}]*\}|ROOT '
)
# Operations that they call are listed, and counted, by themselves.
_CONTROL = {'while', 'conditional', 'call', 'async-start'}
_WITHOUT_TRAFFIC = {
  *_CONTROL,
  *('parameter', 'constant', 'tuple', 'get-tuple-element', 'bitcast'),
  *('after-all', 'partition-id'),
}
_ENDS = ('-done', '-update')
_START = '-start'
_SLICES = ('dynamic-slice', 'slice', 'gather')


def array_bytes(types: str) -> int:
  """Bytes in slow memory of the arrays of a type, padding of tiles included."""
  return sum(
    _array_bytes(*array)
    for array in _ARRAY.findall(types)
    if not _NEAR.search(array[2])
  )


def _padded_bytes(types: str) -> int:
  """Bytes of the arrays of a type in any memory, padding included."""
  return sum(_array_bytes(*array) for array in _ARRAY.findall(types))


def _array_bytes(dtype: str, shape: str, layout: str) -> int:
  """Bytes with padding: f32[8,257]{1,0:T(8,128)} takes 8 x 384 x 4."""
  sizes = [int(n) for n in shape.split(',') if n]
  order, _, tiling = layout.partition(':')
  # From the slowest axis to the fastest, as the tile is written.
  axes = [int(n) for n in order.split(',') if n][::-1]
  sizes = [sizes[axis] for axis in axes] if axes else sizes
  found = _TILE.search(tiling)
  tile = [int(n) for n in found[1].split(',')] if found else []
  first = max(len(sizes) - len(tile), 0)
  for axis in range(first, len(sizes)):
    side = tile[axis - len(sizes)]
    sizes[axis] = -(-sizes[axis] // side) * side
  return ITEM_BYTES.get(dtype, 0) * math.prod(sizes)


class Operation(NamedTuple):
  """One operation.

  Attributes:
    name: unique in a program.
    result: its type, as XLA writes it; of several results all of them.
    opcode: such as 'fusion'.
    operands: names of operations.
    text: the whole line.
    times: how often it is run.
  """

  name: str
  result: str
  opcode: str
  operands: tuple[str, ...]
  text: str
  times: int

  @property
  def is_asynchronous(self) -> bool:
    """Whether it goes on beside those that follow."""
    return self.opcode.endswith(_START)


class Operations:
  """What a program runs one after the other; fusions count as one operation."""

  def __init__(self, program: str):
    """From `compiled.as_text()`; ValueError if it is no compiled program."""
    self._functions = {
      name: [_parse(line, 0) for line in lines if _OPERATION.match(line)]
      for name, lines in functions_of(program)[0].items()
    }
    self._by_name = {
      operation.name: operation
      for operations in self._functions.values()
      for operation in operations
    }
    fused = {
      name
      for operations in self._functions.values()
      for operation in operations
      if operation.opcode not in _CONTROL
      for name in called_functions(operation.text)
    }
    self.as_run = [
      _parse(line.text, line.times)
      for line in lines_as_run(program)
      if line.function not in fused and _OPERATION.match(line.text)
    ]

  def moved_bytes(self, operation: Operation) -> int:
    """Bytes that one run of an operation reads and writes in slow memory.

    Arrays count with the padding of their tiles; what a fusion only takes a
    slice of, or writes one of in place, counts with the slice.
    """
    if operation.opcode in _WITHOUT_TRAFFIC or operation.opcode.endswith(_ENDS):
      return 0
    if _ALLOCATION in operation.text:
      return 0
    if operation.is_asynchronous:
      # Its result holds operand and result, of which one is in slow memory, or
      # both.
      return array_bytes(operation.result)
    operands = [self._by_name.get(name) for name in operation.operands]
    read = [array_bytes(o.result) if o else 0 for o in operands]
    written = array_bytes(_SCRATCH.sub(')', operation.result))
    called = _CALLS.search(operation.text)
    if called and operation.opcode == 'fusion':
      return self._fusion_bytes(called[1], read, written)
    if operation.opcode in _SLICES:
      return 2 * written
    if operation.opcode == 'dynamic-update-slice':
      return 2 * read[1]
    return sum(dict(zip(operation.operands, read)).values()) + written

  def _fusion_bytes(self, name: str, read: list[int], written: int) -> int:
    used, in_place = self._use(name)
    total = sum(
      whole if part is None else min(part, whole)
      for whole, part in zip(read, used)
    )
    return total + (written if in_place is None else min(in_place, written))

  @functools.cache  # noqa: B019, lives as long as the program
  def _use(self, name: str) -> tuple[list[int | None], int | None]:
    """Bytes that a fusion reads of each parameter and writes in place.

    None is the whole.
    """
    operations = self._functions[name]
    parameters = {
      int(found[1]): operation.name
      for operation in operations
      if (found := _PARAMETER.search(operation.text))
    }
    parts = [
      self._read(operations, parameters[number])
      for number in sorted(parameters)
    ]
    root = next(o for o in operations if o.text.lstrip().startswith('ROOT'))
    return parts, self._written(operations, root)

  def _read(self, operations: list[Operation], name: str) -> int | None:
    """Bytes of a value that operations take slices of; None if all of it."""
    total = 0
    for user in operations:
      if name not in user.operands:
        continue
      if user.opcode == 'bitcast':
        part = self._read(operations, user.name)
      elif user.opcode in _SLICES and user.operands[0] == name:
        part = _padded_bytes(user.result)
      elif user.opcode == 'dynamic-update-slice' and user.operands[0] == name:
        part = 0
      elif user.opcode == 'fusion':
        index = user.operands.index(name)
        part = self._use(_CALLS.search(user.text)[1])[0][index]
      else:
        part = None
      if part is None:
        return None
      total += part
    return total

  def _written(
    self, operations: list[Operation], root: Operation
  ) -> int | None:
    """Bytes of a result that is written in place; None if all of it is."""
    within = {operation.name: operation for operation in operations}
    if root.opcode == 'bitcast':
      return self._written(operations, within[root.operands[0]])
    if root.opcode == 'dynamic-update-slice':
      return _padded_bytes(within[root.operands[1]].result)
    if root.opcode == 'fusion':
      return self._use(_CALLS.search(root.text)[1])[1]
    if root.opcode == 'tuple':
      parts = [
        (self._written(operations, part), _padded_bytes(part.result))
        for part in (within[name] for name in root.operands)
      ]
      if all(part is None for part, _ in parts):
        return None
      return sum(whole if part is None else part for part, whole in parts)
    return None

  def fingerprint(self, operation: Operation) -> tuple[str, ...]:
    """Equal for operations that the compiler makes the same machine code of."""
    operands = (self._by_name.get(name) for name in operation.operands)
    types = (operand.result if operand else '' for operand in operands)
    return (
      _INDIVIDUAL.sub('', operation.text),
      *types,
      *self._body(operation),
    )

  def _body(self, operation: Operation) -> tuple[str, ...]:
    called = _CALLS.search(operation.text)
    if not called:
      return ()
    return self._lines(called[1])

  @functools.cache  # noqa: B019, lives as long as the program
  def _lines(self, name: str) -> tuple[str, ...]:
    lines = []
    for operation in self._functions.get(name, ()):
      lines.append(_INDIVIDUAL.sub('', operation.text))
      lines += self._body(operation)
    return tuple(lines)


def _parse(line: str, times: int) -> Operation:
  _, name, result, opcode, rest = _OPERATION.match(line).groups()
  operands = tuple(_NAME.findall(rest.partition(')')[0]))
  return Operation(name, result, opcode, operands, line, times)
