"""What a run or an evaluation was made with: versions, devices, commit."""

import importlib.metadata
import os
import pathlib
import platform
import shlex
import subprocess
import sys

import jax

from rvmae_jax.commands import program

_HUGE_PAGES = pathlib.Path('/sys/kernel/mm/transparent_hugepage/enabled')
_TUNABLE = 'glibc.malloc.hugetlb'
_PACKAGES = ('jax', 'flax', 'optax', 'grain', 'orbax-checkpoint', 'av')


def environment() -> dict[str, str]:
  """Versions and devices of this process; `commit` where it is known."""
  commit = git_commit()
  return {
    'rvmae_jax': importlib.metadata.version('rvmae_jax'),
    **({'commit': commit} if commit else {}),
    'python': platform.python_version(),
    **{name: importlib.metadata.version(name) for name in _PACKAGES},
    'device': f'{jax.device_count()} x {jax.devices()[0].device_kind}',
  }


def memory_hint(setting: pathlib.Path = _HUGE_PAGES) -> str:
  """What to set for faster steps on a CPU; '' if nothing is known to help.

  A step takes memory from the system and returns it. Page by page of 4 KB, this
  costs a fifth of the step or more; glibc asks for huge pages only if told to.

  Args:
    setting: the file in which Linux says who gets huge pages: all programs,
      those that ask (`madvise`), or none.
  """
  if (
    jax.default_backend() != 'cpu'
    or not setting.exists()
    or '[madvise]' not in setting.read_text()
    or _TUNABLE in os.environ.get('GLIBC_TUNABLES', '')
  ):
    return ''
  return (
    f'Set GLIBC_TUNABLES={_TUNABLE}=1 before you start Python: with huge '
    'pages, training on a CPU is about a quarter faster.'
  )


def typed_command(module: str) -> str:
  """What started this process, to be typed again; see `commands.program`."""
  return shlex.join([*program(module).split(), *sys.argv[1:]])


def git_commit(folder: str | pathlib.Path = '') -> str:
  """The commit that code is of, with '+changes' if files differ from it.

  Args:
    folder: '' means that of this package.

  Returns:
    '' where there is no git checkout, as after an installation.
  """
  folder = folder or pathlib.Path(__file__).parents[1]

  def git(*arguments):
    command = ['git', '-C', str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ''

  try:
    # An installed package may lie in the checkout of something else.
    commit = git('rev-parse', 'HEAD') if git('ls-files', '.') else ''
    changed = git('status', '--porcelain', '--untracked-files=no', '.')
  except FileNotFoundError:  # There is no git.
    return ''
  return f'{commit}+changes' if commit and changed else commit
