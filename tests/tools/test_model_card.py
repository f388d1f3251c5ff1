"""A card holds what a run left, and says of all else that it is missing."""

import json
import re

import pytest

from rvmae_jax import config_utils
from rvmae_jax.data import manifest
from rvmae_jax.tools import model_card
from rvmae_jax.tools.card import metrics as card_metrics
from tests import tiny_recipe

PROBE = {
  'name': 'linear_probe',
  'metrics': {
    'chance': 0.5,
    'num_test': 100,
    'trained/mean/top1': 0.9,
    'strata/trained/mean/signer/one/top1': 0.75,
    'strata/trained/mean/signer/one/low': 0.5,
    'strata/trained/mean/signer/one/high': 0.875,
    'strata/trained/mean/signer/one/count': 40,
  },
}
ROBUSTNESS = {
  'name': 'robustness',
  'metrics': {
    'top1/noise/severity_3': 0.25,
    'clean/top1': 0.5,
    'clean/num_videos': 100,
  },
}


_LEAK = {'leakage': {'num_shared': 3, 'num_videos': 9, 'examples': ['a.mp4']}}


@pytest.fixture
def run(tmp_path):
  """A run of 3 of 4 steps on noise and on a list of two videos."""
  listing = tmp_path / 'list.csv'
  listing.write_text(
    'path,split,licence,consent\n'
    'a.mp4,train,CC0,yes\nb.mp4,train,CC0,no\nd.mp4,train,CC0,yes\n'
    'c.mp4,val,MIT,\n'
  )
  for name in 'abcd':
    (tmp_path / f'{name}.mp4').write_text(name)
  config = tiny_recipe.get_config()
  config.data.sources.words = {
    'name': 'listing',
    'path': str(listing),
    'require': {'consent': 'yes'},
  }
  run = tmp_path / 'run'
  manifest.record(run, config.data.sources)
  (run / 'config.json').write_text(config_utils.to_json(config))
  (run / 'command.txt').write_text('python -m rvmae_jax.train --config x\n')
  environment = {'commit': 'abc123', 'jax': '0.10', 'device': '2 x toy'}
  (run / 'environment.json').write_text(json.dumps(environment))
  rows = [
    {'step': 1, 'loss': 1.0},
    {'step': 2, 'loss': 0.9, 'steps_per_s': 0.001},
    {'step': 2, 'rebuilt/psnr': 20.0},
    {'step': 3, 'loss': 0.8, 'steps_per_s': 0.0005},
  ]
  (run / 'metrics.jsonl').write_text('\n'.join(map(json.dumps, rows)))
  return run


def _evaluate(run, **results):
  (run / 'evaluation').mkdir()
  metrics = {'command': 'python -m rvmae_jax.evaluate', 'evaluations': results}
  (run / 'evaluation/metrics.json').write_text(json.dumps(metrics))


def test_a_card_says_what_the_run_left(run, capsys):
  _evaluate(run, probe=PROBE, robust=ROBUSTNESS)
  arguments = [f'--workdir={run}', '--licence=noise=public domain']
  arguments += ['--limits=Sees only toys.', '--intended_use=Toys.']
  assert model_card.main(arguments) == 0
  card = (run / 'MODEL_CARD.md').read_text()
  for fact in (
    '# RVM tiny',
    'For: Toys.',
    'Sees only toys.',
    'Steps: 3 of 4, 8 clips each, 24 clips in all',
    'Time: 0.833 hours for 2 of the steps',
    'Devices: 2 x toy',
    'Commit: abc123',
    'Versions: jax 0.10',
    'public domain',
    '| CC0 (2) | yes (2) | *not given* |',
    '- words: videos left out had consent=no (1).',
    'python -m rvmae_jax.train --config x\npython -m rvmae_jax.evaluate',
  ):
    assert fact in card, fact
  for entry in manifest.read(run)['sources']:
    assert entry['sha256_of_list'] in card
  # 0.9 of 100, by Wilson: 0.826 to 0.945.
  assert '| `trained/mean` | 0.900 [0.826, 0.945] |' in card
  assert '| `trained/mean/signer/one` | 0.75 | 0.5 | 0.875 | 40 |' in card
  assert '| `top1/noise` | 0.25 |' in card
  # Half of 100, by Wilson: 0.404 to 0.596.
  assert (
    'Of 100 videos; the 95 % interval of a top-1 accuracy is at most 0.192'
    in card
  )
  assert 'M, what only training needs included' in card
  # The weights' licence and whom to ask: nobody said.
  assert card.count(model_card.NOT_KNOWN) == 2
  assert '2 facts are unknown' in capsys.readouterr().out


def test_a_line_of_the_log_that_was_cut_short_is_left_out(run, monkeypatch):
  monkeypatch.setattr(model_card, 'build_parts', _fail)
  log = run / 'metrics.jsonl'
  log.write_text(log.read_text() + '\n{"step": 4, "lo')
  assert 'Steps: 3 of 4' in model_card.write_card(run)
  for name, content in (
    ('metrics.jsonl', '{"loss": 1}'),
    ('environment.json', '[1]'),
  ):
    (run / name).write_text(content)
    with pytest.raises(ValueError, match=f'{name} is not'):
      model_card.write_card(run)
    (run / name).unlink()


def test_what_is_missing_is_said_to_be_missing(run, monkeypatch):
  for name in ('training_manifest.json', 'environment.json', 'metrics.jsonl'):
    (run / name).unlink()
  monkeypatch.setattr(model_card, 'build_parts', _fail)
  card = model_card.write_card(run)
  for title in ('Evaluation', 'Robustness', 'Groups'):
    assert f'## {title}\n\n*Not measured.*' in card
  for fact in (
    *('Parameters', 'Steps', 'FLOPs', 'Time', 'Devices', 'Commit', 'Versions'),
  ):
    assert f'{fact}: *Not known.*' in card
  assert '*not counted*' in card and 'no list of its videos' in card


def test_a_licence_of_no_source_is_refused(run, monkeypatch):
  monkeypatch.setattr(model_card, 'build_parts', _fail)
  with pytest.raises(ValueError, match=r"'nosie'.*Did you mean 'noise'"):
    model_card.write_card(run, licences={'nosie': 'CC0'})


def test_numbers_of_other_weights_say_so(run, monkeypatch):
  monkeypatch.setattr(model_card, 'build_parts', _fail)
  _evaluate(run, probe=PROBE)
  path = run / 'evaluation/metrics.json'
  found = json.loads(path.read_text())
  for extra, note in (
    ({'step': 3, 'ema': False}, ''),
    ({'step': 2}, 'Measured after step 2, and the log ends at 3.'),
    ({'step': 3, 'ema': True}, 'Measured with the moving average of the param'),
  ):
    path.write_text(json.dumps(found | extra))
    card = model_card.write_card(run)
    assert note in card and bool(note) == ('Measured' in card)


def _fail(config):
  raise ValueError('no such model any more')


def test_leakage_and_unknown_beginnings_are_limits(run, monkeypatch):
  monkeypatch.setattr(model_card, 'build_parts', _fail)
  _evaluate(run, probe=PROBE | _LEAK)
  found = manifest.read(run) | {'unknown_origin': 'weights.npz'}
  (run / manifest.FILE).write_text(json.dumps(found))
  card = model_card.write_card(run, [run / 'evaluation'])
  assert '**3 of its 9 test videos were trained on.**' in card
  assert '**Trained on test videos of probe**' in card
  assert 'What weights.npz was trained on is not known' in card


def test_evaluations_of_two_datasets_stand_side_by_side(run, monkeypatch):
  monkeypatch.setattr(model_card, 'build_parts', _fail)
  for folder, leak in (('ucf101', {}), ('hmdb51', _LEAK)):
    (run / folder).mkdir()
    results = {'evaluations': {'probe': PROBE | leak}}
    (run / folder / 'metrics.json').write_text(json.dumps(results))
  card = model_card.write_card(run, [run / 'ucf101', run / 'hmdb51'])
  assert '### ucf101/probe' in card and '### hmdb51/probe' in card
  assert '**Trained on test videos of hmdb51/probe**' in card


def test_a_folder_without_an_evaluation_is_named(run, capsys):
  """It was asked for; a card that says nothing of it would be wrong."""
  arguments = [f'--workdir={run}', f'--evaluation={run}/evalution']
  assert model_card.main(arguments) == 2
  assert f'No metrics.json in {run}/evalution' in capsys.readouterr().err
  assert not (run / 'MODEL_CARD.md').exists()


def test_names_of_people_are_no_markup(run, monkeypatch):
  monkeypatch.setattr(model_card, 'build_parts', _fail)
  hostile = '<script>|&*'
  path = run / 'config.json'
  config = json.loads(path.read_text())
  config['model']['variant'] = hostile
  config['checkpoint']['init_from'] = hostile
  config['data']['sources'] = {hostile: {'name': 'folder', 'path': hostile}}
  path.write_text(json.dumps(config))
  (run / manifest.FILE).unlink()
  metrics = {f'{hostile}/top1': 0.5, f'strata/{hostile}/top1': 0.5}
  _evaluate(run, **{hostile: {'name': 'knn', 'metrics': metrics} | _LEAK})
  card = model_card.write_card(
    run, [run / 'evaluation'], texts={'limits': 'See [this](x).'}
  )
  # Commands and rows of numbers are code, in which nothing is markup.
  plain = re.sub(r'```.*?```|`[^`]*`', '', card, flags=re.DOTALL)
  assert r'\<script\>\|\&\*' in plain
  assert not re.search(r'(?<!\\)[<&]', plain)
  for line in card.splitlines():
    if line.startswith('|'):
      # One more than columns: of numbers, of groups, of sources.
      assert len(re.findall(r'(?<!\\)\|', line)) in (3, 6, 9), line
  assert '- See [this](x).' in card


def test_untrained_weights_are_refused(run):
  _evaluate(run, probe=PROBE)
  path = run / 'evaluation/metrics.json'
  path.write_text(
    json.dumps(json.loads(path.read_text()) | {'untrained': True})
  )
  with pytest.raises(ValueError, match='random weights'):
    model_card.write_card(run, [run / 'evaluation'])


def test_an_evaluation_of_another_run_is_refused(run):
  _evaluate(run, probe=PROBE)
  path = run / 'evaluation/metrics.json'
  config = json.loads((run / 'config.json').read_text())
  path.write_text(
    json.dumps(json.loads(path.read_text()) | {'run_config': config})
  )
  config['seed'] = 7
  (run / 'config.json').write_text(json.dumps(config))
  with pytest.raises(ValueError, match=r'another run .* differs in seed'):
    model_card.write_card(run, [run / 'evaluation'])


def test_only_measured_shares_get_an_interval():
  metrics = {'num_queries': 10}
  for name in ('model/psnr', 'model/recall_at_5', 'chance/recall_at_5'):
    metrics[name] = 0.5
  card = card_metrics.section({'x': {'name': 'x', 'metrics': metrics}})
  assert '| `model` | 0.5 | 0.500 [0.237, 0.763] |' in card
  assert '| `chance` | 0.5 |' in card


def test_a_folder_without_a_run_is_named(tmp_path, capsys):
  assert model_card.main([f'--workdir={tmp_path}']) == 2
  assert 'No config.json in' in capsys.readouterr().err
