"""What a traced program does, counted from its jaxpr; no device is needed.

XLA's own cost analysis counts the body of a loop once, however often it runs.
Here the body of a scan, or of a kernel, counts as often as it is run.
"""

import collections
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn


class ProgramCounts(NamedTuple):
  """Counts of one program.

  Attributes:
    flops: of matrix products and convolutions as they are run, loops unrolled
      and what `remat` computes again included; a multiply-add is two.
    matmuls: matrix products and convolutions in the program's text.
    operations: all operations in the program's text.
    loops: scans and while loops in the program's text.
  """

  flops: int
  matmuls: int
  operations: int
  loops: int


def count(jaxpr: ClosedJaxpr | Jaxpr) -> ProgramCounts:
  """Counts a program, such as `jax.make_jaxpr(f)(*shapes)`.

  Of branches (`cond`) all are counted; a `while` loop, whose length nobody
  knows, counts as one pass.
  """
  totals = collections.Counter()
  for equation, times in walk(jaxpr):
    name = equation.primitive.name
    if not any(_inner(equation.params)):
      totals['operations'] += 1
    if name in _FLOPS:
      totals['matmuls'] += 1
      totals['flops'] += times * _FLOPS[name](equation)
    if name in ('scan', 'while'):
      totals['loops'] += 1
  return ProgramCounts(
    **{field: totals[field] for field in ProgramCounts._fields}
  )


def padded_flops(jaxpr: ClosedJaxpr | Jaxpr, side: int) -> float:
  """FLOPs of matrix products as a matrix unit does them, padding included.

  It keeps a tile of `side` x `side` of one operand and streams rows of the
  other past it, in groups of 8; loading a tile takes as long as streaming the
  rows that it fills. The better way round counts.

  Args:
    jaxpr: of the program; loops count as `count` has them.
    side: of the matrix unit.
  """
  return sum(
    times * _padded_dot_flops(equation, side)
    for equation, times in walk(jaxpr)
    if equation.primitive.name == 'dot_general'
  )


def exponentials(jaxpr: ClosedJaxpr | Jaxpr) -> int:
  """Elements that exp and tanh are taken of; loops count as in `count`."""
  return sum(
    times * math.prod(equation.outvars[0].aval.shape)
    for equation, times in walk(jaxpr)
    if equation.primitive.name in ('exp', 'exp2', 'tanh', 'logistic', 'erf')
  )


def walk(
  jaxpr: ClosedJaxpr | Jaxpr, times: int = 1
) -> Iterator[tuple[JaxprEqn, int]]:
  """Every operation of a program, with how often it is run; see `count`."""
  for equation in getattr(jaxpr, 'jaxpr', jaxpr).eqns:
    yield equation, times
    for body in _inner(equation.params):
      yield from walk(body, times * _num_runs(equation))


def _num_runs(equation: JaxprEqn) -> int:
  """How often an operation runs the programs within it."""
  if equation.primitive.name == 'scan':
    return equation.params['length']
  if equation.primitive.name == 'pallas_call':
    return math.prod(equation.params['grid_mapping'].grid)
  return 1


def _inner(params: dict[str, Any]) -> Iterator[Jaxpr]:
  """The programs within an operation: bodies of loops, calls and branches."""
  for value in params.values():
    for item in value if isinstance(value, list | tuple) else (value,):
      if isinstance(item, ClosedJaxpr):
        yield item.jaxpr
      elif isinstance(item, Jaxpr):
        yield item


def _dot_flops(equation: Any) -> int:
  (contracted, _), _ = equation.params['dimension_numbers']
  left = equation.invars[0].aval.shape
  summed = math.prod(left[axis] for axis in contracted)
  return 2 * math.prod(equation.outvars[0].aval.shape) * summed


def _padded_dot_flops(equation: Any, side: int) -> float:
  (contracted, _), (batch, _) = equation.params['dimension_numbers']
  left = equation.invars[0].aval.shape
  out = equation.outvars[0].aval.shape
  summed = math.prod(left[axis] for axis in contracted)
  groups = math.prod(left[axis] for axis in batch)
  rows = math.prod(left) // (summed * groups)
  columns = math.prod(out) // (rows * groups)

  def streamed(rows, kept):
    # Small products of a batch share a tile, along its diagonal.
    together = max(1, side // max(summed, kept))
    loads = -(-groups // together)
    filled = min(side, _up(together * summed, 8))
    tiles = _up(together * summed, side) * _up(together * kept, side)
    return loads * max(_up(rows, 8), filled) * tiles

  return 2.0 * min(streamed(rows, columns), streamed(columns, rows))


def _up(number: int, multiple: int) -> int:
  return -(-number // multiple) * multiple


def _convolution_flops(equation: Any) -> int:
  kernel = equation.invars[1].aval.shape
  out_features = equation.params['dimension_numbers'].rhs_spec[0]
  per_output = math.prod(kernel) // kernel[out_features]
  return 2 * math.prod(equation.outvars[0].aval.shape) * per_output


_FLOPS = {
  'dot_general': _dot_flops,
  'conv_general_dilated': _convolution_flops,
}
