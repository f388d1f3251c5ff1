"""Videos named on the command line: a folder, a list, shards or any source."""

import ast
import os

from rvmae_jax.config_utils import COMMA_REMEDY, split_at_commas
from rvmae_jax.data.records import Source
from rvmae_jax.data.sources import SOURCES
from rvmae_jax.data.sources.shards import MANIFEST

HELP = (
  'a folder, a list (.csv, .json, .jsonl), shards, or a source with its '
  "settings, such as 'ucf101:path=DIR,fold=2' or 'tfds:dataset=ucf101'"
)

SPLIT_HELP = (
  'split of them; default: all of a folder or list, train of shards and '
  'datasets'
)


def source_config(text: str, split: str = '') -> dict:
  """The config of the source that a text on the command line means.

  Args:
    text: see `HELP`.
    split: of the source; '' means all of a folder or list, and of others what
      they take by default.

  Raises:
    ValueError: neither a path nor the name of a source, or a setting that is
      given twice.
  """
  chosen = {'split': split} if split else {}
  if os.path.isdir(text):
    is_shards = os.path.exists(os.path.join(text, MANIFEST))
    if is_shards:
      return {'name': 'shards', 'path': text, **chosen}
    return {'name': 'folder', 'path': text, 'split': split or 'all'}
  if os.path.isfile(text):
    return {'name': 'listing', 'path': text, 'split': split or 'all'}
  name, _, settings = text.partition(':')
  if name not in SOURCES:
    raise ValueError(
      f'{text!r} is neither a folder nor a file, and {name!r} is not a '
      f'source; known sources: {", ".join(SOURCES.names())}.'
    )
  config = {'name': name, **chosen}
  for setting in split_at_commas(settings):
    key, equals, value = setting.partition('=')
    if not equals:
      raise ValueError(
        f'{setting!r} in {text!r} must be `name=value`. {COMMA_REMEDY}'
      )
    if key in config:
      raise ValueError(
        f'{key} is given twice: {config[key]!r}, and {value!r} in {text!r}.'
      )
    # A folder may have a number for its name.
    config[key] = value if key == 'path' else _value(value)
  return config


def open_source(text: str, split: str = '') -> Source:
  """The source that a text on the command line means; see `source_config`."""
  return SOURCES.build(source_config(text, split))


def _value(text: str):
  """A number, true or false as such; all else is text."""
  if text in ('true', 'false'):
    return text == 'true'
  try:
    return ast.literal_eval(text)
  except (ValueError, SyntaxError):
    return text
