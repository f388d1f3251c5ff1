"""Measurements as processes: results stay, failures are told."""

import dataclasses
import json
import re

import pytest

from rvmae_jax.benchmarks.measurement import Measurement, measure


def _measurement(program, limit_s=30.0):
  return Measurement('one', ('-c', program), limit_s, {'VALUE': '7'})


def test_a_result_is_kept_and_not_measured_again(tmp_path):
  program = (
    'import os; print("hello"); print("{\\"a\\":", os.environ["VALUE"], "}")'
  )
  first = measure(_measurement(program), tmp_path)
  assert first['result'] == {'a': 7}
  assert first['seconds'] > 0
  assert 'hello' in (tmp_path / 'one.log').read_text()
  (tmp_path / 'one.log').unlink()
  again = measure(_measurement(program), tmp_path)
  assert again == json.loads((tmp_path / 'one.json').read_text()) == first
  assert not (tmp_path / 'one.log').exists()


def test_another_command_of_that_name_is_measured(tmp_path):
  """Such as the full suite after the quick one."""
  for number in (1, 2):
    found = measure(_measurement(f'print({number})'), tmp_path)
    assert found['result'] == number


def test_another_environment_is_measured(tmp_path):
  one = _measurement('import os; print(os.environ["VALUE"])')
  other = dataclasses.replace(one, environment={'VALUE': '8'})
  found = [measure(each, tmp_path)['result'] for each in (one, other)]
  assert found == [7, 8]


@pytest.mark.parametrize(
  ('program', 'limit_s', 'reason'),
  [
    ('raise ValueError("no such thing")', 30, 'exit code 1: .*no such thing'),
    (
      'print("done"); raise ValueError("no")',
      30,
      'exit code 1: ValueError: no',
    ),
    ('import time; time.sleep(60)', 0.2, 'killed after 0 s'),
  ],
)
def test_a_failure_is_told_and_tried_again(tmp_path, program, limit_s, reason):
  failed = measure(_measurement(program, limit_s), tmp_path)
  assert re.search(reason, failed['failed'])
  assert not (tmp_path / 'one.json').exists()
  found = measure(_measurement('print("2 passed")'), tmp_path)
  assert found['result'] == {'summary': '2 passed'}
