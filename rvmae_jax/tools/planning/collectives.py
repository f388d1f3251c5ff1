"""What a compiled program sends over the network, read from XLA's own text."""

import collections
import dataclasses
import math
import re
from collections.abc import Sequence

import numpy as np

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
    num_machines: that a group is spread over, evenly.
  """

  kind: str
  group_size: int
  count: int
  num_bytes: int
  num_machines: int = 1

  @property
  def sent_bytes(self) -> float:
    """What each device has to send at least within its machine, on a ring."""
    within = self._num_within
    if self.kind == 'collective-permute':
      return self.num_bytes if self.num_machines == 1 else 0
    if self.kind == 'all-to-all':
      return (within - 1) / self.group_size * self.num_bytes
    return self._times_around * (within - 1) / within * self.num_bytes

  @property
  def sent_between_bytes(self) -> float:
    """What each device has to send at least to other machines.

    Devices of one machine share what the machine has to send, and each of them
    sends what all of them have summed or will share.
    """
    others = (self.num_machines - 1) / self.num_machines
    if self.kind == 'collective-permute':
      return self.num_bytes if self.num_machines > 1 else 0
    if self.kind == 'all-to-all':
      return others * self.num_bytes
    return self._times_around * others * self.num_bytes / self._num_within

  @property
  def _num_within(self) -> int:
    """Devices of a group in one machine."""
    return self.group_size // self.num_machines

  @property
  def _times_around(self) -> int:
    """Times around the ring: an all-reduce collects a sum, then spreads it."""
    return 2 if self.kind == 'all-reduce' else 1


def find_collectives(
  program: str, machines: Sequence[int] = ()
) -> list[Collective]:
  """Every exchange in a compiled program, loops counted as often as they run.

  Args:
    program: `compiled.as_text()`. A loop whose length XLA does not know counts
      once.
    machines: where each device of the mesh is, in its order; by default all are
      in one.

  Returns:
    One entry for each kind, group size and number of machines, the largest
    first.
  """
  counts, sizes = collections.Counter(), collections.Counter()
  for line in _exchanges(program):
    result, kind, start, rest = _OPERATION.match(line.text).groups()
    groups = _groups(kind, rest)
    size = len(groups[0])
    if size > 1:
      num_bytes = _num_bytes(kind, bool(start), result, size)
      if _REDUCE_SCATTER.match(line.function):
        kind = 'reduce-scatter'
      key = kind, size, _num_machines(groups, machines)
      counts[key] += line.times
      sizes[key] += line.times * num_bytes
  return [
    Collective(kind, size, counts[kind, size, spread], num_bytes, spread)
    for (kind, size, spread), num_bytes in sizes.most_common()
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


def _num_machines(groups: list[list[int]], machines: Sequence[int]) -> int:
  """The number of machines that the most spread-out group is on."""
  if not machines:
    return 1
  return max(len({machines[device] for device in group}) for group in groups)


def _groups(kind: str, rest: str) -> list[list[int]]:
  """The devices of each group, which XLA writes in three ways.

  {{0,1,2,3},{4,5,6,7}}; [2,4]<=[8], with T(1,0) after it where axes change
  places; mesh['x'=2,'y'=4] {'y'}, where a part of an axis is 'y':(1)2, after a
  part of size 1. Between mesh and axes may be the devices of the mesh:
  device_ids=([4,2]T(1,0)).
  """
  is_permuted = kind == 'collective-permute'
  named = 'source_target_pairs=' if is_permuted else 'replica_groups='
  _, _, text = rest.partition(named)
  if text.startswith('{'):
    found = re.findall(r'\{([\d, ]+)\}', text.partition('}}')[0] + '}')
    return [[int(n) for n in group.split(',')] for group in found]
  if text.startswith('mesh'):
    return _groups_of_mesh(text)
  shape = re.match(r'\[(\d+),(\d+)\]<=(\S*?)(,? |,?$)', text)
  if not shape:
    return [[0]]
  return _devices(shape[3]).reshape(int(shape[1]), int(shape[2])).tolist()


def _groups_of_mesh(text: str) -> list[list[int]]:
  """Devices that differ along the chosen axes, or parts of axes, alone."""
  mesh, ids, chosen = re.match(
    r'mesh\[(.*?)\](?:, device_ids=\((.*?\)?)\))? \{(.*?)\}', text
  ).groups()
  parts = {
    axis: (int(before or 1), int(part or 0))
    for axis, before, part in re.findall(
      r"'([^']+)'(?::\((\d+)\)(\d+))?", chosen
    )
  }
  dims, within = [], []
  for axis, size in re.findall(r"'([^']+)'=(\d+)", mesh):
    before, part = parts.get(axis, (int(size), 1))
    part = part or int(size)
    within.append(len(dims) + 1)
    dims += [before, part, int(size) // (before * part)]
  devices = _devices(ids or f'[{math.prod(dims)}]').reshape(dims)
  others = [axis for axis in range(len(dims)) if axis not in within]
  group_size = math.prod(dims[axis] for axis in within)
  return devices.transpose(others + within).reshape(-1, group_size).tolist()


def _devices(text: str) -> np.ndarray:
  """Numbers of devices: [2,4]T(1,0), counted as a transposed array; 0,2,1,3."""
  if not text.startswith('['):
    return np.array(_numbers(text))
  dims, order = re.match(r'\[([\d,]+)\](?:T\(([\d,]+)\))?', text).groups()
  devices = np.arange(math.prod(_numbers(dims))).reshape(_numbers(dims))
  return devices.transpose(_numbers(order)) if order else devices


def _numbers(text: str) -> list[int]:
  return [int(n) for n in text.split(',')]
