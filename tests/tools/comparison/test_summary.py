import functools
import json

import pytest

from rvmae_jax.tools import result_file, results
from rvmae_jax.tools.compare import compare
from rvmae_jax.tools.comparison.summary import summarize, summarize_budgets
from tests.tools.tiny_comparison import ACCURACY, comparison


@pytest.fixture(name='compared')
def _compared(tmp_path, monkeypatch):
  """Makes a comparison; two methods, two seeds; `other` fails with its second.

  Twice the clips add 10 % to the accuracy.
  """
  monkeypatch.setattr(
    'rvmae_jax.tools.compare.run_key',
    lambda _, method, seed: f'{method}/seed_{seed}',
  )

  def make(clips=1600):
    workdir = tmp_path / str(clips)
    columns = (ACCURACY, 'probe'), ('psnr_hidden', 'PSNR, dB')
    config = comparison(columns=columns)
    start = functools.partial(_start, clips)
    compare(config, workdir, start, command=f'compare {clips}')
    return workdir

  return make


def _start(clips, job):
  if job.name == 'other/seed_1':
    return 1
  figures = {
    ACCURACY: 0.25 + 0.5 * job.seed + 0.1 * (clips // 1600 - 1),
    'psnr_hidden': 20.123456 + job.seed,
    'parameters': 1_500_000,
    'clips': clips,
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


@pytest.fixture
def workdir(compared):
  return compared()


def test_the_table_is_that_of_its_rows(workdir):
  summary = summarize(workdir)
  assert summary['command'] == 'compare 1600'
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


def test_seeds_of_other_lengths_meet_at_the_clips_that_all_have_seen(workdir):
  shorter = workdir / 'rvm/seed_1'
  lines = [{'step': s, 'loss': 3.0 - 0.02 * s} for s in range(1, 51)]
  (shorter / 'metrics.jsonl').write_text('\n'.join(map(json.dumps, lines)))
  longer = workdir / 'rvm/seed_0'
  lines = [{'step': s, 'loss': 1.0 - 0.01 * s} for s in range(1, 101)]
  (longer / 'metrics.jsonl').write_text('\n'.join(map(json.dumps, lines)))
  [panel] = summarize(workdir, drawn=['loss'])['picture']['panels']
  of_rvm, _ = panel['lines']
  assert (of_rvm['x'][0], of_rvm['x'][-1]) == (16, 800)
  # After 50 steps: 0.5 and 2.
  assert of_rvm['y'][-1] == 1.25


def test_clips_are_counted_by_the_batch_of_each_method(workdir):
  path = workdir / 'other/seed_0/result.json'
  result = json.loads(path.read_text())
  result['config']['batch_size'] = 4
  path.write_text(json.dumps(result))
  [panel] = summarize(workdir, drawn=['loss'])['picture']['panels']
  assert [line['x'][-1] for line in panel['lines']] == [1600, 400]


def test_a_curve_that_no_run_has_is_named(workdir):
  with pytest.raises(ValueError, match=r"Unknown curve 'los'.*'loss'"):
    summarize(workdir, drawn=['los'])


def test_what_is_kept_can_be_shown(workdir, tmp_path):
  path = tmp_path / 'kept.json'
  path.write_text(result_file.format_json(summarize(workdir)))
  result = results.read_result(path)
  page = results.format_result('kept', result, 'results')
  assert '| rvm | 2 | 50.0 ± 35.4 | 20.6 ± 0.7 | 1.50 |' in page


def test_a_folder_without_a_comparison_is_answered(tmp_path):
  with pytest.raises(FileNotFoundError, match='workdir of tools/compare'):
    summarize(tmp_path)


def test_a_probe_in_training_is_drawn_in_per_cent(workdir):
  name = 'along/trained/mean/top1'
  with (workdir / 'rvm/seed_0/metrics.jsonl').open('a') as file:
    for step, value in (50, 0.25), (100, 0.5):
      file.write(json.dumps({'step': step, name: value}) + '\n')
    file.write(json.dumps({'step': 100, 'rebuilt/psnr': 21.5}) + '\n')
  summary = summarize(workdir, drawn=['loss', name, 'rebuilt/psnr'])
  assert summary['evaluated'] == {
    'rvm/seed_0': {
      'step': [50, 100],
      name: [0.25, 0.5],
      'rebuilt/psnr': [None, 21.5],
    }
  }
  of_loss, of_probe, of_rebuilt = summary['picture']['panels']
  assert of_loss['y'] == 'loss'
  assert of_rebuilt['lines'] == [{'name': 'rvm', 'x': [1600], 'y': [21.5]}]
  assert of_probe == {
    'x': 'clips',
    'y': 'along/trained/mean/top1, %',
    'lines': [{'name': 'rvm', 'x': [800, 1600], 'y': [25.0, 50.0]}],
  }


def test_runs_of_an_earlier_summary_are_kept(workdir):
  both = summarize(workdir, drawn=['loss'])
  for seed in (0, 1):
    (workdir / f'rvm/seed_{seed}/result.json').unlink(missing_ok=True)
  path = workdir / 'other/seed_0/result.json'
  result = json.loads(path.read_text())
  result['figures'][ACCURACY] = 0.375
  result['date'] = '2026-11-30'
  path.write_text(json.dumps(result))
  _write_table(workdir, ['other'])
  alone = summarize(workdir)
  assert list(alone['runs']) == ['other/seed_0']
  added = summarize(workdir, drawn=['loss'], kept=both)
  assert added['date'] == '2026-11-30'
  # The workdir's runs are new, the file's are as they were.
  assert added['rows'][0] == both['rows'][0]
  assert added['rows'][1][:4] == ['other', 1, 37.5, 20.123]
  assert sorted(added['runs']) == sorted(both['runs'])
  assert added['config'] == both['config']
  assert {k: added['runs'][k] for k in both['runs']} == both['runs']
  assert added['curves'] == both['curves']
  names = [line['name'] for line in added['picture']['panels'][0]['lines']]
  assert sorted(names) == ['other', 'rvm']
  # Nothing is lost by adding twice.
  assert summarize(workdir, drawn=['loss'], kept=added) == added


def test_runs_of_another_budget_are_not_added_to(workdir):
  with pytest.raises(ValueError, match=r'has a budget of .*another --name'):
    summarize(workdir, kept={**summarize(workdir), 'budget': {'amount': 1}})


def _write_table(workdir, methods):
  """As if only these methods had been compared."""
  path = workdir / 'table.json'
  table = json.loads(path.read_text())
  table['rows'] = [row for row in table['rows'] if row['method'] in methods]
  path.write_text(json.dumps(table))


def test_budgets_make_a_row_each_and_a_line_for_each_method(compared, tmp_path):
  summary = summarize_budgets([compared(3200), compared(1600)], [ACCURACY])
  assert summary['command'] == 'compare 3200; compare 1600'
  assert [row[:3] for row in summary['rows']] == [
    ['rvm', 2, [50.0, 35.355]],
    ['rvm', 2, [60.0, 35.355]],
    ['other', 1, 25.0],
    ['other', 1, 35.0],
  ]
  assert list(summary['runs'])[:2] == ['rvm/3200/seed_0', 'rvm/3200/seed_1']
  [panel] = summary['picture']['panels']
  assert (panel['x'], panel['y'], panel['log']) == ('clips', 'probe, %', 'x')
  of_rvm, of_other = panel['lines']
  assert of_rvm == {
    'name': 'rvm',
    'x': [1600, 3200],
    'y': [50.0, 60.0],
    'spread': [35.355, 35.355],
  }
  assert of_other == {'name': 'other', 'x': [1600, 3200], 'y': [25.0, 35.0]}
  path = tmp_path / 'kept.json'
  path.write_text(result_file.format_json(summary))
  assert results.read_result(path) == summary


def test_budgets_without_a_common_method_are_answered(workdir):
  with pytest.raises(ValueError, match='more than one budget'):
    summarize_budgets([workdir], [ACCURACY])
  with pytest.raises(ValueError, match="Unknown figure 'probe'"):
    summarize_budgets([workdir, workdir], ['probe'])


def test_a_run_that_would_count_twice_is_named(compared):
  with pytest.raises(ValueError, match='rvm/1600/seed_0 is in two of the comp'):
    summarize_budgets([compared(1600), compared(1600)], [ACCURACY])


def test_a_figure_that_no_method_has_makes_an_empty_panel(compared):
  both = [compared(3200), compared(1600)]
  for path in [p for workdir in both for p in workdir.glob('table.json')]:
    table = json.loads(path.read_text())
    table['columns'].append(['psnr_of_none', 'PSNR, dB'])
    path.write_text(json.dumps(table))
  [panel] = summarize_budgets(both, ['psnr_of_none'])['picture']['panels']
  assert (panel['y'], panel['lines']) == ('PSNR, dB', [])
