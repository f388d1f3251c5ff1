"""Pages show what docs/results holds, and nothing else."""

import json
import pathlib

import pytest

from rvmae_jax.tools import results as tool

DOCS = pathlib.Path(__file__).resolve().parents[2] / 'docs'
RESULT = {
  'command': 'python -m rvmae_jax.train',
  'date': '2026-11-28',
  'machine': 'two CPU cores, jax 0.10.2',
  'commit': '0123456789abcdef',
  'columns': ['method', 'clips', 'probe, %', 'error'],
  'digits': [None, None, None, 4],
  'rows': [
    ['a_b', 9600, [58.54, 3.36], 0.00125],
    ['c', 12, [7.0, None], None],
  ],
  'notes': 'Two seeds.',
  'picture': {
    'panels': [
      {
        'x': 'clips',
        'y': 'probe, %',
        'lines': [
          {'name': 'a', 'x': [1, 2], 'y': [3.0, 4.0], 'spread': [1.0, 0.5]}
        ],
      }
    ]
  },
}
BLOCK = """\
<!-- results: study -->
![study](results/study.png)

| method | clips | probe, % | error |
| --- | ---: | ---: | ---: |
| a_b | 9,600 | 58.5 ± 3.4 | 0.0013 |
| c | 12 | 7.0 |  |

Two seeds.

`python -m rvmae_jax.train`, 28 November 2026, two CPU cores, jax 0.10.2, commit
0123456.
<!-- end -->
"""


@pytest.fixture
def docs(tmp_path):
  docs = tmp_path / 'docs'
  (docs / 'results').mkdir(parents=True)
  (docs / 'results/study.json').write_text(json.dumps(RESULT))
  (docs / 'page.md').write_text(
    'Before.\n\n<!-- results: study -->\n<!-- end -->\n\nAfter.\n'
  )
  return docs


def test_the_pages_of_the_tree_are_up_to_date():
  assert tool.update(DOCS, write=False) == []


def test_a_page_gets_picture_table_and_origin(docs):
  page, picture = docs / 'page.md', docs / 'results/study.png'
  assert tool.update(docs, write=False) == [picture, page]
  assert not picture.exists()
  assert tool.update(docs) == [picture, page]
  assert page.read_text() == f'Before.\n\n{BLOCK}\nAfter.\n'
  assert tool.update(docs) == []


def test_a_changed_number_is_noticed(docs):
  tool.update(docs)
  changed = json.loads(json.dumps(RESULT))
  changed['rows'][1][1] = 13
  changed['picture']['panels'][0]['lines'][0]['y'] = [3.0, 5.0]
  (docs / 'results/study.json').write_text(json.dumps(changed))
  stale = tool.update(docs, write=False)
  assert [path.name for path in stale] == ['study.png', 'page.md']


def test_the_readme_links_from_above(docs):
  readme = docs.parent / 'README.md'
  readme.write_text(BLOCK)
  tool.update(docs)
  assert '![study](docs/results/study.png)' in readme.read_text()


@pytest.mark.parametrize(
  ('text', 'why'),
  [
    ('<!-- results: study -->\n', 'needs an "<!-- end -->"'),
    ('<!-- end -->\n', 'needs an "<!-- end -->"'),
    ('<!-- results: studi -->\n<!-- end -->\n', "'study'"),
  ],
)
def test_markers_that_do_not_fit_name_the_page(docs, text, why):
  (docs / 'page.md').write_text(text)
  with pytest.raises(ValueError, match=r'page\.md') as error:
    tool.update(docs)
  assert why in str(error.value)


@pytest.mark.parametrize(
  ('change', 'why'),
  [
    ({'rows': [['a', 1]]}, "row 0 .*'a'.* has 2 cells, .* 4 columns"),
    ({'date': '28 November'}, 'is not a result'),
    ({'digits': [1]}, '1 entries for 4 columns'),
  ],
)
def test_a_damaged_file_is_named(docs, change, why):
  path = docs / 'results/study.json'
  path.write_text(json.dumps({**RESULT, **change}))
  with pytest.raises(ValueError, match=rf'(?s)study\.json.*{why}'):
    tool.read_result(path)


def test_what_is_missing_is_named(docs):
  path = docs / 'results/study.json'
  path.write_text(json.dumps({'columns': [], 'rows': []}))
  with pytest.raises(ValueError, match='lacks command, date, machine, commit'):
    tool.read_result(path)


def test_a_table_can_be_turned():
  table = {**RESULT, 'turned': True}
  del table['picture']
  text = tool.format_result('study', table, 'results')
  assert text.startswith(
    '| method | a_b | c |\n| --- | ---: | ---: |\n| clips | 9,600 | 12 |\n'
  )


def test_json_has_a_line_for_each_row():
  text = tool.format_json(RESULT)
  assert json.loads(text) == RESULT
  assert '\n  ["c", 12, [7.0, null], null]\n' in text
