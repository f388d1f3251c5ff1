"""An evaluation's table: a network in each row, a figure in each column."""

import json

import pytest

from rvmae_jax.tools import result_file, results
from rvmae_jax.tools.evaluation_summary import summarize_evaluations

COLUMNS = [
  'probe=probe/*/mean/top1',
  'AJ, first=points/*/first/AJ',
  'PSNR, dB=rebuilt/gap_2/*/psnr',
]


@pytest.fixture
def workdir(tmp_path):
  found = {
    'probe': {
      'chance': 0.25,
      'trained/mean/top1': 0.5,
      'random/mean/top1': 0.375,
      'trained/mean/top5': 0.875,
    },
    'points': {
      'trained/first/AJ': 0.04,
      'trained/first/AJ_se': 0.002,
      'stand_still/first/AJ': 0.03,
    },
    'rebuilt': {'gap_2/model/psnr': 22.3456789, 'gap_4/model/psnr': 20.0},
  }
  written = {
    'command': 'evaluate it',
    'environment': {'device': '1 x cpu', 'jax': '0.10.2', 'commit': 'abc'},
    'run_config': {'seed': 0},
    'evaluations': {
      alias: {'metrics': metrics, 'date': f'2026-11-2{number}'}
      for number, (alias, metrics) in enumerate(found.items())
    },
  }
  (tmp_path / 'metrics.json').write_text(json.dumps(written))
  return tmp_path


def test_networks_are_rows_and_trivial_answers_too(workdir):
  summary = summarize_evaluations({'': workdir}, COLUMNS)
  assert summary['columns'] == ['network', 'probe, %', 'AJ, first', 'PSNR, dB']
  assert summary['rows'] == [
    ['trained', 50.0, [0.04, 0.002], 22.346],
    ['random', 37.5, None, None],
    ['stand_still', None, 0.03, None],
  ]
  assert summary['digits'] == [None, 1, 4, 1]
  assert summary['date'] == '2026-11-22'
  assert summary['figures']['rebuilt/gap_4/model/psnr'] == 20.0


def test_of_several_a_row_says_whose_it_is(workdir):
  after = workdir / 'after'
  after.mkdir()
  written = json.loads((workdir / 'metrics.json').read_text())
  written['command'] = 'evaluate that'
  written['evaluations']['probe']['metrics']['trained/mean/top1'] = 0.625
  (after / 'metrics.json').write_text(json.dumps(written))
  both = {'before': workdir, 'after': after}
  summary = summarize_evaluations(both, COLUMNS)
  assert summary['rows'] == [
    ['before', 50.0, [0.04, 0.002], 22.346],
    ['after', 62.5, [0.04, 0.002], 22.346],
    ['random', 37.5, None, None],
    ['stand_still', None, 0.03, None],
  ]
  assert summary['command'] == 'evaluate it; evaluate that'
  assert summary['run_config'] == {'before': {'seed': 0}, 'after': {'seed': 0}}
  assert summary['figures']['after']['probe/trained/mean/top1'] == 0.625


def test_an_evaluation_within_another_command_has_none_of_its_own(workdir):
  path = workdir / 'metrics.json'
  written = json.loads(path.read_text())
  del written['command']
  path.write_text(json.dumps(written))
  assert summarize_evaluations({'': workdir}, COLUMNS)['command'] == 'unknown'


def test_it_is_a_result_that_pages_can_show(workdir):
  path = workdir / 'study.json'
  summary = summarize_evaluations({'': workdir}, COLUMNS)
  path.write_text(result_file.format_json(summary))
  text = results.format_result('study', results.read_result(path), 'results')
  assert '| trained | 50.0 | 0.0400 ± 0.0020 | 22.3 |' in text
  assert '`evaluate it`, 22 November 2026, 1 x cpu, jax 0.10.2' in text


@pytest.mark.parametrize(
  'column',
  ['probe/*/mean/top1', 'probe=probe/trained/mean/top1', 'p=probe/*/top2'],
)
def test_a_column_that_fits_nothing_is_named(workdir, column):
  with pytest.raises(ValueError, match='HEADING=FIGURE') as error:
    summarize_evaluations({'': workdir}, [column])
  assert repr(column) in str(error.value)
  assert 'probe/trained/mean/top1' in str(error.value)


def test_an_evaluation_without_dates_is_to_be_repeated(workdir):
  path = workdir / 'metrics.json'
  path.write_text(path.read_text().replace('"date"', '"day"'))
  with pytest.raises(ValueError, match='older version of evaluate'):
    summarize_evaluations({'': workdir}, COLUMNS)


def test_a_file_of_something_else_is_named(workdir):
  (workdir / 'metrics.json').write_text('{"loss": 1}')
  with pytest.raises(
    ValueError, match=r'metrics\.json was not written by eval'
  ):
    summarize_evaluations({'': workdir}, COLUMNS)


def test_a_folder_without_an_evaluation_is_refused(tmp_path):
  with pytest.raises(FileNotFoundError, match='workdir of evaluate'):
    summarize_evaluations({'': tmp_path}, COLUMNS)
