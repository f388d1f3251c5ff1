"""The command `rvmae`: what it lists, what it runs, and as what."""

import io
import pathlib
import subprocess
import sys

import pytest
from absl import app

from rvmae_jax import commands
from rvmae_jax.benchmarks.__main__ import BENCHMARKS

PACKAGE = pathlib.Path(commands.__file__).parent
MODULE = """'''Says how it was started.'''
import sys
from rvmae_jax.training.environment import typed_command
if __name__ == '__main__':
  print(typed_command(__spec__.name), sys.modules['__main__'].__doc__)
  sys.exit(3)
"""


@pytest.fixture
def rvmae(monkeypatch, capsys):
  """Runs the command here; returns its exit code, output and errors."""

  def run(*arguments):
    monkeypatch.setattr(sys, 'argv', ['/bin/rvmae', *arguments])
    try:
      code = commands.main()
    except SystemExit as error:
      code = error.code
    return code, *capsys.readouterr()

  # A command takes its place.
  monkeypatch.setitem(sys.modules, '__main__', sys.modules['__main__'])
  return run


def test_every_module_with_a_command_line_is_a_command():
  paths = [
    path
    for folder in ('', 'tools', 'benchmarks')
    for path in (PACKAGE / folder).glob('*.py')
  ]
  modules = {
    '.'.join(path.relative_to(PACKAGE.parent).with_suffix('').parts)
    for path in paths
    if "\nif __name__ == '__main__'" in path.read_text()
  }
  found = [*commands.COMMANDS.items(), *BENCHMARKS.items()]
  assert {module for _, module in found} == modules
  for name, module in found:
    assert module.rpartition('.')[2] == name or name == 'benchmark'


def test_help_has_a_line_for_each_command(rvmae):
  code, out, _ = rvmae('--help')
  lines = [line.split(maxsplit=1) for line in out.splitlines() if line]
  shown = [line for line in lines if line[0] in commands.COMMANDS]
  assert code == 0
  assert [line[0] for line in shown] == [*commands.COMMANDS]
  summary = 'Trains a model: pre-training or fine-tuning, as the config says.'
  assert ['train', summary] in shown
  assert rvmae()[:2] == (2, out)  # Nothing was asked for.


def test_a_name_that_is_no_text_stops_no_report(monkeypatch):
  content = io.BytesIO()
  monkeypatch.setattr(sys, 'stdout', io.TextIOWrapper(content, 'utf-8'))
  commands.command_line('rvmae_jax.tools.doctor', '')
  print('caf\udce9.mp4', flush=True)
  assert content.getvalue() == b'caf\\udce9.mp4\n'


def test_help_imports_nothing_that_computes():
  code = """
import sys
from rvmae_jax.commands import main
sys.argv = ['rvmae', '--help']
main()
print(*sys.modules)"""
  process = subprocess.run(
    [sys.executable, '-c', code], capture_output=True, text=True, check=True
  )
  loaded = {*process.stdout.splitlines()[-1].split()}
  assert loaded.isdisjoint({'jax', 'numpy', 'absl', 'ml_collections'})


def test_an_unknown_command_is_answered_with_near_ones(rvmae):
  code, _, errors = rvmae('trian')
  assert code == 2
  assert "rvmae: Unknown command 'trian'. Did you mean 'train'" in errors


def test_benchmarks_are_one_command_with_names_of_its_own(rvmae):
  code, out, _ = rvmae('benchmark', '--help')
  assert code == 0
  shown = [line.split()[0] for line in out.splitlines() if line]
  assert shown[-len(BENCHMARKS) :] == [*BENCHMARKS]
  code, _, errors = rvmae('benchmark', 'stpe')
  assert code == 2
  assert "rvmae benchmark: Unknown benchmark 'stpe'." in errors
  assert "Did you mean 'step'" in errors


def test_a_command_runs_as_the_main_program(rvmae, monkeypatch, tmp_path):
  (tmp_path / 'started.py').write_text(MODULE)
  monkeypatch.syspath_prepend(tmp_path)
  monkeypatch.setitem(commands.COMMANDS, 'started', 'started')
  code, out, _ = rvmae('started', '--out', 'a b')
  assert code == 3
  assert out == "rvmae started --out 'a b' Says how it was started.\n"
  process = subprocess.run(
    [sys.executable, '-m', 'started', '--out', 'a b'],
    cwd=tmp_path,
    env={'PYTHONPATH': str(PACKAGE.parent)},
    capture_output=True,
    text=True,
  )
  assert process.stdout == out.replace('rvmae', 'python -m')


@pytest.mark.parametrize(
  ('error', 'message'),
  [
    (TypeError('string indices'), 'takes a value for a section'),
    (KeyError('"x"\\nDid you mean "y"?'), "no setting 'x'. Did you mean"),
  ],
)
def test_an_override_that_does_not_fit_is_told_in_a_line(
  error, message, monkeypatch
):
  def parse(argv):
    raise error

  monkeypatch.setattr(app, 'parse_flags_with_usage', parse)
  monkeypatch.setattr(
    app, 'run', lambda main, flags_parser: flags_parser(['train'])
  )
  with pytest.raises(SystemExit, match=message):
    commands.run_command(None)
