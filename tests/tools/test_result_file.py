"""A result tells where its numbers come from."""

import datetime
import json
import sys

import pytest

from rvmae_jax.tools import result_file
from rvmae_jax.tools.result_file import format_cell, needed_digits, write_result


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


def test_the_machine_is_what_computed(tmp_path, monkeypatch):
  for device, machine in (
    ('2 x NVIDIA H200', '2 x NVIDIA H200'),
    ('1 x cpu', 'CPU cores'),
  ):
    monkeypatch.setattr(
      result_file, 'environment', lambda device=device: {'device': device}
    )
    write_result(tmp_path / 'a.json', ('x',), [])
    result = json.loads((tmp_path / 'a.json').read_text())
    assert result['machine'].endswith(machine)


@pytest.mark.parametrize(
  ('cell', 'digits', 'text'),
  [
    (None, 2, ''),
    ('int8', 2, 'int8'),
    (9600, 2, '9,600'),
    (1234.56, None, '1,234.6'),
    (0.0, 1, '0.0'),
    (3.64e-6, 1, '3.6e-06'),
    (0.06, 1, '0.1'),
    ([0.25, 0.012], 2, '0.25 ± 0.01'),
    ([19.886, 0.03148], 1, '19.9 ± 0.03'),
    ([0.607, 3.2e-5], 3, '0.607 ± 0.00003'),
    ([0.607, 0.0], 3, '0.607 ± 0.000'),
    ([0.25, None], 2, '0.25'),
  ],
)
def test_cells(cell, digits, text):
  assert format_cell(cell, digits) == text


def test_a_figure_that_is_no_number_hides_none():
  assert needed_digits([float('nan'), [20.5, 1.0], None, float('inf')]) == 1
  assert needed_digits([0.0123]) == 4
  assert needed_digits([float('nan')]) == 1
  assert format_cell(float('nan'), 1) == 'nan'
