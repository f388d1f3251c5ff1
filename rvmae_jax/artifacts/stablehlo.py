"""StableHLO by `jax.export`: one file for CPUs, NVIDIA GPUs and TPUs."""

import pathlib
from typing import Any

import jax
import jax.export

from rvmae_jax.artifacts.program import Program

PLATFORMS = ('cpu', 'cuda', 'tpu')
CALL = """\
import jax, jax.export
program = jax.export.deserialize(bytearray(open({path!r}, 'rb').read()))
outputs = jax.jit(program.call)({arguments})  # A dict.
"""


def write(program: Program, path: pathlib.Path) -> dict[str, Any]:
  """Writes a program; returns `platforms` and how to `call` it."""
  exported = jax.export.export(jax.jit(program.compute), platforms=PLATFORMS)(
    *program.specs()
  )
  path.write_bytes(exported.serialize())
  return {
    'platforms': list(exported.platforms),
    'call': CALL.format(path=path.name, arguments=', '.join(program.inputs)),
  }
