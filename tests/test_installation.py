"""What the wheel installs, and what works without the extras."""

import importlib.metadata
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
# What the extras bring.
EXTRAS = (
  *('tensorflow', 'tensorboard', 'tensorflow_datasets', 'importlib_resources'),
  *('matplotlib', 'safetensors', 'cv2', 'gcsfs', 'apache_beam', 'torch'),
)


def _run(cwd: pathlib.Path, *command, path: pathlib.Path | str = '') -> str:
  """What a command prints and logs; its Python finds our package at `path`."""
  process = subprocess.run(
    list(map(str, command)),
    cwd=cwd,
    env={**os.environ, 'PYTHONPATH': str(path)},
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
  )
  assert process.returncode == 0, process.stdout
  return process.stdout


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
  """The wheel that is built of the tree."""
  tree = tmp_path_factory.mktemp('tree')
  for name in ('rvmae_jax', 'configs', 'tests', 'launch'):
    shutil.copytree(ROOT / name, tree / name, symlinks=True)
  for name in ('setup.cfg', 'pyproject.toml', 'README.md'):
    shutil.copy(ROOT / name, tree)
  build = "from setuptools import build_meta; build_meta.build_wheel('dist')"
  _run(tree, sys.executable, '-c', build, path=tree)
  [packed] = (tree / 'dist').iterdir()
  return packed


@pytest.fixture(scope='module')
def programs(wheel, tmp_path_factory):
  """Folder of the programs of an environment that has the wheel, no extras.

  What else the package needs is that of the tests' environment.
  """
  folder = tmp_path_factory.mktemp('environment')
  venv.create(folder, symlinks=True)
  install = ('install', '--no-deps', '--no-index', wheel)
  _run(folder, sys.executable, '-m', 'pip', '--python', folder, *install)
  [site] = folder.glob('lib/python*/site-packages')
  # Searched after the environment's own, and without the checkout in it.
  shared = sysconfig.get_path('purelib'), sysconfig.get_path('platlib')
  (site / 'shared.pth').write_text('\n'.join(dict.fromkeys(shared)))
  blocked = f'import sys; sys.modules |= dict.fromkeys({EXTRAS})'
  (site / 'sitecustomize.py').write_text(blocked)
  return folder / 'bin'


def test_the_wheel_has_one_package_and_in_it_the_recipes(wheel):
  names = {*map(pathlib.Path, zipfile.ZipFile(wheel).namelist())}
  others = {name for name in names if name.parts[0] != 'rvmae_jax'}
  assert {name.parent.suffix for name in others} == {'.dist-info'}
  modules = {
    path.relative_to(ROOT) for path in (ROOT / 'rvmae_jax').rglob('*.py')
  }
  recipes = {'rvmae_jax' / path.relative_to(ROOT) for path in _recipes()}
  assert names - others == modules | recipes


def _recipes():
  return (ROOT / 'configs').glob('*.py')


def test_the_installed_command_tells_its_version_and_commands(
  programs, tmp_path
):
  version = _run(tmp_path, programs / 'rvmae', '--version')
  assert version == f'{importlib.metadata.version("rvmae_jax")}\n'
  assert '  train ' in _run(tmp_path, programs / 'rvmae', '--help')


def test_an_installed_recipe_builds_on_another(programs, tmp_path):
  code = """
from rvmae_jax import config_utils
config = config_utils.load_config('rvmae.py:variant=tiny')
print(config_utils.__file__, config.model.name)"""
  file, name = _run(tmp_path, programs / 'python', '-c', code).split()
  assert file.startswith(str(programs.parent))
  assert name == 'rvmae'


def test_without_extras_a_run_is_trained_evaluated_and_exported(
  programs, tmp_path
):
  """TensorBoard's files and pictures, asked for as by default: one warning."""
  recipe = ROOT / 'tests/tiny_recipe.py:steps=2'
  flags = (
    f'--config={recipe}',
    '--workdir=run',
    "--config.log.clu=('tensorboard', 'console')",
  )
  log = _run(tmp_path, programs / 'rvmae', 'train', *flags)
  assert log.count("pip install 'rvmae_jax[tensorflow]'") == 1
  assert (tmp_path / 'run/metrics.jsonl').read_text().count('\n') == 2
  command = (tmp_path / 'run/command.txt').read_text()
  assert command.startswith(f'rvmae train --config={recipe}')
  code = """
from rvmae_jax import evaluate, export
from rvmae_jax.training.checkpointing import load_params
from ml_collections import ConfigDict

params, config = load_params('run')
of_run = dict.fromkeys(('sources', 'clip', 'crop', 'mask'), 'run')
evaluation = dict(seed=0, batch_size=8, data=of_run)
evaluation['evals'] = dict(rebuilt=dict(name='reconstruction'))
evaluate.evaluate(ConfigDict(evaluation), params, config, 'evaluation')
export.export('run', 'weights.npz')
"""
  log = _run(tmp_path, programs / 'python', '-c', code)
  assert log.count("pip install 'rvmae_jax[vis]'") == 1
  assert 'gain_db' in (tmp_path / 'evaluation/metrics.json').read_text()
  assert (tmp_path / 'weights.npz').exists()
