"""How much memory a compiled program needs; how much the host has."""

import ctypes
import pathlib
import re

import jax


def planned_bytes(program: jax.stages.Compiled) -> int:
  """What XLA plans for one device: arguments, results and temporaries.

  What a donated argument shares with a result counts once.
  """
  memory = program.memory_analysis()
  return (
    memory.argument_size_in_bytes
    + memory.output_size_in_bytes
    - memory.alias_size_in_bytes
    + memory.temp_size_in_bytes
  )


def free_memory() -> float:
  """Bytes of the host's memory that programs may still take; inf if unknown."""
  path = pathlib.Path('/proc/meminfo')  # Linux alone has it.
  if not path.exists():
    return float('inf')
  found = re.search(r'MemAvailable:\s+(\d+) kB', path.read_text())
  return 1024 * int(found[1]) if found else float('inf')


def give_back() -> None:
  """Returns freed memory to the system; glibc would keep it for each thread."""
  trim = getattr(ctypes.CDLL(None), 'malloc_trim', None)
  if trim:
    trim(0)


def check_room(
  num_bytes: float, what: str, remedy: str, free_bytes: float | None = None
) -> None:
  """Raises if arrays do not fit into the host's memory.

  Args:
    num_bytes: size of all arrays together.
    what: what the arrays are; the subject of the error's first sentence.
    remedy: a sentence for the end of the error.
    free_bytes: free memory; None measures it.
  """
  if free_bytes is None:
    free_bytes = free_memory()
  if num_bytes > free_bytes:
    raise ValueError(
      f'{what} would take {num_bytes / 1e9:.1f} GB of {free_bytes / 1e9:.1f} '
      f'that are free. {remedy}'
    )
