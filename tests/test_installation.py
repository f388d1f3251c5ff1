"""What the wheel installs, and what works without the extras."""

import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
# What the extras bring.
EXTRAS = (
  *('tensorflow', 'tensorboard', 'tensorflow_datasets', 'importlib_resources'),
  *('matplotlib', 'safetensors', 'cv2', 'gcsfs', 'apache_beam', 'torch'),
)


def _python(code: str, cwd: pathlib.Path, path: pathlib.Path) -> str:
  """What a new Python prints and logs that finds our package at `path`."""
  process = subprocess.run(
    [sys.executable, '-c', code],
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
  """A folder with what the wheel installs."""
  tree = tmp_path_factory.mktemp('tree')
  for name in ('rvmae_jax', 'configs', 'tests', 'launch'):
    shutil.copytree(ROOT / name, tree / name, symlinks=True)
  for name in ('setup.cfg', 'pyproject.toml', 'README.md'):
    shutil.copy(ROOT / name, tree)
  build = "from setuptools import build_meta; build_meta.build_wheel('dist')"
  _python(build, tree, tree)
  [packed] = (tree / 'dist').iterdir()
  folder = tmp_path_factory.mktemp('installed')
  with zipfile.ZipFile(packed) as file:
    file.extractall(folder)
  return folder


def test_the_wheel_has_one_package_and_in_it_the_recipes(wheel):
  names = {
    path.relative_to(wheel) for path in wheel.rglob('*') if path.is_file()
  }
  others = {name for name in names if name.parts[0] != 'rvmae_jax'}
  assert {name.parent.suffix for name in others} == {'.dist-info'}
  modules = {
    path.relative_to(ROOT) for path in (ROOT / 'rvmae_jax').rglob('*.py')
  }
  recipes = {'rvmae_jax' / path.relative_to(ROOT) for path in _recipes()}
  assert names - others == modules | recipes


def _recipes():
  return (ROOT / 'configs').glob('*.py')


def test_a_recipe_of_the_wheel_builds_on_another(wheel, tmp_path):
  code = """
from rvmae_jax.configs import rvmae
print(rvmae.__file__, rvmae.get_config('variant=tiny').model.name)"""
  assert _python(code, tmp_path, wheel) == (
    f'{wheel}/rvmae_jax/configs/rvmae.py rvmae\n'
  )


def test_without_extras_a_run_is_trained_evaluated_and_exported(tmp_path):
  """TensorBoard's files and pictures, asked for as by default: one warning."""
  code = f"""
import sys
sys.modules |= dict.fromkeys({EXTRAS})
from rvmae_jax import evaluate, export, train
from rvmae_jax.config_utils import load_config
from rvmae_jax.training.checkpointing import load_params
from ml_collections import ConfigDict

config = load_config({str(ROOT / 'tests/tiny_recipe.py')!r} + ':steps=2')
config.log.clu = ('tensorboard', 'console')
train.train(config, 'run')
params, config = load_params('run')
of_run = dict.fromkeys(('sources', 'clip', 'crop', 'mask'), 'run')
evaluation = dict(seed=0, batch_size=8, data=of_run)
evaluation['evals'] = dict(rebuilt=dict(name='reconstruction'))
evaluate.evaluate(ConfigDict(evaluation), params, config, 'evaluation')
export.export('run', 'weights.npz')
"""
  log = _python(code, tmp_path, ROOT)
  for extra in ('tensorflow', 'vis'):
    assert log.count(f"pip install 'rvmae_jax[{extra}]'") == 1
  assert (tmp_path / 'run/metrics.jsonl').read_text().count('\n') == 2
  assert 'gain_db' in (tmp_path / 'evaluation/metrics.json').read_text()
  assert (tmp_path / 'weights.npz').exists()
