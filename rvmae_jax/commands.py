"""One command for all: `rvmae train ...` runs `python -m rvmae_jax.train ...`.

  rvmae --help
  rvmae COMMAND [ARGUMENTS]
  rvmae COMMAND --help

Exit codes and signals are those of the module that runs.
"""

import importlib.metadata
import importlib.util
import sys
from collections.abc import Sequence

from rvmae_jax.registry import check_known

_NETWORKS = ('train', 'evaluate', 'stream', 'export')
_TOOLS = (
  *('doctor', 'split', 'prepare', 'show_batch', 'plan', 'report', 'model_card'),
  *('extract', 'explore', 'check_artifact', 'prune', 'smaller', 'compare'),
  *('results', 'pages', 'masked_features', 'overfit', 'train_hugging_face'),
)
_BENCHMARKS = tuple(
  f'benchmark_{name}'
  for name in (
    *('step', 'parts', 'loader', 'run', 'stream', 'bounds', 'attention'),
    *('decoders', 'hugging_face', 'check', 'all'),
  )
)
# Name -> module that has a command line, in the order in which help shows them.
COMMANDS = {
  **{name: f'rvmae_jax.{name}' for name in _NETWORKS},
  **{name: f'rvmae_jax.tools.{name}' for name in _TOOLS + _BENCHMARKS},
}


def program(module: str) -> str:
  """What runs a module, in the way in which this process was started.

  Args:
    module: one of those in `COMMANDS`, which runs in this process.

  Returns:
    'rvmae train', or else 'python -m rvmae_jax.train'.
  """
  typed = f'rvmae {module.rpartition(".")[2]}'
  return typed if sys.argv[0] == typed else f'python -m {module}'


def main() -> int:
  """The command `rvmae`; returns the exit code, if its command gives none."""
  name, *arguments = sys.argv[1:] or ['']
  if name in ('', '-h', '--help'):
    print(_help())
    return 0 if name else 2
  if name == '--version':
    print(importlib.metadata.version('rvmae_jax'))
    return 0
  try:
    check_known('command', COMMANDS, name)
  except ValueError as error:
    print(f'rvmae: {error}', file=sys.stderr)
    return 2
  _run(name, arguments)
  return 0


def _run(name: str, arguments: Sequence[str]) -> None:
  """Runs a command as the main program, as `python -m` does."""
  spec = importlib.util.find_spec(COMMANDS[name])
  module = importlib.util.module_from_spec(spec)
  module.__name__ = '__main__'
  # Where flags, usage and worker processes look for the main program.
  sys.modules['__main__'] = module
  sys.argv = [f'rvmae {name}', *arguments]
  exec(spec.loader.get_code(spec.name), vars(module))


def _help() -> str:
  width = max(map(len, COMMANDS))
  lines = [f'  {name:{width}}  {_summary(name)}' for name in COMMANDS]
  return '\n'.join([__doc__.partition('\n\n')[2], 'Commands:', *lines])


def _summary(name: str) -> str:
  """The first line of a module's docstring; nothing is imported for it."""
  spec = importlib.util.find_spec(COMMANDS[name])
  with open(spec.origin, encoding='utf-8') as file:
    return file.readline().strip('"\n')
