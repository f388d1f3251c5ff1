"""Comparing: what is run and what is not, what failures leave."""

import json
import signal
import sys
import types

import pytest
from ml_collections import ConfigDict

from rvmae_jax.tools import compare
from rvmae_jax.tools.comparison import recipes as compare_recipes
from rvmae_jax.tools.comparison.processes import Job
from tests.tools.tiny_comparison import ACCURACY, RECIPE, comparison


class _StandIn:
  """Runs that take no time: their accuracy grows with the seed."""

  def __init__(self, config: ConfigDict):
    self.config, self.started, self.statuses = config, [], {}

  def __call__(self, job: Job) -> int:
    self.started.append(job.name)
    if status := self.statuses.get(job.name):
      return status
    result = {
      'key': compare_recipes.run_key(self.config, job.method, job.seed),
      'environment': {'device': 'none'},
      'seconds': 60,
      'figures': {ACCURACY: 0.25 + 0.5 * job.seed, 'flops': 1e12},
    }
    (job.folder / 'result.json').write_text(json.dumps(result))
    return 0


def test_every_method_runs_with_every_seed_and_gets_a_row(tmp_path):
  start = _StandIn(comparison())
  rows = compare.compare(start.config, tmp_path, start)
  assert start.started == [
    'other/seed_0', 'rvm/seed_0', 'other/seed_1', 'rvm/seed_1'
  ]  # fmt: skip
  assert [row['method'] for row in rows] == ['other', 'rvm']
  assert rows[0]['mean'][ACCURACY] == 0.5
  assert json.loads((tmp_path / 'table.json').read_text())['rows'][0]['values'][
    ACCURACY
  ] == [0.25, 0.75]
  assert (tmp_path / 'accuracy.png').exists()


def test_the_picture_shows_accuracies_alone(tmp_path, monkeypatch):
  drawn = []
  draw = compare.draw_comparison
  monkeypatch.setattr(
    compare, 'draw_comparison', lambda *a: drawn.append(a[1]) or draw(*a)
  )
  columns = ('rebuilt/psnr_hidden', 'PSNR, dB'), (ACCURACY, 'probe')
  start = _StandIn(comparison(columns=columns))
  compare.compare(start.config, tmp_path, start)
  assert drawn[-1] == {ACCURACY: 'probe'}


def test_without_matplotlib_there_is_a_table_alone(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'matplotlib', None)
  start = _StandIn(comparison())
  compare.compare(start.config, tmp_path, start)
  assert (tmp_path / 'table.md').exists()
  assert not (tmp_path / 'accuracy.png').exists()


def test_a_finished_run_is_not_run_again_unless_its_settings_change(tmp_path):
  start = _StandIn(comparison())
  compare.compare(start.config, tmp_path, start)

  again = _StandIn(comparison())
  rows = compare.compare(again.config, tmp_path, again)
  assert again.started == []
  assert rows[0]['seeds'] == [0, 1]

  changed = _StandIn(comparison(shared={'batch_size': 8}))
  compare.compare(changed.config, tmp_path, changed)
  assert len(changed.started) == 4


def test_only_what_is_missing_is_run(tmp_path):
  start = _StandIn(comparison(seeds=(0,)))
  compare.compare(start.config, tmp_path, start)
  more = _StandIn(comparison())
  compare.compare(more.config, tmp_path, more)
  assert more.started == ['other/seed_1', 'rvm/seed_1']


def test_several_runs_at_once_give_the_same_table(tmp_path):
  start = _StandIn(comparison())
  rows = compare.compare(start.config, tmp_path, start, num_jobs=3)
  assert sorted(start.started) == [
    'other/seed_0', 'other/seed_1', 'rvm/seed_0', 'rvm/seed_1'
  ]  # fmt: skip
  assert [row['seeds'] for row in rows] == [[0, 1], [0, 1]]


def test_a_stop_starts_nothing_more(tmp_path):
  class Stopped(_StandIn):
    def __call__(self, job):
      super().__call__(job)
      raise KeyboardInterrupt

  start = Stopped(comparison())
  with pytest.raises(KeyboardInterrupt):
    compare.compare(start.config, tmp_path, start)
  assert len(start.started) < 4


def test_a_run_that_fails_is_a_note_and_is_tried_again(tmp_path, capsys):
  start = _StandIn(comparison())
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
  methods = {'rvm': {'recipe': RECIPE}, 'gone': {'recipe': 'configs/gone.py'}}
  config = comparison(methods=methods, seeds=(0,))
  stand_in = _StandIn(config)

  def start(job):
    if job.method == 'rvm':
      return stand_in(job)
    with pytest.raises(ValueError, match='gone'):
      compare.run_here(config, job)
    return 1

  rows = compare.compare(config, tmp_path, start)
  assert rows[0]['seeds'] == [0]
  assert rows[1]['failures'][0].startswith(
    "ValueError: No recipe 'configs/gone.py'"
  )


def test_a_failure_does_not_outlast_the_attempt_after_it(tmp_path, monkeypatch):
  config = comparison(seeds=(0,))
  [job, _] = compare.list_jobs(config, tmp_path)
  outcomes = [ValueError('no disk'), None]

  def run(*unused):
    if outcome := outcomes.pop(0):
      raise outcome

  monkeypatch.setattr(compare, 'run', run)
  with pytest.raises(ValueError, match='no disk'):
    compare.run_here(config, job)
  failure = job.folder / 'failure.txt'
  assert failure.read_text() == 'ValueError: no disk'
  compare.run_here(config, job)
  assert not failure.exists()


def test_what_somebody_else_left_is_no_failure_of_a_run_that_ended_well(
  tmp_path,
):
  start = _StandIn(comparison(seeds=(0,)))

  def disturbed(job):
    (job.folder / 'failure.txt').write_text('InUseError: it is running')
    return start(job)

  rows = compare.compare(start.config, tmp_path, disturbed)
  assert [row['failures'] for row in rows] == [{}, {}]


@pytest.mark.parametrize('error', [KeyboardInterrupt, OSError])
def test_whatever_ends_it_stops_the_runs_that_it_started(
  error, tmp_path, monkeypatch
):
  calls = []

  class Processes:
    def __init__(self, *unused):
      pass

    def stop(self):
      calls.append('stopped')

  def end(*unused):
    raise error

  monkeypatch.setattr(signal, 'signal', lambda *unused: None)
  monkeypatch.setattr(compare, 'Processes', Processes)
  monkeypatch.setattr(compare, 'compare', end)
  args = types.SimpleNamespace(
    config=comparison(), workdir=str(tmp_path), only='', jobs=1
  )
  with pytest.raises((SystemExit, OSError)):
    compare.main(args)
  assert calls == ['stopped']
