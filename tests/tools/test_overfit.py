"""Every method that rebuilds pixels learns two clips by heart.

What takes minutes, sixteen clips with the recipes' own networks, is the command
of `rvmae_jax.tools.overfit`.
"""

import pathlib

import pytest

from rvmae_jax.config_utils import load_config, merged
from rvmae_jax.tools.comparison.recipes import run_recipe
from rvmae_jax.tools.overfit import masked_methods, overfit, table_row

ROOT = pathlib.Path(__file__).parents[2]
CONFIG = load_config(f'{ROOT}/configs/compare_sprites.py')
# One block of each kind: most of the time goes into compiling.
SMALL = {'encoder_blocks': 1, 'decoder_blocks': 1}
TARGET_DB = 30


@pytest.mark.slow
@pytest.mark.parametrize('method', masked_methods(CONFIG))
def test_two_clips_are_learned_by_heart(method, monkeypatch, record_property):
  monkeypatch.chdir(ROOT)
  recipe = run_recipe(CONFIG, method, seed=0)
  videos = {'num_videos': 16, 'split': 'val'}
  recipe = merged(
    recipe, {'model': SMALL, 'data': {'sources': {'videos': videos}}}
  )
  curve = overfit(
    recipe, num_clips=2, target_db=TARGET_DB, max_steps=400, lr=3e-3
  )
  record_property('steps', curve[-1][0])
  assert curve[0][1] < TARGET_DB - 10
  assert curve[-1][1] >= TARGET_DB, curve


def test_a_row_tells_whether_the_target_was_reached():
  curve = [(0, 9.0), (10, 31.04), (20, 30.0)]
  assert table_row('rvm', curve, 30) == ('rvm', 9.0, 31.0, 10)
  assert table_row('rvm', curve, 32) == ('rvm', 9.0, 31.0, None)
