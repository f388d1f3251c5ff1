"""Some damaged files of every kind; `python -m tests.fuzz` reads thousands."""

import pathlib
import pickle
import zlib

import pytest

from tests.fuzz import mutations, worker
from tests.fuzz.__main__ import KINDS
from tests.fuzz.kinds import KINDS as MAKERS
from tests.fuzz.kinds import Case
from tests.fuzz.pool import Worker

_MUTANTS = 25


@pytest.fixture(scope='module')
def reader(tmp_path_factory):
  with Worker(tmp_path_factory.mktemp('mutants')) as reader:
    yield reader


def test_every_kind_is_named_to_the_command():
  assert set(KINDS) == set(MAKERS)


@pytest.mark.parametrize('kind', KINDS)
def test_damage_is_read_or_refused(kind, reader):
  outcomes = set()
  for number in range(_MUTANTS):
    result = reader.check(kind, number)
    outcomes.add(result['outcome'])
    assert result['outcome'] != 'defect', (
      f'python -m tests.fuzz --kinds {kind} --only {number}: '
      f'{result["message"]}'
    )
  assert 'refused' in outcomes


def _refuse(folder):
  raise ValueError(f'{folder}/a.txt is damaged')


def _refuse_without_name(folder):
  raise ValueError('something is damaged')


def _leave_canary(folder):
  pathlib.Path(mutations.CANARY).touch()


@pytest.mark.parametrize(
  ('read', 'outcome'),
  [
    (lambda folder: None, 'read'),
    (_refuse, 'refused'),
    (_refuse_without_name, 'defect'),
    (lambda folder: {}['a'], 'defect'),
    (_leave_canary, 'defect'),
  ],
  ids=['read', 'refused', 'nameless', 'foreign', 'canary'],
)
def test_outcomes_are_told_apart(read, outcome, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  case = Case({'a.txt': b''}, read)
  assert worker.check(case, tmp_path)[0] == outcome


def test_a_crash_and_a_hang_are_defects_and_others_go_on(tmp_path):
  class Sick(Worker):
    """Its process does what the kind says."""

    program = (
      'import sys\n'
      'for line in sys.stdin:\n'
      '  if "crash" in line: sys.exit(3)\n'
      '  while "hang" in line: pass\n'
      '  print(\'{"outcome": "read"}\', flush=True)\n'
    )

    def command(self):
      return [*super().command()[:1], '-c', self.program]

  with Sick(tmp_path, hang_s=0.5, start_s=0) as sick:
    for kind, message in (('crash', 'code 3'), ('hang', 'no answer')):
      assert message in sick.check(kind, 0)['message']
    assert sick.check('sound', 0) == {'outcome': 'read'}


def test_pickles_meant_to_run_programs_do(tmp_path, monkeypatch):
  """In a reader that lets them; here they are only as good as this."""
  monkeypatch.chdir(tmp_path)
  [attack] = [a for a in mutations.attacks()[:15] if b'exec' in a]
  pickle.loads(attack)
  assert pathlib.Path(mutations.CANARY).exists()


def test_a_mutant_is_the_same_again():
  cases = [Case({'a.json': b'{"a": [1, 2], "b": {"c": 0.5}}'}, _refuse)]
  first, again = (
    [worker.make_mutant(cases, 'x', number)[1] for number in range(50)]
    for _ in range(2)
  )
  assert first == again
  assert len({files['a.json'] for files in first}) > 25


def test_bombs_are_bombs():
  bomb = mutations._bomb(b'begin')
  assert len(bomb) < 2**21
  start = zlib.decompressobj(-15).decompress(bomb, 2**22)
  assert start == b'begin' + bytes(2**22 - 5)
