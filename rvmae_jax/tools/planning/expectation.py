"""Time that the TPU compiler expects a step to take, by part of the network."""

import collections
import re

from rvmae_jax.tools.planning.program import lines_as_run

OPTIMIZER = 'optimizer'
REST = 'rest'
# What takes less than this share is told together.
_SMALL = 0.02
_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')
_NAME = re.compile(r'op_name="([^"]*)"')
# In the name of an operation, what comes after the network's own scope.
_NETWORK = re.compile(r'jvp\((\w*)\)\)?/(.*)')
# Not modules, but how JAX ran them.
_WRAPPERS = ('checkpoint', 'rematted_computation', 'closed_call')


def expected_seconds(program: str, clock_hz: float) -> dict[str, float]:
  """Seconds of each part, the longest first; empty if the text has none.

  The compiler writes the cycles that it expects beside each operation. That is
  no measurement: copies that run meanwhile, exchanges between chips and custom
  kernels have no number. Large matrix products come out at 70 to 97 % of the
  peak, so the unit is right.

  Args:
    program: `compiled.as_text()`, of a training step.
    clock_hz: of the chip.

  Returns:
    Part -> seconds. A part is a top-level module of the network, forward and
    backward together; 'optimizer' is what follows the gradient; 'rest' is what
    is small, or has no name.
  """
  cycles = collections.Counter()
  for line in lines_as_run(program):
    found = _CYCLES.search(line.text)
    if found:
      name = _NAME.search(line.text)
      cycles[_part(name[1] if name else '')] += line.times * int(found[1])
  total = sum(cycles.values())
  parts = collections.Counter()
  for part, number in cycles.items():
    parts[part if number >= _SMALL * total else REST] += number / clock_hz
  return dict(parts.most_common())


def _part(name: str) -> str:
  """'jit(step)/jvp(RVM)/RVM._decode/decoder/blocks/add' -> 'decoder'."""
  found = _NETWORK.search(name)
  if not found:
    return OPTIMIZER if name else REST
  network, path = found.groups()
  for scope in path.split('/')[:-1]:
    module = scope.partition('.')[0]
    if module not in (network, *_WRAPPERS) and module.isidentifier():
      return module
  return REST
