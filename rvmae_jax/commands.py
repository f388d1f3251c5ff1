"""One command for all: `rvmae train ...` runs `python -m rvmae_jax.train ...`.

  rvmae --help
  rvmae COMMAND [ARGUMENTS]
  rvmae COMMAND --help

Exit codes and signals are those of the module that runs.
"""

import argparse
import functools
import importlib.metadata
import importlib.util
import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rvmae_jax.registry import check_known

_NETWORKS = ('train', 'evaluate', 'stream', 'export')
_TOOLS = (
  *('doctor', 'split', 'prepare', 'show_batch', 'plan', 'report', 'model_card'),
  *('extract', 'explore', 'check_artifact', 'prune', 'smaller', 'compare'),
  *('results', 'pages', 'masked_features', 'overfit', 'train_hugging_face'),
)
# Name -> module that has a command line, in the order in which help shows them.
COMMANDS = {
  **{name: f'rvmae_jax.{name}' for name in _NETWORKS},
  **{name: f'rvmae_jax.tools.{name}' for name in _TOOLS},
  'benchmark': 'rvmae_jax.benchmarks.__main__',
}


def program(module: str) -> str:
  """The command that runs a module, spelled as this process was started.

  Args:
    module: one of those in `COMMANDS`, which runs in this process.

  Returns:
    'rvmae train', or else 'python -m rvmae_jax.train'.
  """
  names = {module: name for name, module in COMMANDS.items()}
  typed = f'rvmae {names.get(module)}'
  if sys.argv[0] == typed:
    return typed
  return f'python -m {module.removesuffix(".__main__")}'


def command_line(module: str, doc: str) -> argparse.ArgumentParser:
  """A command line of argparse; its help is the docstring of the module."""
  _print_any_name()
  return argparse.ArgumentParser(
    prog=program(module),
    description=doc,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )


def at_least(least: float) -> Callable[[str], Any]:
  """Reads a number of a command line of argparse, and refuses a smaller one.

  Args:
    least: an int where whole numbers are meant.
  """

  def number(text):
    value = type(least)(text)
    if not value >= least:
      raise argparse.ArgumentTypeError(f'{text} is less than {least}')
    return value

  return number


def explains_errors(
  name: str, *kinds: type[Exception]
) -> Callable[[Callable[..., int]], Callable[..., int]]:
  """Ends a command with an error's message and exit code 2, without a trace.

  Args:
    name: of the command.
    *kinds: of errors that say what to do, besides ImportError, OSError and
      ValueError.
  """

  def wrapped(main):
    @functools.wraps(main)
    def run(*args):
      try:
        return main(*args)
      except (ImportError, OSError, ValueError, *kinds) as error:
        print(f'{name}: {error}', file=sys.stderr)
        return 2

    return run

  return wrapped


def main() -> int:
  """The command `rvmae`; returns the exit code, if its command gives none."""
  if sys.argv[1:2] == ['--version']:
    print(importlib.metadata.version('rvmae_jax'))
    return 0
  return run_one('rvmae', 'command', COMMANDS, __doc__)


def run_one(typed: str, kind: str, modules: Mapping[str, str], doc: str) -> int:
  """Runs the command line that the first argument names, with the others.

  Args:
    typed: the command that runs this process, without arguments.
    kind: what to call one of the modules in messages.
    modules: name -> module, in the order in which help shows them.
    doc: a docstring; help begins with it, its first paragraph left out.

  Returns:
    The exit code, unless the module that runs exits with one of its own.
  """
  name, *arguments = sys.argv[1:] or ['']
  if name in ('', '-h', '--help'):
    width = max(map(len, modules))
    lines = (f'  {n:{width}}  {_summary(m)}' for n, m in modules.items())
    head = doc.partition('\n\n')[2]
    print('\n'.join([head, f'{kind.capitalize()}s:', *lines]))
    return 0 if name else 2
  try:
    check_known(kind, modules, name)
  except ValueError as error:
    print(f'{typed}: {error}', file=sys.stderr)
    return 2
  _run(modules[name], f'{typed} {name}', arguments)
  return 0


def run_command(main: Callable[[Any], int | None]) -> None:
  """Runs a module's command line of absl's flags, and nothing but flags.

  Args:
    main: given the flags, does it all and returns the exit code.
  """
  from absl import app, flags

  def run(argv):
    _print_any_name()
    if argv[1:]:
      raise app.UsageError(f'Unexpected arguments: {argv[1:]}.')
    return main(flags.FLAGS)

  def parse(argv):
    try:
      return app.parse_flags_with_usage(argv)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
      told = _explanation(error)
      raise SystemExit(f'{os.path.basename(argv[0])}: {told}') from None

  app.run(run, flags_parser=parse)


def _explanation(error: Exception) -> str:
  """What is wrong with the flags, of an error while they were read."""
  if isinstance(error, TypeError):
    return 'an override (--config.x.y=...) takes a value for a section.'
  # Messages of ml_collections have escaped quotes and a literal "\n".
  told = str(error).replace('\\n', ' ').replace('\\', '').strip('\'"')
  name, meant, hint = told.partition(' Did you mean')
  if meant or ' ' not in told:
    name = name.strip('\'"')
    return f'the config has no setting {name!r}.{meant}{hint}'
  return told


def _print_any_name() -> None:
  """Makes `print` escape bytes of file names that are not valid text."""
  if isinstance(sys.stdout, io.TextIOWrapper):
    sys.stdout.reconfigure(errors='backslashreplace')


def _run(name: str, typed: str, arguments: Sequence[str]) -> None:
  """Runs a module as the main program, as `python -m` does."""
  spec = importlib.util.find_spec(name)
  module = importlib.util.module_from_spec(spec)
  module.__name__ = '__main__'
  # Where flags, usage and worker processes look for the main program.
  sys.modules['__main__'] = module
  sys.argv = [typed, *arguments]
  exec(spec.loader.get_code(spec.name), vars(module))


def _summary(name: str) -> str:
  """The first line of a module's docstring; nothing is imported for it."""
  with open(importlib.util.find_spec(name).origin, encoding='utf-8') as file:
    return file.readline().strip('"\n')
