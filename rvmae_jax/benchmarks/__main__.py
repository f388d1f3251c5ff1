"""Measures speed and memory: of a step, its parts, the loader, a stream, ...

  python -m rvmae_jax.benchmarks --help
  python -m rvmae_jax.benchmarks NAME [ARGUMENTS]
  python -m rvmae_jax.benchmarks NAME --help

Most print a table, and the same as JSON in their last line.
"""

import sys

from rvmae_jax.commands import program, run_one

_NAMES = (
  *('step', 'parts', 'loader', 'run', 'stream', 'bounds', 'decoders'),
  *('hugging_face', 'check', 'gpu'),
)
# Name -> module, in the order in which help shows them.
BENCHMARKS = {name: f'rvmae_jax.benchmarks.{name}' for name in _NAMES}

if __name__ == '__main__':
  typed = program('rvmae_jax.benchmarks.__main__')
  sys.exit(run_one(typed, 'benchmark', BENCHMARKS, __doc__))
