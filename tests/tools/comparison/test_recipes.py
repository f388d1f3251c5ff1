"""What a comparison's config stands for: recipes, lengths, evaluations."""

import pytest

from rvmae_jax.config_utils import load_config, to_json
from rvmae_jax.configs import compare_sprites
from rvmae_jax.evals import unfit_evals
from rvmae_jax.evals.schedule import ScheduledEvals
from rvmae_jax.evaluate import build_evaluations
from rvmae_jax.parts import build_parts, rebuilt_frames
from rvmae_jax.tools.comparison import recipes as compare_recipes
from rvmae_jax.transfer import match
from tests.tools.tiny_comparison import RECIPE, ROOT, comparison

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
  assert compare_recipes.num_steps(budget, 16, _COST) == steps


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
    compare_recipes.num_steps({'unit': unit, 'amount': amount}, 16, cost)


def test_a_recipe_gets_shared_changes_then_its_own():
  own = {'batch_size': 4, 'model': {'width': 64}}
  methods = {'rvm': {'recipe': RECIPE, 'changes': own}}
  shared = {'batch_size': 16, 'model': {'width': 8, 'patch_size': 16}}
  config = comparison(methods=methods, shared=shared)
  recipe = compare_recipes.run_recipe(config, 'rvm', seed=3)
  assert (recipe.seed, recipe.batch_size) == (3, 4)
  assert (recipe.model.width, recipe.model.patch_size) == (64, 16)
  assert recipe.model.decoder_width == 32  # As it was.


def test_a_change_of_nothing_is_answered_with_what_was_meant():
  with pytest.raises(ValueError, match="mean 'batch_size'"):
    compare_recipes.run_recipe(comparison(shared={'bach_size': 1}), 'rvm', 0)


_SPRITES = str(ROOT / 'configs/compare_sprites.py')
_ALTERED = f'{_SPRITES}:methods={"+".join(compare_sprites.ALTERED)}'


@pytest.mark.parametrize(
  ('spec', 'method'),
  [
    (spec, m)
    for spec in (_SPRITES, _ALTERED)
    for m in load_config(spec).methods
  ],
)
def test_every_method_of_the_sprites_comparison_builds(spec, method):
  recipe = compare_recipes.run_recipe(load_config(spec), method, 0)
  parts = build_parts(recipe)
  assert parts.spec['video'].shape[2:] == (32, 32, 3)
  assert parts.flops_per_clip


_STUDY = f'{ROOT}/configs/compare_rvmae.py:methods=study+ablations'
_RVM = f'{ROOT}/configs/compare_rvm.py'


@pytest.mark.parametrize('method', load_config(_STUDY).methods)
def test_every_method_of_the_study_learns_from_the_same_clips(method):
  config = load_config(_STUDY)
  recipe = compare_recipes.run_recipe(config, method, 0)
  assert build_parts(recipe).spec['video'].shape == (16, 8, 32, 32, 3)
  assert unfit_evals(config.evaluation.evals, rebuilt_frames(recipe)) == {}


@pytest.mark.parametrize('spec', [_STUDY, _RVM, _ALTERED])
def test_ablations_differ_from_each_other(spec):
  config = load_config(spec)
  recipes = {
    to_json(compare_recipes.run_recipe(config, method, 0))
    for method in config.methods
  }
  assert len(recipes) == len(config.methods)


@pytest.mark.parametrize('method', load_config(_RVM).methods)
def test_every_ablation_of_rvm_rebuilds_the_same_patches(method):
  config = load_config(_RVM)
  recipe = compare_recipes.run_recipe(config, method, 0)
  parts = build_parts(recipe)
  assert parts.spec['target'].shape == (16, 4, 64, 64, 3)
  evals = build_evaluations(config.evaluation, recipe)
  assert set(evals) == set(config.evaluation.evals)
  assert evals['reconstruction'].videos.mask['ratio'] == 15 / 16


@pytest.mark.parametrize('comparison', ['compare_rvmae', 'compare_sprites'])
def test_rates_are_three_and_asked_about_validation_videos(comparison):
  config = load_config(f'{ROOT}/configs/{comparison}.py:methods=rvmae,rates')
  rates = [
    compare_recipes.run_recipe(config, f'rvmae_{name}', 0).optimizer.lr_per_256
    for name in ('third', 'same', 'triple')
  ]
  assert rates == pytest.approx([0.008, 0.024, 0.072])
  assert config.evaluation.evals.linear_probe.test.sources.videos.split == 'val'


def test_probes_along_the_way_are_those_after_training():
  config = load_config(f'{_SPRITES}:methods=rvm,probe_every=500,rates')
  recipe = compare_recipes.run_recipe(config, 'rvm_same', 0)
  evals = ScheduledEvals(
    recipe.evals, total_steps=1_200, run_config=recipe, batch_size=64
  )
  assert [s for s in range(1, 1_201) if evals.due(s)] == [500, 1_000, 1_200]
  last = build_evaluations(config.evaluation, recipe)['linear_probe']
  along = config.during_training.probe
  assert along.test == config.evaluation.evals.linear_probe.test
  assert set(along.poolings) < set(last.poolings)


@pytest.mark.parametrize('method', load_config(_SPRITES).methods)
def test_what_it_trains_can_be_fine_tuned(method):
  config = load_config(_SPRITES)
  recipe = compare_recipes.run_recipe(config, method, seed=3)
  tuned = compare_recipes.finetune_recipe(config, recipe, 'runs/it')
  assert (tuned.seed, tuned.checkpoint.init_from) == (3, 'runs/it')
  loaded = build_parts(recipe).shapes.params
  wanted = build_parts(tuned).shapes.params
  assert set(match(loaded, wanted, method).fresh) <= {'head', 'norm'}


def test_per_frame_methods_rebuild_the_same():
  config = load_config(_SPRITES)
  names = 'image_mae', 'vanilla_mae', 'temporal_augmentation_mae'
  recipes = [compare_recipes.run_recipe(config, name, 0) for name in names]
  first, *others = [recipe.objective.to_dict() for recipe in recipes]
  assert others == [first, first]


def test_all_methods_rebuild_pixels_and_know_where():
  """Not normalised patches, with positions that a 4x4 grid can tell apart."""
  config = load_config(_SPRITES)
  for name, method in config.methods.items():
    recipe = compare_recipes.run_recipe(config, name, 0)
    if method.get('is_trained', True):
      assert recipe.objective.get('normalize', 'none') == 'none', name
    assert recipe.model.get('position', 'sincos_2d') != 'sincos_1d', name
    if recipe.model.get('position') != 'learned':
      assert recipe.model.position_base == 5.0, name


def test_what_is_not_trained_has_no_rate():
  methods = load_config(f'{_SPRITES}:rates').methods
  assert 'rvm_third' in methods
  assert not any(name.startswith('random_') for name in methods)


def test_only_what_is_part_of_a_run_changes_its_key():
  config, longer, tuned = (load_config(_SPRITES) for _ in range(3))
  longer.budget.amount *= 2
  tuned.finetune.clips *= 2
  keys = [
    {compare_recipes.run_key(c, method, 0) for c in (config, longer, tuned)}
    for method in ('rvm', 'random_rvm')
  ]
  assert [len(of_method) for of_method in keys] == [3, 2]


def test_the_quick_comparison_is_a_part_of_it():
  quick = load_config(f'{_SPRITES}:quick')
  assert set(quick.methods) < set(load_config(_SPRITES).methods)


@pytest.mark.parametrize(
  ('method', 'left_out'),
  [
    ('rvm', ['clip_reconstruction']),
    ('videomae', ['reconstruction']),
    ('from_scratch', ['clip_reconstruction', 'reconstruction']),
  ],
)
def test_a_recipe_gets_the_reconstruction_that_its_mask_is_for(
  method, left_out
):
  config = load_config(_SPRITES)
  recipe = compare_recipes.run_recipe(config, method, 0)
  unfit = unfit_evals(config.evaluation.evals, rebuilt_frames(recipe))
  assert sorted(unfit) == left_out
