"""Comparing: what is run and what is not, budgets, failures, the table."""

import json
import pathlib
import signal
import sys
import types

import pytest
from ml_collections import ConfigDict

from rvmae_jax.config_utils import load_config
from rvmae_jax.parts import build_parts
from rvmae_jax.tools import compare, compare_run, compare_table

_ROOT = pathlib.Path(__file__).parents[2]
_RECIPE = str(_ROOT / 'tests/tiny_recipe.py')
_ACCURACY = 'probe/trained/mean/top1'


def _config(**changes) -> ConfigDict:
  return ConfigDict(
    {
      'methods': {'rvm': {'recipe': _RECIPE}, 'other': {'recipe': _RECIPE}},
      'seeds': (0, 1),
      'budget': {'unit': 'clips', 'amount': 80.0},
      'measure_s': 1.0,
      'shared': {'batch_size': 16},
      'evaluation': {'seed': 0, 'batch_size': 8, 'data': {}, 'evals': {}},
      'columns': ((_ACCURACY, 'probe'),),
      **changes,
    }
  )


class _StandIn:
  """Runs that take no time: their accuracy grows with the seed."""

  def __init__(self, config: ConfigDict):
    self.config, self.started, self.statuses = config, [], {}

  def __call__(self, job: compare.Job) -> int:
    self.started.append(job.name)
    if status := self.statuses.get(job.name):
      return status
    result = {
      'key': compare_run.run_key(self.config, job.method, job.seed),
      'environment': {'device': 'none'},
      'seconds': 60,
      'figures': {_ACCURACY: 0.25 + 0.5 * job.seed, 'flops': 1e12},
    }
    (job.folder / 'result.json').write_text(json.dumps(result))
    return 0


def test_every_method_runs_with_every_seed_and_gets_a_row(tmp_path):
  start = _StandIn(_config())
  rows = compare.compare(start.config, tmp_path, start)
  assert start.started == [
    'other/seed_0', 'rvm/seed_0', 'other/seed_1', 'rvm/seed_1'
  ]  # fmt: skip
  assert [row['method'] for row in rows] == ['other', 'rvm']
  assert rows[0]['mean'][_ACCURACY] == 0.5
  assert json.loads((tmp_path / 'table.json').read_text())['rows'][0]['values'][
    _ACCURACY
  ] == [0.25, 0.75]
  assert (tmp_path / 'accuracy.png').exists()


def test_a_finished_run_is_not_run_again_unless_its_settings_change(tmp_path):
  start = _StandIn(_config())
  compare.compare(start.config, tmp_path, start)

  again = _StandIn(_config())
  rows = compare.compare(again.config, tmp_path, again)
  assert again.started == []
  assert rows[0]['seeds'] == [0, 1]

  changed = _StandIn(_config(shared={'batch_size': 8}))
  compare.compare(changed.config, tmp_path, changed)
  assert len(changed.started) == 4


def test_only_what_is_missing_is_run(tmp_path):
  start = _StandIn(_config(seeds=(0,)))
  compare.compare(start.config, tmp_path, start)
  more = _StandIn(_config())
  compare.compare(more.config, tmp_path, more)
  assert more.started == ['other/seed_1', 'rvm/seed_1']


def test_a_run_that_fails_is_a_note_and_is_tried_again(tmp_path, capsys):
  start = _StandIn(_config())
  start.statuses = {'other/seed_0': -9, 'other/seed_1': 3}
  rows = compare.compare(start.config, tmp_path, start)
  assert [row['method'] for row in rows] == ['rvm', 'other']
  assert rows[1]['failures'] == {0: 'killed by SIGKILL', 1: 'exit status 3'}
  assert 'about 1 min left' in capsys.readouterr().out  # rvm/seed_1 alone
  table = (tmp_path / 'table.md').read_text()
  assert 'seed 0 failed: killed by SIGKILL; seed 1 failed: exit' in table

  start.statuses, start.started = {}, []
  compare.compare(start.config, tmp_path, start)
  assert start.started == ['other/seed_0', 'other/seed_1']


def test_a_recipe_that_cannot_be_read_fails_alone(tmp_path):
  methods = {'rvm': {'recipe': _RECIPE}, 'gone': {'recipe': 'configs/gone.py'}}
  config = _config(methods=methods, seeds=(0,))
  stand_in = _StandIn(config)

  def start(job):
    if job.method == 'rvm':
      return stand_in(job)
    with pytest.raises(FileNotFoundError):
      compare.run_here(config, job)
    return 1

  rows = compare.compare(config, tmp_path, start)
  assert rows[0]['seeds'] == [0]
  assert rows[1]['failures'][0].startswith(
    "FileNotFoundError: No config file 'configs/gone.py'"
  )


def test_a_process_writes_its_log_and_gives_its_status(tmp_path):
  job = compare.Job('rvm', 0, tmp_path / 'seed_0')
  job.folder.mkdir()
  code = 'import sys; print(sys.argv[1]); sys.exit(3)'
  assert compare.start_process(job, [sys.executable, '-c', code]) == 3
  assert (job.folder / 'log.txt').read_text() == '--only=rvm/seed_0\n'


def test_a_process_may_save_when_the_comparison_is_stopped(tmp_path):
  job = compare.Job('rvm', 0, tmp_path)
  code = (
    'import signal, time\n'
    'def save(*unused): print("saved", flush=True); raise SystemExit\n'
    'signal.signal(signal.SIGTERM, save)\n'
    'print("ready", flush=True)\n'
    'time.sleep(60)'
  )
  handler = signal.signal(signal.SIGALRM, signal.default_int_handler)
  signal.setitimer(signal.ITIMER_REAL, 1)
  try:
    with pytest.raises(KeyboardInterrupt):
      compare.start_process(job, [sys.executable, '-c', code])
  finally:
    signal.signal(signal.SIGALRM, handler)
  assert (tmp_path / 'log.txt').read_text() == 'ready\nsaved\n'


_COST = {'flops_per_clip': 2e9, 'clips_per_s': 80.0}


@pytest.mark.parametrize(
  ('unit', 'amount', 'steps'),
  [
    ('clips', 1000, 62),  # 62.5 batches of 16
    ('flops', 1e12, 31),  # 500 clips
    ('seconds', 10, 50),  # 800 clips
    ('seconds', 0.6, 3),  # exactly, though 0.6 / 0.2 is 2.9999...
  ],
)
def test_steps_that_a_budget_buys(unit, amount, steps):
  budget = {'unit': unit, 'amount': amount}
  assert compare_run.num_steps(budget, 16, _COST) == steps


@pytest.mark.parametrize(
  ('unit', 'amount', 'cost', 'message'),
  [
    ('flop', 1, _COST, "mean 'flops'"),
    ('clips', 15, _COST, 'does not buy one step of 16 clips, which takes 16'),
    ('flops', 1, _COST | {'flops_per_clip': None}, 'does not count its FLOPs'),
  ],
)
def test_budgets_that_make_no_sense(unit, amount, cost, message):
  with pytest.raises(ValueError, match=message):
    compare_run.num_steps({'unit': unit, 'amount': amount}, 16, cost)


def test_a_recipe_gets_shared_changes_then_its_own():
  own = {'batch_size': 4, 'model': {'width': 64}}
  methods = {'rvm': {'recipe': _RECIPE, 'changes': own}}
  shared = {'batch_size': 16, 'model': {'width': 8, 'patch_size': 16}}
  config = _config(methods=methods, shared=shared)
  recipe = compare_run.run_recipe(config, 'rvm', seed=3)
  assert (recipe.seed, recipe.batch_size) == (3, 4)
  assert (recipe.model.width, recipe.model.patch_size) == (64, 16)
  assert recipe.model.decoder_width == 32  # As it was.


def test_a_change_of_nothing_is_answered_with_what_was_meant():
  with pytest.raises(ValueError, match="mean 'batch_size'"):
    compare_run.run_recipe(_config(shared={'bach_size': 1}), 'rvm', 0)


@pytest.fixture
def stand_ins(monkeypatch):
  """Training and measuring that take no time; gives the trained recipes."""
  trained = []

  def stand_in(recipe, workdir):
    trained.append(recipe)
    return types.SimpleNamespace(params={})

  cost = {'parameters': 5, 'flops_per_clip': 100, 'gib': 1, 'clips_per_s': 8}
  probe = {'probe': {'metrics': {'top1': 0.5}}}
  monkeypatch.setattr(compare_run, 'train', stand_in)
  monkeypatch.setattr(compare_run, 'measure', lambda *unused: cost)
  monkeypatch.setattr(compare_run, 'evaluate', lambda *unused: probe)
  return trained


def test_a_run_spends_its_budget_and_tells_what_it_found(tmp_path, stand_ins):
  result = compare_run.run(_config(), 'rvm', 1, tmp_path)
  assert [recipe.total_steps for recipe in stand_ins] == [5]
  figures = result['figures']
  assert (figures['clips'], figures['flops']) == (80, 8000)
  assert figures['probe/top1'] == 0.5
  assert json.loads((tmp_path / 'result.json').read_text()) == result


def test_an_untrained_network_spends_nothing(tmp_path, stand_ins):
  methods = {'random': {'recipe': _RECIPE, 'is_trained': False}}
  result = compare_run.run(_config(methods=methods), 'random', 0, tmp_path)
  assert stand_ins == []
  assert result['figures']['flops'] == 0


def test_a_folder_with_another_run_is_refused(tmp_path, stand_ins):
  (tmp_path / 'config.json').write_text('{}')
  with pytest.raises(ValueError, match='other settings; remove it'):
    compare_run.run(_config(), 'rvm', 0, tmp_path)


def test_two_processes_do_not_meet_in_a_folder(tmp_path, stand_ins):
  with (
    compare_run.alone(tmp_path),
    pytest.raises(RuntimeError, match='Another process'),
  ):
    compare_run.run(_config(), 'rvm', 0, tmp_path)


_SPRITES = str(_ROOT / 'configs/compare_sprites.py')


@pytest.mark.parametrize('method', load_config(_SPRITES).methods)
def test_every_method_of_the_sprites_comparison_builds(method):
  recipe = compare_run.run_recipe(load_config(_SPRITES), method, 0)
  parts = build_parts(recipe)
  assert parts.spec['video'].shape[2:] == (32, 32, 3)
  assert parts.flops_per_clip


def test_the_quick_comparison_is_a_part_of_it():
  quick = load_config(f'{_SPRITES}:quick')
  assert set(quick.methods) < set(load_config(_SPRITES).methods)


def test_a_recipe_gets_the_reconstruction_that_its_mask_is_for():
  config = load_config(_SPRITES)
  assert _fitting(config, 'rvm') == ['knn', 'linear_probe', 'reconstruction']
  assert 'clip_reconstruction' in _fitting(config, 'videomae')
  assert _fitting(config, 'from_scratch') == ['knn', 'linear_probe']


def _fitting(config, method):
  recipe = compare_run.run_recipe(config, method, 0)
  return sorted(compare_run.fitting_evals(config.evaluation, recipe).evals)


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
  text = compare_table.format_markdown(rows, {'a/top1': 'top', 'psnr': 'dB'})
  heading, rule, *lines = text.splitlines()
  assert heading.startswith('| method | seeds | top | dB | parameters, M |')
  assert rule.startswith('| --- | ---: |')
  assert {line.replace('\\|', '').count('|') for line in text.splitlines()} == {
    heading.count('|')
  }
  # Deviations of the sample: 0.1 * sqrt(2) and sqrt(2).
  assert lines[0].startswith('| two | 2 | 60.0 ± 14.1 | 21.00 ± 1.41 | 1.50 |')
  assert lines[1].startswith('| one | 1 | 10.0 | 20.00 | 1.50 |')
  assert lines[2].startswith('| fails | 0 |  |  |  |')
  assert lines[2].endswith('| seed 0 failed: E: a\\|b c |')
