"""Cycles of the machine code that the TPU compiler ends with, from its dump.

The last thing that the compiler makes of an operation is a list of bundles,
each of which is one cycle of the chip, but for waiting for memory.
"""

import atexit
import functools
import os
import pathlib
import re
import shutil
import tempfile
from collections.abc import Iterable
from typing import NamedTuple

# Known to libtpu 0.0.42; it takes no notice of what it does not know.
_FLAGS = (
  '--xla_jf_dump_to={folder}',
  '--xla_jf_dump_llo_text=true',
  '--xla_jf_dump_llo_pass_label_regex=^final_bundles',
)
_FILE = re.compile(r'\d+-(.+)-\d+-final_bundles\.txt')
# ' 0x8 LB: >> { ..': a bundle of a loop in a loop, the first of its body.
_BUNDLE = re.compile(r' *(?:0x)?[0-9a-f]+ +([A-Z]{2})? *: *(>*) *\{(\})?')
_LIMIT = re.compile(r'scmp\.ge\.s32\.totalorder %\w+, (\d+) /\* loop exit test')
_PRODUCT = re.compile(r'= vmatmul(\.mubr)?\.(\w+)')
_CORE = '/* core id */'
# The loop that goes over the tiles of an operation.
_TILES = 'iteration index'
_TURNS_WITHOUT_A_TILE = 2


class Loop(NamedTuple):
  """Bundles of a loop's body, or of an operation outside of all its loops.

  Attributes:
    bundles: that are in no inner loop.
    products: of the matrix units among them, each of 16 rows of bfloat16.
    loops: inner ones.
    limit: how often it turns, 0 if that is not written down.
    is_over_tiles: whether it turns once for each tile of the operation.
    is_split: whether the cores of a chip share these tiles.
  """

  bundles: int
  products: float = 0.0
  loops: tuple['Loop', ...] = ()
  limit: int = 0
  is_over_tiles: bool = False
  is_split: bool = False

  def run(self, num_tiles: int = 0, num_cores: int = 1) -> tuple[float, float]:
    """Bundles and products of one core in one run of an operation.

    Args:
      num_tiles: of the operation, 0 if not known.
      num_cores: of a chip.

    Returns:
      Both; an unknown loop counts as one turn.
    """
    bundles, products = self.bundles, self.products
    for loop in self.loops:
      turns = loop.limit
      if loop.is_over_tiles:
        # Its first turns only fetch, and its last ones only write.
        turns -= _TURNS_WITHOUT_A_TILE
        if num_tiles:
          turns = -(-num_tiles // (num_cores if loop.is_split else 1))
      inner = loop.run(num_tiles, num_cores)
      bundles += max(turns, 1) * inner[0]
      products += max(turns, 1) * inner[1]
    return bundles, products


@functools.cache
def dump_folder() -> pathlib.Path:
  """Where the compiler dumps to from now on; it goes when this process ends.

  To be called before libtpu is loaded, which reads its flags once.
  """
  folder = pathlib.Path(tempfile.mkdtemp(prefix='rvmae_jax_plan_'))
  atexit.register(shutil.rmtree, folder, ignore_errors=True)
  flags = ' '.join(_FLAGS).format(folder=folder)
  known = os.environ.get('LIBTPU_INIT_ARGS', '')
  os.environ['LIBTPU_INIT_ARGS'] = f'{known} {flags}'.strip()
  return folder


def take_schedules(folder: pathlib.Path) -> dict[str, Loop]:
  """What was dumped, by operation; the folder is empty afterwards.

  Operations that are alike in all but their names are written once.
  """
  schedules = {}
  for path in folder.iterdir():
    found = _FILE.fullmatch(path.name)
    if found and 'schedule-analysis' not in path.name:
      with path.open(errors='replace') as lines:
        schedules[found[1]] = parse(lines)
    path.unlink()
  return schedules


def parse(lines: Iterable[str]) -> Loop:
  """The bundles of one operation."""
  # Those that are open, outermost first.
  loops = [Loop(0)]

  def close() -> None:
    loop = loops.pop()
    loops[-1] = loops[-1]._replace(loops=(*loops[-1].loops, loop))

  for line in lines:
    found = _BUNDLE.match(line)
    if not found:
      continue
    label, marks, is_empty = found.groups()
    # Empty bundles are not marked.
    depth = len(loops) - 1 if is_empty else len(marks)
    while len(loops) > depth + (label != 'LB'):
      close()
    while len(loops) <= depth:
      loops.append(Loop(0, is_over_tiles=_TILES in line))
    loop, limit = loops[-1], _LIMIT.search(line)
    loops[-1] = loop._replace(
      bundles=loop.bundles + 1,
      products=loop.products + _products(line),
      limit=int(limit[1]) if limit else loop.limit,
      is_split=loop.is_split or _CORE in line,
    )
  while len(loops) > 1:
    close()
  return loops[0]


def _products(line: str) -> float:
  # One of float32 has half the rows.
  types = [found[2] for found in _PRODUCT.finditer(line)]
  return len(types) - 0.5 * types.count('f32')
