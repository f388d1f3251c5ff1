"""What a compiled program sends over the network, read from XLA's own text."""

import collections
import dataclasses
import math
import re

from rvmae_jax.tools.planning.program import (
  ITEM_BYTES,
  Line,
  lines_as_run,
)

KINDS = (
  'all-reduce',
  'all-gather',
  'reduce-scatter',
  'all-to-all',
  'collective-permute',
)
_ARRAY = re.compile(r'\b([a-z]+\d*\w*)\[([\d,]*)\]')
_OPERATION = re.compile(
  rf'^\s+(?:ROOT )?%?[\w.-]+ = (.*?) ({"|".join(KINDS)})(-start)?\((.*)$'
)
_CHANNEL = re.compile(r'\bchannel_id=(\d+)')
# For TPUs, a function of an all-reduce and the slice that is kept of it.
_REDUCE_SCATTER = re.compile(r'all-reduce-scatter\b')


@dataclasses.dataclass(frozen=True)
class Collective:
  """One kind of exchange among groups of one size, over a whole step.

  Attributes:
    kind: one of `KINDS`.
    group_size: devices that take part in one exchange.
    count: how often it is run.
    num_bytes: of all of them, as one device holds the whole result (or, of
      reduce-scatter, the whole input).
  """

  kind: str
  group_size: int
  count: int
  num_bytes: int

  @property
  def sent_bytes(self) -> float:
    """What each device has to send at least, on a ring."""
    others = (self.group_size - 1) / self.group_size
    if self.kind == 'all-reduce':
      return 2 * others * self.num_bytes
    if self.kind == 'collective-permute':
      return self.num_bytes
    return others * self.num_bytes


def find_collectives(program: str) -> list[Collective]:
  """Every exchange in a compiled program, loops counted as often as they run.

  Args:
    program: `compiled.as_text()`. A loop whose length XLA does not know counts
      once.

  Returns:
    One entry a kind and group size, the largest first.
  """
  counts, sizes = collections.Counter(), collections.Counter()
  for line in _exchanges(program):
    result, kind, start, rest = _OPERATION.match(line.text).groups()
    group = _group_size(kind, rest)
    if group > 1:
      num_bytes = _num_bytes(kind, bool(start), result, group)
      if _REDUCE_SCATTER.match(line.function):
        kind = 'reduce-scatter'
      counts[kind, group] += line.times
      sizes[kind, group] += line.times * num_bytes
  return [
    Collective(*key, counts[key], num_bytes)
    for key, num_bytes in sizes.most_common()
  ]


def _exchanges(program: str) -> list[Line]:
  """The line of each exchange.

  For TPUs an exchange that goes on beside other work is written down in every
  fusion that it accompanies, loops' bodies among them, under one channel. Its
  start and its end are run once each, so the smallest number is its own.
  """
  channels = {}
  for index, line in enumerate(lines_as_run(program)):
    if _OPERATION.match(line.text):
      found = _CHANNEL.search(line.text)
      channel = found[1] if found else ('none', index)
      known = channels.setdefault(channel, line)
      channels[channel] = min(known, line, key=lambda line: line.times)
  return list(channels.values())


def _num_bytes(kind: str, is_start: bool, result: str, group_size: int) -> int:
  """Of the larger side of an exchange."""
  sizes = [
    ITEM_BYTES.get(dtype, 0) * math.prod(int(n) for n in shape.split(',') if n)
    for dtype, shape in _ARRAY.findall(result)
  ]
  total = sum(sizes)
  # What starts an asynchronous exchange has its operands in its result, too,
  # except for all-reduce.
  if is_start and kind in ('all-gather', 'reduce-scatter'):
    return total * group_size // (group_size + 1)
  if is_start and kind == 'all-to-all':
    return total // 2
  if is_start and kind == 'collective-permute':
    return max(sizes, default=0)
  return total * group_size if kind == 'reduce-scatter' else total


def _group_size(kind: str, rest: str) -> int:
  """Devices in a group, which XLA writes in three ways.

  [2,4]<=[8]; {{0,1,2,3},{4,5,6,7}}; mesh['x'=2,'y'=4] {'y'}, where a part of an
  axis is 'y':(1)2.
  """
  if kind == 'collective-permute':
    return 2
  shape = re.search(r'replica_groups=\[(\d+),(\d+)\]', rest)
  if shape:
    return int(shape[2])
  group = re.search(r'replica_groups=\{\{([\d,]*)\}', rest)
  if group:
    return len(group[1].split(','))
  mesh = re.search(r'replica_groups=mesh\[(.*?)\]\S* \{(.*?)\}', rest)
  if not mesh:
    return 1
  sizes = dict(re.findall(r"'([^']+)'=(\d+)", mesh[1]))
  axes = re.findall(r"'([^']+)'(?::\(\d+\)(\d+))?", mesh[2])
  return math.prod(int(part or sizes[axis]) for axis, part in axes)
