"""Finds the parts of a published dataset, or says what is there instead."""

import collections
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rvmae_jax.registry import some_names

_SHOWN = 6


def find_part(
  dataset: str, root: str, what: str, candidates: Sequence[str]
) -> str:
  """The first of some names that exists in a folder.

  Args:
    dataset: its name, for the message.
    root: the folder of the dataset.
    what: is looked for, for the message.
    candidates: paths relative to `root`, or absolute.

  Raises:
    FileNotFoundError: none; it says what was looked for and what was found.
    ValueError: no folder.
  """
  if not root:
    raise ValueError(
      f'{dataset}: no folder is given. Set the path of the source (of recipes: '
      'videos=DIR).'
    )
  for candidate in candidates:
    path = os.path.join(root, candidate)
    if os.path.exists(path):
      return path
  raise FileNotFoundError(
    f'{dataset}: no {what} in {root!r}. Looked for {", ".join(candidates)}. '
    f'Found {contents(root)}.'
  )


def list_finder(
  dataset: str, root: str, lists: str, usual: Sequence[str]
) -> Callable[..., str]:
  """How to find official lists: a function (what, *names) -> path.

  Args:
    dataset: its name, for messages.
    root: the folder of the dataset.
    lists: the one folder to look in; '' looks in the usual ones.
    usual: relative to `root`.
  """

  def find(what, *names):
    folders = [lists] if lists else usual
    candidates = [f'{folder}/{name}' for folder in folders for name in names]
    return find_part(dataset, root, what, candidates)

  return find


def check_choice(
  dataset: str, setting: str, value: Any, choices: Iterable[Any]
) -> None:
  """Checks a setting that is one of a few, such as `split`.

  Raises:
    ValueError: it is not one of them.
  """
  choices = list(choices)
  if value not in choices:
    raise ValueError(
      f'{dataset}: {setting}={value!r} is not one of '
      f'{", ".join(map(str, choices))}.'
    )


def files_ending(dataset: str, folder: str, ending: str) -> list[str]:
  """Names of the files in a folder that end so, sorted.

  Raises:
    FileNotFoundError: there are none; it says what was found.
  """
  names = sorted(n for n in os.listdir(folder) if n.endswith(ending))
  if not names:
    raise FileNotFoundError(
      f'{dataset}: no file in {folder!r} ends in {ending!r}. Found '
      f'{contents(folder)}.'
    )
  return names


def contents(path: str) -> str:
  """What a folder holds, in a few words."""
  if not os.path.isdir(path):
    return 'no such folder'
  names = [name for name in sorted(os.listdir(path)) if name[0] != '.']
  folders = [n + '/' for n in names if os.path.isdir(os.path.join(path, n))]
  files = [n for n in names if n + '/' not in folders]
  endings = collections.Counter(os.path.splitext(name)[1] for name in files)
  if len(files) > _SHOWN:
    files = [f'{count} files {end}' for end, count in endings.items()]
  return some_names(folders + files, _SHOWN) or 'nothing'
