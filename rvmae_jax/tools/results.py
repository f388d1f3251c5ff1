"""Fills the tables and charts of docs/ from JSON files of measured numbers.

  python -m rvmae_jax.tools.results [--docs docs] [--check]
  python -m rvmae_jax.tools.results --from runs/compare --name rvmae_study \\
    [--draw psnr_hidden,core/state_change] [--turned]
  python -m rvmae_jax.tools.results --from runs/short --from runs/long \\
    --name budgets --draw linear_probe/trained/mean_std_8/top1
  python -m rvmae_jax.tools.results --from runs/quickstart/evaluation \\
    --name quickstart --column 'probe=linear_probe/*/mean_std_8/top1' ...

Each docs/results/NAME.json holds one table and, optionally, a chart. A page
(README.md or docs/*.md) shows it where it has these two lines:

  <!-- results: NAME -->
  <!-- end -->

This command writes what is between them; do not edit that by hand. `--check`
writes nothing and fails if a page is out of date. `--from` makes such a file
from a comparison (`tools/compare`), with each run's config, numbers and curves.
With `--add`, runs that the file has and the comparison lacks are kept, so that
it can grow on several machines. Several comparisons with different budgets show
what methods gain from more clips. With `--column`, `--from` is an evaluation,
with a row for each network and trivial answer, or there are several, each
`--from NAME=WORKDIR`. `notes` that the file already has are kept.

A file holds

  command, date, machine, commit   where the numbers come from; a date is
                                   written 2026-11-28
  columns                          headings
  rows                             cells: a number, text, null for none, or
                                   [number, number] for a value and its ±
  digits   (optional)              decimals: a number for all columns, or a list
                                   with a number or null for each; default 1
  turned   (optional)              true swaps rows and columns, for tables of
                                   many columns and few rows
  notes    (optional)              Markdown below the table
  picture  (optional)              see `visualize.lines.draw_lines`

and anything else worth keeping.
"""

import datetime
import pathlib
import re
import sys
import textwrap
from collections.abc import Mapping
from typing import Any

from absl import app, flags

from rvmae_jax import files
from rvmae_jax.commands import run_command
from rvmae_jax.data.writing import whole_file, write_whole
from rvmae_jax.registry import check_known
from rvmae_jax.tools.card import markdown
from rvmae_jax.tools.comparison.summary import summarize, summarize_budgets
from rvmae_jax.tools.evaluation_summary import summarize_evaluations
from rvmae_jax.tools.result_file import format_cell, format_json
from rvmae_jax.visualize.lines import draw_lines, drawn_from

_NEEDED = 'command', 'date', 'machine', 'commit', 'columns', 'rows'
_PAGE_WIDTH = 80
_BLOCK = re.compile(
  r'^(<!-- results: (\S+) -->\n)(.*?)^(<!-- end -->)$', re.DOTALL | re.MULTILINE
)
_MARKER = re.compile(r'^<!-- (results: .*|end) -->$', re.MULTILINE)


def update(docs: pathlib.Path, *, write: bool = True) -> list[pathlib.Path]:
  """Brings pages and pictures up to date with `docs`/results/*.json.

  Args:
    docs: the folder of pages; README.md lies beside it.
    write: whether to change files, or only to say which are out of date.

  Returns:
    Files that were out of date.

  Raises:
    ValueError: a damaged file, or markers that do not fit; both are named.
  """
  results = {
    path.stem: read_result(path) for path in sorted(docs.glob('results/*.json'))
  }
  stale = []
  for name, result in results.items():
    picture = docs / 'results' / f'{name}.png'
    if 'picture' in result and not drawn_from(result['picture'], picture):
      stale.append(picture)
      if write:
        with whole_file(picture) as partial:
          draw_lines(result['picture'], partial)
  shown = set()
  for path in (docs.parent / 'README.md', *sorted(docs.glob('*.md'))):
    if not path.exists():
      continue
    text = path.read_text()
    folder = docs.relative_to(path.parent) / 'results'
    with files.naming(path, 'cannot show results', remedy=''):
      new, names = page_with(results, text, folder.as_posix())
    shown |= names
    if new != text:
      stale.append(path)
      if write:
        write_whole(path, new)
  if unseen := sorted(results.keys() - shown):
    print(f'Shown on no page: {", ".join(unseen)}.')
  return stale


def read_result(path: pathlib.Path) -> dict[str, Any]:
  """What a file in docs/results holds.

  Raises:
    ValueError: an entry is missing or makes no sense; names file and entry.
  """
  result = files.read_json(path)
  if missing := [key for key in _NEEDED if key not in result]:
    raise ValueError(
      f'{path} lacks {", ".join(missing)}; a result needs {", ".join(_NEEDED)}.'
    )
  num_columns = len(result['columns'])
  for number, row in enumerate(result['rows']):
    if len(row) != num_columns:
      raise ValueError(
        f'{path}: row {number} ({row[:1]}...) has {len(row)} cells, but there '
        f'are {num_columns} columns.'
      )
  with files.naming(
    path, 'is not a result', remedy='See the header of results.'
  ):
    datetime.date.fromisoformat(result['date'])
    _digits(result)
  return result


def page_with(
  results: Mapping[str, Mapping[str, Any]], text: str, folder: str
) -> tuple[str, set[str]]:
  """A page with its blocks written anew.

  Args:
    results: name -> what its file holds.
    text: of the page.
    folder: of the results, as the page links to it.

  Returns:
    The new text, and the names that it shows.

  Raises:
    ValueError: a marker without its partner, or an unknown name.
  """
  blocks = list(_BLOCK.finditer(text))
  markers = _MARKER.findall(text)
  if markers != [m for b in blocks for m in (f'results: {b[2]}', 'end')]:
    raise ValueError(
      'every "<!-- results: NAME -->" needs an "<!-- end -->" before the next '
      f'one, each on a line of its own; found {", ".join(markers)}'
    )
  names = [block[2] for block in blocks]
  check_known('result', results, *names)

  def written(block):
    return f'{block[1]}{format_result(block[2], results[block[2]], folder)}\n'

  return _BLOCK.sub(lambda b: f'{written(b)}{b[4]}', text), set(names)


def format_result(name: str, result: Mapping[str, Any], folder: str) -> str:
  """The Markdown of a result: picture, table, notes, and where it is from."""
  parts = []
  if 'picture' in result:
    title = name.replace('_', ' ')
    parts.append(f'![{title}]({folder}/{name}.png)')
  digits = _digits(result)
  if result['rows']:
    rows = [
      [format_cell(cell, n) for cell, n in zip(row, digits)]
      for row in result['rows']
    ]
    table = [result['columns'], *rows]
    if result.get('turned'):
      table = list(zip(*table))
    parts.append(markdown.table(table[0], table[1:], align='---:'))
  date = datetime.date.fromisoformat(result['date'])
  origin = (
    f'{markdown.code(result["command"])}, {date.day} {date:%B %Y}, '
    f'{result["machine"]}, commit {result["commit"][:7]}.'
  )
  parts += [_filled(note) for note in (result.get('notes', ''), origin) if note]
  return '\n\n'.join(parts)


def _digits(result: Mapping[str, Any]) -> list[int | None]:
  """Digits of each column."""
  digits, num_columns = result.get('digits'), len(result['columns'])
  if not isinstance(digits, list):
    return [digits] * num_columns
  if len(digits) != num_columns:
    raise ValueError(
      f'digits has {len(digits)} entries for {num_columns} columns'
    )
  return digits


def _filled(text: str) -> str:
  """Paragraphs in lines as long as the pages have."""
  return '\n\n'.join(
    textwrap.fill(
      paragraph, _PAGE_WIDTH, break_long_words=False, break_on_hyphens=False
    )
    for paragraph in text.split('\n\n')
  )


def _workdirs(measured: list[str]) -> dict[str, pathlib.Path]:
  """Workdirs of evaluations by name; a single one needs no name."""
  if len(measured) == 1:
    return {'': pathlib.Path(measured[0])}
  workdirs = {}
  for given in measured:
    name, _, path = given.partition('=')
    if not path or name in workdirs:
      raise app.UsageError(
        f'--from {given}: several --from need different names, as in --from '
        'before=runs/before --from after=runs/after.'
      )
    workdirs[name] = pathlib.Path(path)
  return workdirs


def main(args: flags.FlagValues) -> None:
  """Runs the command."""
  docs = pathlib.Path(args.docs).resolve()
  measured = args['from'].value
  if len(measured) > 1 and not args.column and not args.draw:
    raise app.UsageError(
      'Several --from need --column, if they are evaluations, or else --draw: '
      'figures of comparisons, to be drawn over their clips.'
    )
  if args.check and measured:
    raise app.UsageError('--check writes nothing; leave out --from and --name.')
  if bool(measured) != bool(args.name):
    raise app.UsageError('--from and --name belong together.')
  if args.add and (len(measured) != 1 or args.column):
    raise app.UsageError('--add needs one --from, which must be a comparison.')
  if measured:
    path = docs / 'results' / f'{args.name}.json'
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = files.read_json(path) if path.exists() else {}
    if args.column:
      result = summarize_evaluations(_workdirs(measured), args.column)
    elif len(measured) > 1:
      result = summarize_budgets([*map(pathlib.Path, measured)], args.draw)
    else:
      added_to = kept if args.add else None
      result = summarize(pathlib.Path(measured[0]), args.draw, added_to)
    result['turned'] = args.turned
    # What was written by hand stays.
    result['notes'] = kept.get('notes', result['notes'])
    write_whole(path, format_json(result))
    print(path)
  stale = update(docs, write=not args.check)
  for path in stale:
    print(f'{"Out of date" if args.check else "Written"}: {path}')
  if args.check and stale:
    sys.exit('Run: python -m rvmae_jax.tools.results')


if __name__ == '__main__':
  flags.DEFINE_string('docs', 'docs', 'Folder of the pages.')
  flags.DEFINE_bool(
    'check', False, 'Write nothing; fail if a page is out of date.'
  )
  flags.DEFINE_multi_string(
    'from', [], 'Workdir of a comparison or evaluation to make a file from.'
  )
  flags.DEFINE_multi_string(
    'column', [], 'Of an evaluation: HEADING=FIGURE, * for the network.'
  )
  flags.DEFINE_bool(
    'add', False, 'Keep runs of the file that the comparison lacks.'
  )
  flags.DEFINE_string('name', None, 'Name of that file, without .json.')
  flags.DEFINE_bool(
    'turned', False, 'Show metrics as rows and methods as columns.'
  )
  flags.DEFINE_list(
    'draw', [], 'Training curves to draw; of several comparisons, figures.'
  )
  run_command(main)
