"""A result tells where its numbers come from."""

import datetime
import json
import sys

from rvmae_jax.tools.result_file import write_result


def test_a_result_has_its_table_and_its_origin(tmp_path, monkeypatch):
  monkeypatch.setattr(sys, 'argv', ['tool.py', '--out', 'a b.json'])
  path = tmp_path / 'results/a.json'
  write_result(path, ('method', 'dB'), [('rvm', 30.5)], 'Notes.', more={'x': 1})
  result = json.loads(path.read_text())
  assert result['columns'] == ['method', 'dB']
  assert result['rows'] == [['rvm', 30.5]]
  assert result['notes'] == 'Notes.'
  assert result['more'] == {'x': 1}
  assert result['command'].endswith("--out 'a b.json'")
  datetime.date.fromisoformat(result['date'])
  assert {'machine', 'commit', 'versions'} <= result.keys()
