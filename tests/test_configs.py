"""Every recipe in configs/ builds, and one step of it runs, in shapes only."""

import ast
import inspect
import pathlib
import re
import sys

import jax
import pytest
from absl import flags
from ml_collections import config_flags

from rvmae_jax import config_utils
from rvmae_jax.batch import check_batch, fake_batch
from rvmae_jax.config_utils import (
  from_json,
  load_config,
  load_recipe,
  to_json,
)
from rvmae_jax.data.sources import SOURCES
from rvmae_jax.parts import build_parts
from rvmae_jax.training.optimizer import scaled_lr
from rvmae_jax.transfer import match

CONFIGS = pathlib.Path(__file__).resolve().parents[1] / 'configs'
# Recipes of training; evaluations and comparisons have none of its parts.
RECIPES = sorted(
  path
  for path in CONFIGS.glob('*.py')
  if not path.name.startswith(('eval_', 'compare_'))
)
# Of those, the ones that learn from labels.
SUPERVISED = {'finetune', 'from_scratch'}


def _arguments(path: pathlib.Path) -> list[str]:
  """What the header says may follow the colon: none, variants, runlocal."""
  header = _header(path)
  variants = re.search(r'variant=((?:\w+\|)+\w+)', header)
  arguments = variants[1].split('|') if variants else []
  arguments = [f'variant={variant}' for variant in arguments]
  return ['', *arguments, *re.findall('runlocal', header)[:1]]


def _header(path: pathlib.Path) -> str:
  return ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize(
  'spec', [f'{path.name}:{a}' for path in RECIPES for a in _arguments(path)]
)
def test_a_step_runs_in_shapes(spec):
  config = load_config(f'{CONFIGS}/{spec}')
  if 'variant=' in spec and 'scan_layers' in config.model:
    config.model.scan_layers = True  # Traces one block of each stack, not all.
  parts = build_parts(config)
  check_batch(parts.spec)
  state, metrics = jax.eval_shape(parts.train_step, parts.shapes, parts.spec)
  assert _shapes(state) == _shapes(parts.shapes)
  assert metrics['loss'].shape == ()


def test_ablations_are_those_of_the_header():
  path = CONFIGS / 'rvm_ablation.py'
  names = re.findall(r'^  (\w+)  ', _header(path), re.MULTILINE)[1:]
  assert names == list(load_recipe(path).ABLATIONS)
  configs = {load_config(f'{path}:ablation={name}').to_json() for name in names}
  assert len(configs) == len(names)


@pytest.mark.parametrize(
  'spec',
  [
    'rvmae.py:views,causal',
    'rvm_ablation.py:ablation=attention,base=paper',
    'rvm_ablation.py:ablation=source_1',
    'rvm_ablation.py:ablation=biased,base=midsize',
    'rvm_ablation.py:ablation=warm_up',
    'rvm_ablation.py:ablation=last_state',
    'rvm_ablation.py:ablation=jitter',
    'rvm_ablation.py:ablation=half_patch,base=paper',
  ],
)
def test_more_arguments_run_in_shapes(spec):
  test_a_step_runs_in_shapes(f'{spec},runlocal')


@pytest.mark.parametrize(
  ('spec', 'peak'),
  [
    # The rate itself: nothing says that it grows with the batch.
    ('rvm_pretrain.py', 1.5e-4),
    ('rvm_ablation.py:base=paper', 1.5e-4),
    # By 256 clips: 1.5e-4, 1.5e-4, 1e-4, 1.5e-4.
    ('rvmae.py', 3e-4),
    ('vanilla_mae.py', 3e-4),
    ('siammae.py', 8e-4),
    ('videomae.py', 1.2e-3),
    ('rvm_quickstart.py', 1.5e-3),
    ('rvm_ablation.py', 1.5e-3),
  ],
)
def test_peak_learning_rates(spec, peak):
  config = load_config(f'{CONFIGS}/{spec}')
  found = scaled_lr(config.optimizer.lr_per_256, config.batch_size)
  assert found == pytest.approx(peak)


@pytest.mark.parametrize('arguments', ['', 'variant=B,videos=DIR', 'runlocal'])
@pytest.mark.parametrize(
  ('name', 'data'),
  [
    ('vanilla_mae', {'mask'}),
    ('temporal_augmentation_mae', {'mask', 'clip'}),
  ],
)
def test_baselines_are_trained_as_rvmae_is(name, data, arguments):
  baseline = load_config(f'{CONFIGS}/{name}.py:{arguments}')
  rvmae = load_config(f'{CONFIGS}/rvmae.py:{arguments}')
  differing = {'model', 'losses', 'data', 'perceptual_checkpoint'}
  assert _differing(baseline, rvmae) == differing
  assert _differing(baseline.data, rvmae.data) == data
  for field in ('variant', 'patch_size', 'dtype'):
    assert baseline.model[field] == rvmae.model[field]


def _differing(a, b) -> set[str]:
  a, b = a.to_dict(), b.to_dict()
  return {key for key in a.keys() | b.keys() if a.get(key) != b.get(key)}


@pytest.mark.parametrize('argument', ['variant=B', 'videos=DIR'])
def test_what_only_the_paper_s_ablations_take(argument):
  name, value = argument.split('=')
  spec = f'{CONFIGS}/rvm_ablation.py:{argument}'
  with pytest.raises(
    ValueError, match=f"{name}='{value}' .*Add base=paper, or"
  ):
    load_config(spec)
  config = load_config(f'{spec},base=paper')
  wanted = load_config(f'{CONFIGS}/rvm_pretrain.py:{argument}')
  assert config.model.variant == wanted.model.variant
  assert config.data == wanted.data


@pytest.mark.parametrize(
  ('spec', 'message'),
  [
    ('videomae.py:dataset=ssv3', "Unknown dataset 'ssv3'. .*mean 'ssv2'"),
    ('finetune.py:dataset=kinetic', "Unknown dataset.*mean 'kinetics'"),
    ('arvideo.py:clusters=spatal', "Unknown clusters 'spatal'.*mean 'spatial'"),
    ('mgmae.py:motion=farnback', "Unknown motion.*mean 'farneback'"),
    ('eval_all.py:only=knn+cots', "Unknown evaluation 'cots'.*mean 'cost'"),
  ],
)
def test_an_unknown_choice_is_answered_with_near_ones(spec, message):
  with pytest.raises(ValueError, match=message):
    load_config(f'{CONFIGS}/{spec}')


def test_some_of_all_evaluations():
  every = load_config(f'{CONFIGS}/eval_all.py').evals
  some = load_config(f'{CONFIGS}/eval_all.py:only=knn+cost').evals
  assert some.to_dict() == {
    key: every[key].to_dict() for key in ('knn', 'cost')
  }


@pytest.mark.parametrize('name', ['kinetics', 'ssv2', 'ucf101', 'diving48'])
def test_published_datasets_are_read_by_their_readers(name):
  spec = f'{CONFIGS}/finetune.py:dataset={name},videos=DIR,published'
  config = load_config(spec)
  source = config.data.sources.videos.to_dict()
  assert source == {'name': name, 'path': 'DIR', 'split': 'train'}
  held_out = config.evals.accuracy.data.sources.videos
  published = inspect.getmodule(SOURCES.get(name)).SPLITS
  assert held_out.name == name and held_out.split in published


@pytest.mark.parametrize('name', ['kinetics', 'ssv2', 'hmdb51', 'diving48'])
def test_recognition_is_measured_on_published_splits(name):
  spec = f'{CONFIGS}/eval_recognition.py:dataset={name},videos=DIR'
  probe = load_config(spec).evals.knn
  for split in (probe.train, probe.test):
    settings = split.sources.videos.to_dict()
    reader = SOURCES.get(settings.pop('name'))
    inspect.signature(reader).bind(**settings)
    assert settings['split'] in inspect.getmodule(reader).SPLITS
  assert probe.train != probe.test


def _shapes(tree):
  return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree)


@pytest.mark.parametrize('path', CONFIGS.glob('*.py'), ids=lambda p: p.name)
def test_a_config_survives_json(path):
  needed = ':videos=DIR' if path.stem == 'eval_domain' else ''
  config = load_config(f'{path}{needed}')
  assert from_json(to_json(config)).to_dict() == config.to_dict()


def test_another_domain_is_asked_what_there_are_videos_for():
  spec = f'{CONFIGS}/eval_domain.py'
  tracked = load_config(f'{spec}:tracked=DAVIS').evals
  assert {entry.dataset.path for entry in tracked.values()} == {'DAVIS'}
  both = load_config(f'{spec}:videos=a.csv,labelled=DIR,split=all').evals
  assert set(both) == {'reconstruction', 'knn', 'linear_probe'}
  rebuilt = both.reconstruction.data.sources.videos.to_dict()
  assert rebuilt == {'name': 'listing', 'path': 'a.csv', 'split': 'all'}
  assert both.knn.test.sources.videos.name == 'folder'
  with pytest.raises(ValueError, match='Nothing is asked; add videos='):
    load_config(spec)


@pytest.mark.parametrize(
  ('clips', 'name'),
  [('a.csv', 'listing'), ('a.json', 'listing'), ('DIR', 'folder')],
)
def test_clips_to_join_are_of_a_folder_or_a_list(clips, name):
  spec = f'{CONFIGS}/eval_localization.py:dataset=thumos14,path=P,clips={clips}'
  source = load_config(spec).evals.localization.train.source.to_dict()
  assert source == {'name': name, 'path': clips, 'split': 'train'}


@pytest.mark.parametrize(
  ('spec', 'message'),
  [
    ('eval_localization.py:dataset=thumos', "mean 'thumos14'"),
    ('eval_label_propagation.py:width=320', 'give both, or neither'),
    ('eval_localization.py:dataset=thumos14', r'needs path; add path=\.\.\.'),
    ('eval_recognition.py:dataset=ucf', "mean 'ucf101'"),
    ('eval_recognition.py:dataset=ssv2,fold=2', 'fold=2 is not for dataset=s'),
    ('eval_label_propagation.py:path=DAVIS', 'path=DAVIS is not for dataset=s'),
    (
      'eval_label_propagation.py:dataset=vip,path=V,labels=L',
      'labels=L is not for dataset=vip',
    ),
    ('eval_localization.py:path=THUMOS', 'path=THUMOS is not for dataset=spri'),
    ('eval_localization.py:folds=2,clips=L', 'clips=L is not for folds=2'),
    ('eval_readouts.py:path=DIR', 'path=DIR is not for dataset=parallax'),
    (
      'eval_readouts.py:dataset=waymo,path=DIR,few=9',
      'few=9 is not for dataset=waymo',
    ),
  ],
)
def test_datasets_that_are_not_known_or_not_there_are_answered(spec, message):
  with pytest.raises(ValueError, match=message):
    load_config(f'{CONFIGS}/{spec}')


@pytest.mark.parametrize('path', CONFIGS.glob('*.py'), ids=lambda p: p.name)
def test_the_header_gives_the_command(path):
  header = _header(path)
  assert 'python -m rvmae_jax.' in header
  assert f'configs/{path.name}' in header


@pytest.mark.parametrize('path', RECIPES, ids=lambda p: p.stem)
def test_a_comma_in_a_path_is_handed_on(path):
  arguments = [r'shards=/a\,b', r'videos=/a\,b']
  if path.stem in ('rvm_quickstart', 'rvm_midsize'):
    arguments.pop()
  if path.stem == 'rvm_ablation':
    arguments[1] += ',base=paper'
  for argument in arguments:
    config = load_config(f'{path}:{argument}')
    assert config.data.sources.videos.path == '/a,b'


def _from_command_line(monkeypatch, *arguments: str):
  values = flags.FlagValues()
  config_flags.DEFINE_config_file(
    'config', lock_config=True, flag_values=values
  )
  # The overrides are read from there, whatever is parsed.
  monkeypatch.setattr(sys, 'argv', ['train', *arguments])
  values(sys.argv)
  return values.config


RECIPE = f'--config={CONFIGS}/rvm_pretrain.py:variant=tiny'


def test_an_override_changes_the_config(monkeypatch):
  config = _from_command_line(monkeypatch, RECIPE, '--config.batch_size=6')
  assert config.batch_size == 6


@pytest.mark.parametrize(
  'load', [load_config, config_utils._RecipeParser('config').parse]
)
def test_an_override_changes_what_it_names_alone(load):
  # Both have the same clips in the recipe.
  evals = load(f'{CONFIGS}/eval_sprites.py').evals
  evals.knn.data.clip.num_frames = 8
  assert evals.linear_probe.data.clip.num_frames == 16


def test_a_comma_in_an_argument_comes_through_the_flag(monkeypatch):
  config = _from_command_line(monkeypatch, RECIPE + r',videos=/a\,b')
  assert config.data.sources.videos.path == '/a,b'


@pytest.mark.parametrize(
  ('override', 'meant'),
  [
    ('--config.modle.variant=S', 'model'),
    ('--config.optimizer.lr_per_265=1', 'lr_per_256'),
  ],
)
def test_a_typo_is_answered_with_what_was_meant(monkeypatch, override, meant):
  with pytest.raises(
    (AttributeError, KeyError), match=f'Did you mean "{meant}"'
  ):
    _from_command_line(monkeypatch, RECIPE, override)


def test_a_wrong_argument_is_answered_with_the_known_ones(monkeypatch):
  with pytest.raises(flags.IllegalFlagValueError, match="mean 'variant'"):
    _from_command_line(monkeypatch, RECIPE.replace('variant', 'varaint'))


def test_a_mistake_in_a_recipe_keeps_its_traceback(tmp_path):
  recipe = tmp_path / 'mine.py'
  recipe.write_text('def get_config():\n  return {}["data"]\n')
  with pytest.raises(RuntimeError, match=r"mine\.py failed: KeyError: 'data'"):
    config_utils._RecipeParser('config').parse(str(recipe))


@pytest.mark.parametrize(
  'name', sorted({path.stem for path in RECIPES} - SUPERVISED)
)
def test_what_a_recipe_trains_can_be_fine_tuned(name):
  spec = f'{CONFIGS}/finetune.py:pretraining={name},runlocal'
  wanted = build_parts(load_config(spec)).shapes.params
  trained = load_config(f'{CONFIGS}/{name}.py:runlocal')
  loaded = build_parts(trained).shapes.params
  assert match(loaded, wanted, name).fresh == ['head', 'norm']


def test_moco_v3_keeps_its_patch_projection():
  config = load_config(f'{CONFIGS}/moco_v3.py:runlocal')
  config.schedule.warmup_steps = 0
  parts = build_parts(config)
  state = jax.jit(parts.init)()
  trained, _ = jax.jit(parts.train_step)(state, fake_batch(parts.spec))
  moved = jax.tree.map(
    lambda a, b: bool((a != b).any()),
    state.params['backbone'],
    trained.params['backbone'],
  )
  assert not any(jax.tree.leaves(moved['patch_embedding']))
  assert all(jax.tree.leaves(moved['encoder']))


def test_runlocal_takes_a_handful_of_anybody_s_videos():
  config = load_config(f'{CONFIGS}/eval_imported.py:videos=DIR,runlocal')
  assert config.data.max_videos == 24


@pytest.mark.parametrize(
  ('spec', 'message'),
  [
    ('rvm_pretrain.py:videos=/a,shards=/b', 'videos=/a and shards=/b'),
    ('videomae.py:dataset=ssv2,published', 'add videos=DIR without shards'),
    ('videomae.py:published,shards=/b', 'add videos=DIR without shards'),
    ('eval_midsize.py:own_videos', 'own_videos'),
    ('compare_sprites.py:budget=clip', "mean 'clips'"),
    ('compare_sprites.py:quick,methods=arvideo', 'methods=arvideo is not for'),
  ],
)
def test_arguments_that_contradict_each_other_are_refused(spec, message):
  with pytest.raises(ValueError, match=message):
    load_config(f'{CONFIGS}/{spec}')
