import json

import pytest

from rvmae_jax.tools import result_file, results
from rvmae_jax.tools.compare import compare
from rvmae_jax.tools.comparison.summary import summarize
from tests.tools.tiny_comparison import ACCURACY, comparison


@pytest.fixture
def workdir(tmp_path, monkeypatch):
  """Two methods, two seeds; `other` fails with its second one."""

  def start(job):
    if job.name == 'other/seed_1':
      return 1
    figures = {
      ACCURACY: 0.25 + 0.5 * job.seed,
      'psnr_hidden': 20.123456 + job.seed,
      'parameters': 1_500_000,
    }
    result = {
      'key': job.name,
      'date': f'2026-11-2{job.seed}',
      'config': {
        'seed': job.seed,
        'batch_size': 16,
        'model': {'name': job.method, 'width': 8},
      },
      'environment': {'device': '1 x cpu', 'jax': '0.10.2', 'commit': 'abc'},
      'figures': figures,
      'seconds': 1.0,
    }
    (job.folder / 'result.json').write_text(json.dumps(result))
    lines = [
      {'step': s, 'loss': 1 / s, 'core/update_gate': 0.5, 'lr': 1.0}
      for s in range(1, 101)
    ]
    text = ''.join(f'{json.dumps(line)}\n' for line in lines)
    (job.folder / 'metrics.jsonl').write_text(text)
    return 0

  monkeypatch.setattr(
    'rvmae_jax.tools.compare.run_key',
    lambda _, method, seed: f'{method}/seed_{seed}',
  )
  columns = (ACCURACY, 'probe'), ('psnr_hidden', 'PSNR, dB')
  config = comparison(columns=columns)
  compare(config, tmp_path, start, command='compare it')
  return tmp_path


def test_the_table_is_that_of_its_rows(workdir):
  summary = summarize(workdir)
  assert summary['command'] == 'compare it'
  assert summary['date'] == '2026-11-21'
  assert summary['columns'][:5] == [
    *('method', 'seeds', 'probe, %', 'PSNR, dB', 'parameters, M')
  ]
  # Means of 0.25 and 0.75, of 20.12 and 21.12; deviations of two numbers.
  assert summary['rows'][0][:5] == [
    *('rvm', 2, [50.0, 35.355], [20.623, 0.70711], 1.5)
  ]
  assert summary['rows'][1][:4] == ['other', 1, 25.0, 20.123]
  assert summary['digits'][:4] == [None, None, 1, 1]


def test_each_run_keeps_its_config_figures_and_curves(workdir):
  summary = summarize(workdir)
  assert summary['config'] == {'batch_size': 16, 'model.width': 8}
  assert summary['runs'] == {
    'rvm/seed_0': {'seed': 0, 'model.name': 'rvm'},
    'rvm/seed_1': {'seed': 1, 'model.name': 'rvm'},
    'other/seed_0': {'seed': 0, 'model.name': 'other'},
  }
  assert summary['figures'][ACCURACY] == [0.25, 0.75, 0.25]
  curve = summary['curves']['other/seed_0']
  assert curve.keys() == {'step', 'loss', 'core/update_gate'}
  assert (curve['step'][0], curve['step'][-1]) == (1, 100)
  assert len(curve['loss']) == 20


def test_curves_are_drawn_as_means_of_seeds(workdir):
  [panel] = summarize(workdir, drawn=['loss'])['picture']['panels']
  of_rvm, of_other = panel['lines']
  assert (of_rvm['name'], of_other['name']) == ('rvm', 'other')
  assert (of_rvm['x'][0], of_rvm['x'][-1]) == (16, 1600)
  assert (of_rvm['y'][0], of_rvm['y'][-1]) == (1.0, 0.01)
  assert set(of_rvm['spread']) == {0.0}
  assert 'spread' not in of_other  # One seed.


def test_what_is_kept_can_be_shown(workdir, tmp_path):
  path = tmp_path / 'kept.json'
  path.write_text(result_file.format_json(summarize(workdir)))
  result = results.read_result(path)
  page = results.format_result('kept', result, 'results')
  assert '| rvm | 2 | 50.0 ± 35.4 | 20.6 ± 0.7 | 1.50 |' in page


def test_a_folder_without_a_comparison_is_answered(tmp_path):
  with pytest.raises(FileNotFoundError, match='workdir of tools/compare'):
    summarize(tmp_path)
