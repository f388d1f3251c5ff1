"""Every method that rebuilds pixels learns two clips by heart.

Sixteen clips, with the recipes' own networks, take minutes: see
`rvmae_jax.tools.overfit`.
"""

import pathlib

import pytest

from rvmae_jax.config_utils import load_config, merged
from rvmae_jax.data.clips import unwrapped
from rvmae_jax.tools.comparison.recipes import run_recipe
from rvmae_jax.tools.overfit import (
  known_methods,
  masked_methods,
  overfit,
  table_row,
)
from rvmae_jax.tools.result_file import write_result

ROOT = pathlib.Path(__file__).parents[2]
CONFIG = load_config(f'{ROOT}/configs/compare_sprites.py')
TARGET_DB = 30
# Their masks span four slots, of two frames each.
FOUR_SLOTS = 'arvideo', 'videomae_v2'


def shortened(method):
  """The recipe with one block of each kind and a few frames."""
  recipe = run_recipe(CONFIG, method, seed=0)
  clip = unwrapped(recipe.data.clip)
  if 'num_source' in clip:
    clip.update({'num_source': 2, 'num_target': 2})
  else:
    clip.num_frames = min(clip.num_frames, 8 if method in FOUR_SLOTS else 4)
  videos = {'num_videos': 16, 'split': 'val'}
  return merged(
    recipe,
    {
      'model': {'encoder_blocks': 1, 'decoder_blocks': 1},
      'data': {'sources': {'videos': videos}},
    },
  )


@pytest.mark.slow
@pytest.mark.parametrize('method', masked_methods(CONFIG))
def test_two_clips_are_learned_by_heart(method, monkeypatch, record_property):
  monkeypatch.chdir(ROOT)
  curve = overfit(
    shortened(method),
    num_clips=2,
    target_db=TARGET_DB,
    max_steps=1500,
    lr=5e-3,
  )
  record_property('steps', curve[-1][0])
  assert curve[0][1] < TARGET_DB - 10
  assert curve[-1][1] >= TARGET_DB


def test_a_row_tells_whether_the_target_was_reached():
  curve = [(0, 9.0), (10, 31.04), (20, 30.0)]
  assert table_row('rvm', curve, 30) == ('rvm', 9.0, 31.0, 10)
  assert table_row('rvm', curve, 32) == ('rvm', 9.0, 31.0, None)


def test_methods_that_were_done_are_kept(tmp_path):
  path, columns = tmp_path / 'overfit.json', ('method', 'steps')
  recipes = {'rvm': 'digest'}
  assert known_methods(path, columns, '16 clips.', recipes) == ([], {}, {})
  written = {'curves': {'rvm': [1]}, 'recipes': recipes}
  write_result(path, columns, [('rvm', 10)], '16 clips.', **written)
  for asked in (recipes, {'videomae': 'another method'}):
    assert known_methods(path, columns, '16 clips.', asked) == (
      [['rvm', 10]],
      {'rvm': [1]},
      recipes,
    )
  with pytest.raises(ValueError, match=r'other settings .16 clips.*8 clips'):
    known_methods(path, columns, '8 clips.', recipes)
  with pytest.raises(ValueError, match='other recipes of rvm'):
    known_methods(path, columns, '16 clips.', {'rvm': 'changed'})
