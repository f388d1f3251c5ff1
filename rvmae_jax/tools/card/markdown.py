"""Tables and lists in Markdown."""

from collections.abc import Iterable, Mapping, Sequence


def bullets(*lines: str) -> str:
  """A list of lines."""
  return '\n'.join(f'- {line}' for line in lines)


def settings(config: Mapping[str, object]) -> str:
  """A config in a line: its name, then the others as `key value`."""
  named = [str(config['name'])] if config.get('name') else []
  others = [f'{k} {v}' for k, v in config.items() if k != 'name']
  return ', '.join(named + others)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
  """A table; bars and line breaks in cells are kept from breaking it."""
  lines = [columns, ['---'] * len(columns), *rows]
  return '\n'.join(f'| {" | ".join(map(_cell, line))} |' for line in lines)


def _cell(value: object) -> str:
  return str(value).replace('|', '\\|').replace('\n', ' ')
