"""Text as people save it: encodings, separators, ends of lines, quotes."""

import codecs

import pytest

from rvmae_jax.data import text
from rvmae_jax.data.localization.activitynet import activitynet
from rvmae_jax.data.notices import warn_once


@pytest.fixture
def warnings(monkeypatch):
  """What is warned of, in order."""
  said = []
  monkeypatch.setattr(text, 'warn_once', said.append)
  return said


@pytest.mark.parametrize(
  ('encoding', 'mark'),
  [
    ('utf-8', b''),
    ('utf-8', codecs.BOM_UTF8),
    ('utf-16', b''),  # Writes its own mark.
    ('utf-16-be', codecs.BOM_UTF16_BE),
    ('utf-32', b''),
  ],
)
@pytest.mark.parametrize('newline', ['\n', '\r\n', '\r'])
def test_unicode_is_read_however_it_is_saved(
  encoding, mark, newline, tmp_path, warnings
):
  path = tmp_path / 'list.txt'
  path.write_bytes(mark + f'größe 1{newline}日本 2{newline}'.encode(encoding))
  assert text.read_lines(str(path)) == ['größe 1', '日本 2']
  assert not warnings


def test_what_is_no_unicode_is_read_as_windows_1252_and_said(
  tmp_path, warnings
):
  path = tmp_path / 'list.txt'
  path.write_bytes('a\r\ngröße “x”\r\n'.encode('cp1252'))
  assert text.read_lines(str(path)) == ['a', 'größe “x”']
  [warning] = warnings
  assert 'list.txt' in warning and "line 2 is 'größe “x”'" in warning


@pytest.mark.parametrize(
  ('data', 'message'),
  [
    ('path'.encode('utf-16-le'), 'zero bytes'),
    (b'a\n\x81\xff', 'neither UTF-8 .see line 2. nor'),
    (codecs.BOM_UTF16_LE + b'abc', 'begins as utf-16 but is not valid utf-16'),
  ],
)
def test_other_bytes_are_refused_by_name(data, message, tmp_path):
  path = tmp_path / 'list.csv'
  path.write_bytes(data)
  with pytest.raises(ValueError, match=rf"list\.csv'.*{message}"):
    text.read_text(str(path))


@pytest.mark.parametrize(
  'content',
  [
    'path,note\na.mp4,"x, y"\n',
    'path;note\na.mp4;x, y\n',
    'path\tnote\na.mp4\tx, y\n',
    'sep=;\npath;note\na.mp4;x, y\n',
    '"path";"note"\n"a.mp4";"x, y"\n',
    ' Path , note\n\na.mp4 , "x, y"\n,\n',
    ',PATH,note\n0,a.mp4,"x, y"\n',  # pandas with its index
    'path,note,\na.mp4,"x, y",\n',
  ],
)
def test_a_table_is_read_whatever_separates_its_cells(content, tmp_path):
  path = tmp_path / 'list.csv'
  path.write_text(content)
  assert text.read_table(str(path), ('path',)) == [
    {'path': 'a.mp4', 'note': 'x, y'}
  ]


def test_rows_say_where_they_stand(tmp_path):
  path = tmp_path / 'list.csv'
  path.write_text('path,note\n\na.mp4,"two\nlines"\nb.mp4\n')
  rows = text.read_table(str(path), ('path',))
  assert [row.place.split(' of ')[0] for row in rows] == ['line 4', 'line 5']
  assert rows[1] == {'path': 'b.mp4', 'note': ''}


@pytest.mark.parametrize(
  ('content', 'message'),
  [
    ('path,label\na,walk, fast\n', r'Line 2 of .*list\.csv.* 3 cells'),
    ('path,label\n"a,b\nc,d\n', r'list\.csv.* is not a table: line 3'),
    ('path,note, note\na,b,c\n', r"list\.csv.* more than one column 'note'"),
    ('path,Path\na,b\n', r"more than one column 'path'"),
  ],
)
def test_nothing_of_a_table_is_lost_in_silence(content, message, tmp_path):
  path = tmp_path / 'list.csv'
  path.write_text(content)
  with pytest.raises(ValueError, match=message):
    text.read_table(str(path), ('path',))


@pytest.mark.parametrize('content', ['{"a": 1,\n b}', '{"a": 1}\n{"a": 2}'])
def test_broken_json_is_named_with_its_line(content, tmp_path):
  path = tmp_path / 'list.json'
  path.write_text(content)
  with pytest.raises(
    ValueError, match=r'list\.json.* is not valid JSON: line 2'
  ):
    text.read_json(str(path))


@pytest.mark.parametrize('value', ['{', '9' * 5000, '[' * 100_000])
def test_a_line_that_is_no_json_is_named(value, tmp_path):
  path = tmp_path / 'list.jsonl'
  path.write_text(f'[1]\n{value}')
  with pytest.raises(ValueError, match=r"line 2 of '.*list\.jsonl'"):
    text.read_json_lines(str(path))


def test_annotations_of_others_are_read_by_it_too(tmp_path):
  (tmp_path / 'a.mp4').touch()
  path = tmp_path / 'annotations.json'
  video = '{"subset": "t", "annotations": [{"label": "é", "segment": [0, 1]}]}'
  path.write_bytes(f'{{"database": {{"a": {video}}}}}'.encode('utf-16'))
  assert activitynet(str(path), 't').class_names == ['é']


def test_a_warning_is_said_once(caplog):
  for _ in range(3):
    warn_once('of this test alone')
  assert caplog.text.count('of this test alone') == 1
