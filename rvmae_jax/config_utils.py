"""Reading, checking and saving configs."""

import ast
import importlib.util
import json
import os
import pathlib
import re
import types
from collections.abc import Mapping
from typing import Any

import ml_collections
from absl import flags
from ml_collections.config_flags import config_flags

from rvmae_jax.registry import check_known, near_names

# In the tree a link to configs/ at its top; a package of its own in a wheel.
_RECIPES = pathlib.Path(__file__).parent / 'configs'

# For errors that a comma in a path may have led to.
COMMA_REMEDY = r"A comma in a value is written '\,'."

# `--config` belongs to the command that asks for it, whose help shows it.
flags.disclaim_key_flags()


def parse_arg(
  arg: str | Mapping[str, Any] | ml_collections.ConfigDict | None, **defaults
) -> ml_collections.ConfigDict:
  r"""Parses the text after the colon of `--config=file.py:variant=B,runlocal`.

  Args:
    arg: comma-separated `name=value`, or `name` alone for True; a comma in a
      value is written `\,`. Or the parsed arguments of a recipe that builds on
      this one; names that are not in `defaults` are ignored.
    **defaults: every allowed name with its default; the default's type decides
      how the text is read.

  Returns:
    A ConfigDict of all names.

  Raises:
    ValueError: an unknown name (near ones are shown) or a value that does not
      fit the type.
  """
  values = ml_collections.ConfigDict(defaults)
  if arg and not isinstance(arg, str):
    values.update({name: arg[name] for name in defaults if name in arg})
    return values
  for part in split_at_commas(arg or ''):
    name, equals, text = part.partition('=')
    if name not in defaults:
      raise ValueError(
        f'Unknown config argument {name!r} in {arg!r}. '
        f'{near_names(name, defaults)} {COMMA_REMEDY}'
      )
    values[name] = _cast(name, text if equals else 'true', defaults[name])
  return values


def split_at_commas(text: str) -> list[str]:
  r"""The parts between commas that are not empty; `\,` is a comma in a part.

  >>> split_at_commas(r'runlocal,videos=/a\,b')
  ['runlocal', 'videos=/a,b']
  """
  parts = re.split(r'(?<!\\),', text)
  return [part.replace(r'\,', ',') for part in parts if part]


def _cast(name: str, text: str, default: Any) -> Any:
  if isinstance(default, bool):
    if text.lower() not in ('true', 'false', '1', '0'):
      raise ValueError(f'Config argument {name}={text!r}: use true or false.')
    return text.lower() in ('true', '1')
  try:
    return type(default)(text)
  except ValueError:
    kind = type(default).__name__
    raise ValueError(
      f'Config argument {name}={text!r} is not a valid {kind} '
      f'(default {default!r}).'
    ) from None


def check_unused(arg: Mapping[str, Any], where: str, *names: str) -> None:
  """Checks that no argument is given where nothing would read it.

  Args:
    arg: of `parse_arg`.
    where: the choice that has no use for them, such as 'dataset=sprites'.
    *names: of arguments that are empty unless they are given.

  Raises:
    ValueError: one is given.
  """
  for name in names:
    if arg[name]:
      raise ValueError(
        f'{name}={arg[name]} is not for {where}: leave it out, or choose '
        'something else.'
      )


def load_config(spec: str) -> ml_collections.ConfigDict:
  """The locked config of a recipe file, as `--config` would give it.

  Args:
    spec: see `find_recipe`.

  Raises:
    ValueError: there is no such recipe.
  """
  path, _, arg = find_recipe(spec).partition(':')
  return _separate(load_recipe(path).get_config(arg or None))


def find_recipe(spec: str) -> str:
  """A recipe's file and arguments, wherever the command is typed.

  Args:
    spec: 'path/to/recipe.py' or 'path/to/recipe.py:arguments'. What is no file
      is looked for among the recipes of the package: 'rvm_pretrain.py:runlocal'
      and 'configs/rvm_pretrain.py' are found from anywhere.

  Returns:
    The same with the path of a file that is there.

  Raises:
    ValueError: there is none; the message has near ones.
  """
  path, colon, arg = spec.partition(':')
  if not pathlib.Path(path).is_file():
    name = path.removeprefix('configs/')
    known = sorted(recipe.name for recipe in _RECIPES.glob('[!_]*.py'))
    if name not in known:
      raise ValueError(
        f'No recipe {path!r}: it is neither a file nor a recipe of ours. '
        f'{near_names(name, known)}'
      )
    path = str(_RECIPES / name)
  return f'{path}{colon}{arg}'


class _RecipeParser(config_flags.ConfigFileFlagParser):
  """Reads the recipe that `find_recipe` finds."""

  def parse(self, path: str) -> ml_collections.ConfigDict:
    try:
      return _separate(super().parse(find_recipe(path)))
    except (AttributeError, KeyError, TypeError) as error:
      # Not of a class that stands for a mistake on the command line: whoever
      # wrote the recipe needs the traceback.
      raise RuntimeError(
        f'The recipe {path} failed: {type(error).__name__}: {error}'
      ) from error


def define_config_flag() -> None:
  """Defines `--config=RECIPE`, which is needed, and `--config.x=y`."""
  config_flags.DEFINE_config_file(
    'config',
    lock_config=True,
    help_string='A recipe file, or the name of one of ours, with its '
    'arguments: rvm_pretrain.py:variant=S,runlocal.',
  )
  flags.FLAGS['config'].parser = _RecipeParser('config')
  flags.mark_flag_as_required('config')


def load_recipe(path: str | pathlib.Path) -> types.ModuleType:
  """A recipe file as a module."""
  path = pathlib.Path(path)
  module_spec = importlib.util.spec_from_file_location(path.stem, path)
  module = importlib.util.module_from_spec(module_spec)
  module_spec.loader.exec_module(module)
  return module


def with_values(
  config: ml_collections.ConfigDict, changes: str
) -> ml_collections.ConfigDict:
  r"""The config with other values.

  Args:
    config: a recipe; it is not changed.
    changes: 'model.remat=full,batch_size=8'; a comma in a value is written
      `\,`.

  Raises:
    ValueError: not of that form, a key that the config does not have, or a
      value of another type where it has a number.
  """
  config = ml_collections.ConfigDict(config.to_dict()).lock()
  for change in split_at_commas(changes):
    key, equals, text = change.partition('=')
    if not equals:
      raise ValueError(
        f'{change!r} in {changes!r} is not key=value. {COMMA_REMEDY}'
      )
    try:
      value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
      value = text
    old = by_path(config.to_dict()).get(key)
    is_exact = isinstance(old, bool | int) and type(value) is not type(old)
    is_number = type(value) in (int, float)
    if is_exact or (isinstance(old, float) and not is_number):
      value = _cast(key, text, old)  # 'false' would count as true.
    try:
      with config.ignore_type():
        config.update_from_flattened_dict({key: value})
    except KeyError as error:
      raise ValueError(f'{change!r}: {error.args[0]}') from None
  return config


def merged(
  base: Mapping[str, Any], changes: Mapping[str, Any]
) -> ml_collections.ConfigDict:
  """A copy of a config with some entries changed, the rest kept.

  Nested entries merge. None removes an entry. An entry whose `name` changes is
  replaced whole, since the settings of one clip sampler mean nothing to
  another.
  """
  base, changes = (
    ml_collections.ConfigDict(c).to_dict() for c in (base, changes)
  )
  return ml_collections.ConfigDict(_merged(base, changes))


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
  found = dict(base)
  for key, change in changes.items():
    if isinstance(change, dict):
      old = found.get(key) or {}
      renamed = change.get('name', old.get('name')) != old.get('name')
      change = _merged({} if renamed else old, change)
    found[key] = change
  return {k: v for k, v in found.items() if v is not None}


def by_path(config: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
  """Nested settings by their path: {'a': {'b': 1}} -> {'a.b': 1}."""
  flat = {}
  for key, value in config.items():
    if isinstance(value, Mapping) and value:
      flat |= by_path(value, f'{prefix}{key}.')
    else:
      flat[f'{prefix}{key}'] = (
        list(value) if isinstance(value, tuple) else value
      )
  return flat


def token_size(model: ml_collections.ConfigDict) -> dict[str, int]:
  """How many pixels and frames make a token of `config.model`.

  Returns:
    `patch_size`, and `tubelet_size`: 1 where the model takes single frames.
  """
  return {
    'patch_size': model.patch_size,
    'tubelet_size': model.get('tubelet_size', 1),
  }


def model_title(model: Mapping[str, Any]) -> str:
  """What people call `config.model`: 'RVM S', its name alone without a size."""
  parts = model['name'].upper(), model.get('variant')
  return ' '.join(str(part) for part in parts if part)


def parse_size(text: str) -> tuple[int, int]:
  """(height, width) of '256x320'; ValueError if it is something else."""
  size = text.split('x')
  if len(size) != 2 or not all(n.isdecimal() and int(n) for n in size):
    raise ValueError(f'{text!r} is not HEIGHTxWIDTH, as 256x256.')
  height, width = map(int, size)
  return height, width


def named(table: Mapping[str, Any], names: str, what: str) -> dict[str, Any]:
  """Some entries of a table, in the order asked for.

  Args:
    table: entries by name.
    names: names joined by +; '' takes all entries.
    what: what to call an entry in the error.

  Raises:
    ValueError: an unknown name.
  """
  chosen = names.split('+') if names else list(table)
  check_known(what, table, *chosen)
  return {name: table[name] for name in chosen}


def folder_or_list(path: str, split: str) -> dict[str, str]:
  """The source of a folder of videos or of a list, a file by its name."""
  is_list = path.endswith(('.csv', '.json', '.jsonl')) or os.path.isfile(path)
  name = 'listing' if is_list else 'folder'
  return {'name': name, 'path': path, 'split': split}


def to_json(config: ml_collections.ConfigDict) -> str:
  """The config as readable JSON; `from_json` is its inverse."""
  return json.dumps(config.to_dict(), indent=2, default=list)


def from_json(text: str) -> ml_collections.ConfigDict:
  """A config from JSON; lists become tuples again, as recipes write them.

  Raises:
    ValueError: no JSON, or no object.
  """
  try:
    config = _tuples(json.loads(text))
    return ml_collections.ConfigDict(config).lock()
  except (ValueError, TypeError, AttributeError, RecursionError) as error:
    raise ValueError(
      f'A config must be a JSON object; found {text!r:.80} '
      f'({type(error).__name__}: {error}).'
    ) from error


def _separate(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
  """The config, in which each key has a value of its own.

  A recipe may put one dict into several places: a change of one would be a
  change of all, as by `--config.x=y`.
  """
  return from_json(to_json(config))


def _tuples(value: Any) -> Any:
  if isinstance(value, dict):
    return {k: _tuples(v) for k, v in value.items()}
  if isinstance(value, list):
    return tuple(_tuples(v) for v in value)
  return value
