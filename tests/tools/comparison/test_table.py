"""The table of a comparison."""

import math

import pytest

from rvmae_jax.tools.comparison import table as compare_table


def test_the_table_is_markdown():
  def result(accuracy, psnr):
    figures = {'a/top1': accuracy, 'psnr': psnr, 'parameters': 1.5e6}
    return {'figures': figures}

  rows = compare_table.make_rows(
    {
      ('fails', 0): {'failure': 'E: a|b\nc'},
      ('one', 0): result(0.1, 20.0),
      ('two', 0): result(0.5, 20.0),
      ('two', 1): result(0.7, 22.0),
      ('two', 2): None,  # Not done yet.
    },
    sort_by='a/top1',
  )
  text = compare_table.format_markdown(
    rows, (('a/top1', 'top'), ('psnr', 'dB'))
  )
  heading, rule, *lines = text.splitlines()
  assert heading.startswith('| method | seeds | top, % | dB | parameters, M |')
  assert rule.startswith('| --- | ---: |')
  assert {line.replace('\\|', '').count('|') for line in text.splitlines()} == {
    heading.count('|')
  }
  # Deviations of the sample: 0.1 * sqrt(2) and sqrt(2).
  assert lines[0].startswith('| two | 2 | 60.0 ± 14.1 | 21.0 ± 1.4 | 1.50 |')
  assert lines[1].startswith('| one | 1 | 10.0 | 20.0 | 1.50 |')
  assert lines[2].startswith('| fails | 0 |  |  |  |')
  assert lines[2].endswith('| seed 0 failed: E: a\\|b c |')


def test_a_run_that_may_have_collapsed_is_told():
  done = {'figures': {'a/top1': 0.5}, 'problems': ['Steps 50 to 90: stuck.']}
  rows = compare_table.make_rows(
    {('one', 0): done, ('one', 1): {**done, 'problems': []}}, sort_by='a/top1'
  )
  text = compare_table.format_markdown(rows, (('a/top1', 'top'),))
  assert text.endswith('| seed 0: Steps 50 to 90: stuck. |\n')


@pytest.mark.parametrize('value', [math.nan, math.inf])
def test_a_figure_that_is_not_finite_ends_nothing(value):
  def results(method, *accuracies):
    return {
      (method, seed): {'figures': {'a/top1': accuracy}}
      for seed, accuracy in enumerate(accuracies)
    }

  runs = results('low', 0.1) | results('odd', value, 0.3)
  runs |= results('top', 0.9) | results('half', 0.5)
  rows = compare_table.make_rows(runs, sort_by='a/top1')
  others = [row['method'] for row in rows if row['method'] != 'odd']
  assert others == ['top', 'half', 'low']
  [odd] = [row for row in rows if row['method'] == 'odd']
  assert math.isnan(odd['std']['a/top1'])
  compare_table.format_markdown(rows, (('a/top1', 'top'),))
