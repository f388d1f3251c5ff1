"""Reading, checking and saving configs."""

import ast
import importlib.util
import json
import pathlib
import types
from collections.abc import Mapping
from typing import Any

import ml_collections

from rvmae_jax.registry import near_names


def parse_arg(arg: str | None, **defaults) -> ml_collections.ConfigDict:
  """Parses the text after the colon of `--config=file.py:variant=B,runlocal`.

  Args:
    arg: comma-separated `name=value`, or `name` alone for True.
    **defaults: every allowed name with its default; the default's type decides
      how the text is read.

  Returns:
    A ConfigDict of all names.

  Raises:
    ValueError: an unknown name (near ones are shown) or a value that does not
      fit the type.
  """
  values = ml_collections.ConfigDict(defaults)
  for part in filter(None, (arg or '').split(',')):
    name, equals, text = part.partition('=')
    if name not in defaults:
      raise ValueError(
        f'Unknown config argument {name!r} in {arg!r}. '
        f'{near_names(name, defaults)}'
      )
    values[name] = _cast(name, text if equals else 'true', defaults[name])
  return values


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
      f'Config argument {name}={text!r} is no {kind} (default {default!r}).'
    ) from None


def load_config(spec: str) -> ml_collections.ConfigDict:
  """The locked config of a recipe file, as `--config` would give it.

  Args:
    spec: 'path/to/recipe.py' or 'path/to/recipe.py:arguments'.

  Raises:
    FileNotFoundError: there is no such file.
  """
  path, _, arg = spec.partition(':')
  if not pathlib.Path(path).is_file():
    raise FileNotFoundError(f'No config file {path!r} (from {spec!r}).')
  return load_recipe(path).get_config(arg or None).lock()


def load_recipe(
  path: str | pathlib.Path, beside: str | pathlib.Path = ''
) -> types.ModuleType:
  """A recipe file as a module, for recipes that change another one.

  Args:
    path: of the file.
    beside: `__file__` of the recipe that asks, if `path` is relative to it.
  """
  path = pathlib.Path(beside).parent / path
  module_spec = importlib.util.spec_from_file_location(path.stem, path)
  module = importlib.util.module_from_spec(module_spec)
  module_spec.loader.exec_module(module)
  return module


def with_values(
  config: ml_collections.ConfigDict, changes: str
) -> ml_collections.ConfigDict:
  """The config with other values.

  Args:
    config: a recipe; it is not changed.
    changes: 'model.remat=full,batch_size=8'.

  Raises:
    ValueError: not of that form, or a key that the config does not have.
  """
  config = ml_collections.ConfigDict(config.to_dict()).lock()
  for change in filter(None, changes.split(',')):
    key, equals, text = change.partition('=')
    if not equals:
      raise ValueError(f'{change!r} in {changes!r} is not key=value.')
    try:
      value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
      value = text
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
      f'A config is to be an object of JSON; found {text!r:.80} '
      f'({type(error).__name__}: {error}).'
    ) from error


def _tuples(value: Any) -> Any:
  if isinstance(value, dict):
    return {k: _tuples(v) for k, v in value.items()}
  if isinstance(value, list):
    return tuple(_tuples(v) for v in value)
  return value
