"""The README speaks of what is there, and its example works."""

import importlib.util
import pathlib
import re

import numpy as np
import pytest

from rvmae_jax.config_utils import load_config

ROOT = pathlib.Path(__file__).resolve().parents[1]
README = (ROOT / 'README.md').read_text()


def _block(path: str) -> str:
  """The Python block whose first line is the comment `# path`."""
  return re.search(rf'```python\n(# {path}\n.*?)```', README, re.DOTALL)[1]


@pytest.mark.parametrize(
  'module', sorted(set(re.findall(r'python -m (rvmae_jax[\w.]*)', README)))
)
def test_commands_exist(module):
  assert importlib.util.find_spec(module)


@pytest.mark.parametrize(
  'path',
  sorted(
    set(re.findall(r'\b(?:configs|launch|tests|rvmae_jax)/[\w/]+\.\w+', README))
    - {'rvmae_jax/masking/strip.py', 'configs/rvm_strip.py'}
  ),
)
def test_files_exist(path):
  assert (ROOT / path).exists()


def test_the_map_shows_all_rooms():
  rooms = {path.parent.name for path in ROOT.glob('rvmae_jax/*/__init__.py')}
  assert {room for room in rooms if f'  {room}/ ' not in README} == set()


def test_the_example_mask_shows_neighbouring_rows():
  namespace = {}
  exec(_block('rvmae_jax/masking/strip.py'), namespace)
  mask = namespace['StripMask'](grid=(4, 3), num_rows=2)
  rows = mask({'target': np.zeros(50)}, np.random.default_rng(0))
  assert rows['ids_keep'].shape == (50, 6)
  assert {tuple(ids) for ids in rows['ids_keep']} == {
    (0, 1, 2, 3, 4, 5),
    (3, 4, 5, 6, 7, 8),
    (6, 7, 8, 9, 10, 11),
    (0, 1, 2, 9, 10, 11),
  }


def test_the_example_recipe_loads(tmp_path):
  path = tmp_path / 'rvm_strip.py'
  path.write_text(_block('configs/rvm_strip.py'))
  config = load_config(f'{path}:variant=tiny')
  assert config.data.mask.to_dict() == {'name': 'strip', 'num_rows': 2}
