"""The text of a compiled XLA program: its lines, and how often each is run."""

import collections
import re
from typing import NamedTuple

# Of one number, by the name that XLA has for its type.
ITEM_BYTES = {
  **dict.fromkeys(('pred', 's8', 'u8', 'f8e4m3fn', 'f8e5m2'), 1),
  **dict.fromkeys(('s16', 'u16', 'f16', 'bf16'), 2),
  **dict.fromkeys(('s32', 'u32', 'f32'), 4),
  **dict.fromkeys(('s64', 'u64', 'f64', 'c64'), 8),
}

_FUNCTION = re.compile(r'^(ENTRY )?%?([\w.-]+) .*\{$')
_CALLED = re.compile(
  r'(?:body|calls|to_apply|called_computations=\{|true_computation|'
  r'false_computation|branch_computations=\{)=?%?([\w.-]+)'
)
_TRIPS = re.compile(r'known_trip_count":\{"n":"(\d+)"')
_CONDITION = re.compile(r'\bcondition=%?([\w.-]+)')
_LIMIT = re.compile(r' s32\[\]\S* constant\((\d+)\)')


class Line(NamedTuple):
  """One operation.

  Attributes:
    text: as XLA writes it.
    times: how often it is run.
    function: name of the function that it stands in.
  """

  text: str
  times: int
  function: str


def lines_as_run(program: str) -> list[Line]:
  """Every line that is run, and how often; loops count as often as they turn.

  Args:
    program: `compiled.as_text()`. A loop whose length cannot be read from it
      counts once.

  Raises:
    ValueError: the text is no compiled program.
  """
  functions, entry = functions_of(program)
  times = collections.Counter()

  def visit(name: str, factor: int) -> None:
    times[name] += factor
    for line in functions[name]:
      called = [name for name in called_functions(line) if name in functions]
      if called:
        inner = factor * _turns(line, functions)
        for name in called:
          visit(name, inner)

  visit(entry, 1)
  return [
    Line(line, times[name], name)
    for name, lines in functions.items()
    for line in lines
    if times[name]
  ]


def called_functions(line: str) -> list[str]:
  """Names of what the operation of a line runs; not of a loop's condition."""
  return _CALLED.findall(line)


def _turns(line: str, functions: dict[str, list[str]]) -> int:
  """How often the loop of a line turns; 1 if it is none.

  XLA writes it down for CPUs and GPUs. For TPUs it stands in the condition,
  which compares a count from zero with a constant.
  """
  known = _TRIPS.search(line)
  if known:
    return int(known[1])
  condition = _CONDITION.search(line)
  if not condition:
    return 1
  lines = functions.get(condition[1], [])
  limits = _LIMIT.findall('\n'.join(lines))
  is_count = any('direction=LT' in line for line in lines)
  return int(limits[0]) if is_count and len(limits) == 1 else 1


def functions_of(program: str) -> tuple[dict[str, list[str]], str]:
  """Lines of each function of a program, and the name of the first to run."""
  functions, entry, current = {}, '', []
  for line in program.splitlines():
    start = _FUNCTION.match(line)
    if start:
      current = functions.setdefault(start[2], [])
      entry = start[2] if start[1] else entry
    elif line.startswith(' '):
      current.append(line)
  if not entry:
    raise ValueError('The text is no compiled XLA program: it has no ENTRY.')
  return functions, entry
