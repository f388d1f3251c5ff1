"""Tables and lists in Markdown.

They take text and `Markdown` alike: text is escaped where it enters the card,
and only here; what is `Markdown` stays as it is.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

# What would begin markup, HTML or an entity. An underscore does so only at the
# edge of a word.
_SPECIAL = re.compile(r'[\\`*~\[\]<>|&#]|(?<![^\W_])_|_(?![^\W_])')


class Markdown(str):
  """Markup, which is never escaped."""


def join(*parts: object) -> Markdown:
  """Text and Markdown in a row."""
  return Markdown(''.join(map(_escape, parts)))


def _escape(content: object) -> Markdown:
  """The Markdown of text, in one line; Markdown as it is."""
  if isinstance(content, Markdown):
    return content
  return Markdown(_SPECIAL.sub(r'\\\g<0>', _in_one_line(content)))


def _in_one_line(content: object) -> str:
  return ' '.join(str(content).splitlines())


def bold(text: object) -> Markdown:
  """Text in bold print."""
  return join(Markdown('**'), text, Markdown('**'))


def code(text: object) -> Markdown:
  """Text as it is, in the print of code."""
  text = _in_one_line(text)
  fence = _fence(text, least=1)
  space = ' ' if '`' in text else ''
  return Markdown(f'{fence}{space}{text}{space}{fence}')


def code_block(text: str, language: str) -> Markdown:
  """Lines of code."""
  fence = _fence(text, least=3)
  return Markdown(f'{fence}{language}\n{text}\n{fence}')


def _fence(text: str, least: int) -> str:
  """Backticks, more than stand side by side in a text."""
  runs = map(len, re.findall('`+', text))
  return '`' * max(least, 1 + max(runs, default=0))


def fact(name: str, value: object) -> Markdown:
  """A value, and what it is of."""
  return join(f'{name}: ', value)


def heading(level: int, text: object) -> Markdown:
  """A heading of level 1, 2, ..."""
  return join(Markdown(f'{"#" * level} '), text)


def bullets(*lines: object) -> Markdown:
  """A list of lines."""
  return Markdown('\n'.join(f'- {_escape(line)}' for line in lines))


def settings(config: Mapping[str, object]) -> str:
  """A config in a line, as text: its name, then the others as `key value`."""
  named = [str(config['name'])] if config.get('name') else []
  others = [f'{k} {v}' for k, v in config.items() if k != 'name']
  return ', '.join(named + others)


def table(
  columns: Sequence[object],
  rows: Iterable[Sequence[object]],
  align: str = '---',
) -> Markdown:
  """A table; bars in cells, those of code too, are kept from breaking it.

  Args:
    columns: headings.
    rows: cells.
    align: '---:' puts all columns but the first to the right.
  """
  rule = [Markdown(text) for text in ('---', *[align] * (len(columns) - 1))]
  return Markdown(
    '\n'.join(
      f'| {" | ".join(map(_cell, line))} |' for line in (columns, rule, *rows)
    )
  )


def _cell(content: object) -> str:
  return re.sub(r'(?<!\\)\|', r'\\|', _escape(content))
