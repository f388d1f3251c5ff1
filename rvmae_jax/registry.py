"""Tables of names: each entry says where its class or function lives."""

import difflib
import importlib
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any


def near_names(name: str, names) -> str:
  """A sentence with the closest known names first, then all of them."""
  names = sorted(names)
  close = difflib.get_close_matches(str(name), names, n=3, cutoff=0.5)
  meant = f'Did you mean {" or ".join(map(repr, close))}? ' if close else ''
  return f'{meant}Known: {", ".join(names) or "(none)"}.'


def some_names(names: Iterable[str], most: int = 10, between=', ') -> str:
  """The first of some names, and how many more there are: 'a, b and 3 more'."""
  names = list(names)
  more = f' and {len(names) - most} more' if len(names) > most else ''
  return between.join(names[:most]) + more


def check_known(kind: str, known: Iterable[str], *names: str) -> None:
  """Checks that names are known ones.

  Args:
    kind: what they are names of, in the singular; used in the message.
    known: all that there are.
    *names: to check.

  Raises:
    ValueError: one is not; the message has near ones.
  """
  for name in names:
    if name not in known:
      raise ValueError(f'Unknown {kind} {name!r}. {near_names(name, known)}')


def check_settings(
  kind: str,
  function: Callable[..., Any],
  settings: Iterable[str],
  given: Collection[str] = (),
) -> None:
  """Checks that a function takes some settings, before it is called.

  Args:
    kind: what to call a setting in the message.
    function: a function or a class.
    settings: names of arguments.
    given: arguments that the caller supplies; `settings` may not name them.

  Raises:
    ValueError: it does not take one; the message has near names.
  """
  taken = inspect.signature(function).parameters
  check_known(kind, [name for name in taken if name not in given], *settings)


def check_counts(settings: Any, *names: str) -> None:
  """Raises ValueError for an attribute of `settings` that is below 1."""
  for name in names:
    if getattr(settings, name) < 1:
      raise ValueError(f'{name}={getattr(settings, name)} must be at least 1.')


def check_share(settings: Any, *names: str) -> None:
  """Raises ValueError for an attribute that is not between 0 and 1."""
  for name in names:
    if not 0 < getattr(settings, name) < 1:
      raise ValueError(
        f'{name}={getattr(settings, name)} must be a share between 0 and 1.'
      )


def check_range(name: str, ends: Sequence[float]) -> None:
  """Raises ValueError unless both ends are positive and in order."""
  low, high = ends
  if not 0 < low <= high:
    raise ValueError(
      f'{name}={(low, high)} must be two positive numbers, the larger last.'
    )


class Registry:
  """A lazy table `{'name': 'package.module:attribute'}`.

  Nothing is imported until its name is asked for, so that listing what exists
  costs nothing and every entry can be found with grep.

  Args:
    kind: what the entries are, in the singular; used in error messages.
    table: name -> 'module:attribute'.
  """

  def __init__(self, kind: str, table: Mapping[str, str]):
    self.kind = kind
    self._table = dict(table)

  def names(self) -> list[str]:
    """All names in the table, sorted."""
    return sorted(self._table)

  def __contains__(self, name: str) -> bool:
    return name in self._table

  def get(self, name: str) -> Any:
    """The object behind `name`; ValueError with near names if unknown."""
    check_known(self.kind, self._table, name)
    module, attribute = self._table[name].split(':')
    return getattr(importlib.import_module(module), attribute)

  def name_of(self, entry: Any) -> str:
    """The name of a class or function in the table; imports nothing."""
    path = f'{entry.__module__}:{entry.__qualname__}'
    return next(name for name, found in self._table.items() if found == path)

  def build(self, config: Mapping[str, Any], **extra) -> Any:
    """Calls the entry `config['name']` with the rest of `config`.

    Args:
      config: a mapping with `name` and the entry's keyword arguments.
      **extra: arguments that the caller, not the config, knows.

    Raises:
      ValueError: no `name`, an unknown one, an argument that is missing, or one
        that the entry does not take; the message lists what it takes.
    """
    arguments = dict(config)
    if 'name' not in arguments:
      raise ValueError(
        f'A {self.kind} config needs a `name`; got keys {sorted(arguments)}. '
        f'{near_names("", self._table)}'
      )
    name = arguments.pop('name')
    entry = self.get(name)
    parameters = inspect.signature(entry).parameters.values()
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
      # Not for configs: `name` and `parent` are Flax's, `extra` the caller's.
      accepted = {p.name for p in parameters} - {'name', 'parent'} - set(extra)
      for argument in arguments:
        if argument not in accepted:
          raise ValueError(
            f'{self.kind} {name!r} takes no argument {argument!r} '
            f'(value {arguments[argument]!r}). '
            f'{near_names(argument, accepted)}'
          )
    given = {*arguments, *extra, 'name', 'parent'}
    for p in parameters:
      is_open = p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
      if p.default is p.empty and not is_open and p.name not in given:
        raise ValueError(f'{self.kind} {name!r} needs {p.name!r}.')
    return entry(**arguments, **extra)
