"""Config arguments, recipe files and their JSON."""

import ml_collections
import pytest

from rvmae_jax import config_utils

DEFAULTS = {'variant': 'S', 'runlocal': False, 'steps': 100, 'ratio': 0.5}


def test_arguments_take_the_type_of_their_default():
  arg = config_utils.parse_arg('variant=B/16,runlocal,steps=7', **DEFAULTS)
  assert arg.to_dict() == {
    'variant': 'B/16',
    'runlocal': True,
    'steps': 7,
    'ratio': 0.5,
  }


@pytest.mark.parametrize('empty', [None, ''])
def test_no_arguments_are_the_defaults(empty):
  assert config_utils.parse_arg(empty, **DEFAULTS).to_dict() == DEFAULTS


def test_a_comma_in_a_value_is_marked():
  arg = config_utils.parse_arg(r'variant=/a\,b\,c,runlocal', **DEFAULTS)
  assert (arg.variant, arg.runlocal) == ('/a,b,c', True)


def test_arguments_of_another_recipe_are_taken_as_they_are():
  other = config_utils.parse_arg('variant=/a\\,b,mask=1', variant='', mask=0)
  wanted = {**DEFAULTS, 'variant': '/a,b'}
  for given in (other, other.to_dict()):
    assert config_utils.parse_arg(given, **DEFAULTS).to_dict() == wanted


def test_a_switch_can_be_turned_off():
  arg = config_utils.parse_arg('runlocal=false', runlocal=True)
  assert arg.runlocal is False


@pytest.mark.parametrize(
  ('arg', 'message'),
  [
    ('varaint=B', "Unknown config argument 'varaint'.*'variant'"),
    ('variant=a,b', r"Unknown config argument 'b'.*comma .* is written '\\,'"),
    ('steps=many', "steps='many' is not a valid int"),
    ('runlocal=perhaps', 'use true or false'),
  ],
)
def test_a_wrong_argument_says_what_was_meant(arg, message):
  with pytest.raises(ValueError, match=message):
    config_utils.parse_arg(arg, **DEFAULTS)


RECIPE = """
import ml_collections
from rvmae_jax import config_utils

def get_config(arg=None):
  arg = config_utils.parse_arg(arg, steps=100)
  data = {'size': (32, 48)}
  return ml_collections.ConfigDict({'steps': arg.steps, 'data': data})
"""


@pytest.fixture(name='recipe')
def _recipe(tmp_path):
  path = tmp_path / 'recipe.py'
  path.write_text(RECIPE)
  return path


def test_a_recipe_is_loaded_with_its_arguments(recipe):
  assert config_utils.load_config(f'{recipe}:steps=5').steps == 5
  assert config_utils.load_config(str(recipe)).steps == 100


def test_a_typo_in_a_loaded_recipe_fails_and_says_what_was_meant(recipe):
  config = config_utils.load_config(str(recipe))
  with pytest.raises(AttributeError, match='Did you mean "size"'):
    config.data.sise = (4, 4)


def test_a_missing_recipe_is_named(tmp_path):
  with pytest.raises(ValueError, match=r"No recipe '.*/none\.py'"):
    config_utils.load_config(f'{tmp_path}/none.py:a=1')


@pytest.mark.parametrize('path', ['rvmae.py', 'configs/rvmae.py'])
def test_a_recipe_of_the_package_is_found_from_anywhere(
  path, monkeypatch, tmp_path
):
  monkeypatch.chdir(tmp_path)
  assert config_utils.load_config(f'{path}:variant=L').model.variant == 'L'


def test_a_file_goes_before_a_recipe_of_the_package(monkeypatch, tmp_path):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'rvmae.py').write_text(RECIPE)
  assert config_utils.load_config('rvmae.py:steps=5').steps == 5


def test_a_misspelt_recipe_of_the_package_says_what_was_meant():
  with pytest.raises(ValueError, match=r"Did you mean 'rvm_pretrain\.py'"):
    config_utils.load_config('rvm_pretrian.py:variant=L')


def test_json_brings_the_same_config_back():
  config = ml_collections.ConfigDict(
    {'size': (2, 3), 'rate': 1.5e-4, 'none': None, 'model': {'name': 'rvm'}}
  )
  back = config_utils.from_json(config_utils.to_json(config))
  assert back.to_dict() == config.to_dict()
  assert back.is_locked


@pytest.fixture(name='values')
def _values():
  return ml_collections.ConfigDict(
    {
      'model': {'dtype': 'float32'},
      'size': (8, 8),
      'weight_decay': 0.05,
      'steps': 100,
      'flip': True,
    }
  )


def test_values_are_read_as_python_or_as_text(values):
  changed = config_utils.with_values(
    values, 'model.dtype=bfloat16,weight_decay=0'
  )
  assert changed.model.dtype == 'bfloat16'
  assert changed.weight_decay == 0
  assert values.model.dtype == 'float32'


def test_a_value_may_hold_commas(values):
  changed = config_utils.with_values(values, r'size=(1\, 2)')
  assert changed.size == (1, 2)


@pytest.mark.parametrize('text', ['false', 'False', '0'])
def test_what_is_false_is_false(text):
  values = ml_collections.ConfigDict({'data': {'crop': {'flip': True}}})
  changed = config_utils.with_values(values, f'data.crop.flip={text}')
  assert not changed.data.crop.flip


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ('weight_decay=much', "weight_decay='much' is not a valid float"),
    ('weight_decay=None', "weight_decay='None' is not a valid float"),
    ('steps=1e3', "steps='1e3' is not a valid int"),
    ('steps=8.5', "steps='8.5' is not a valid int"),
    ('flip=2', "flip='2': use true or false"),
    ('model.dtype', "'model.dtype' .* is not key=value.* is written '\\\\,'"),
    ('model.dtyp=bfloat16', 'dtyp=bfloat16.: (.|\n)*Did you mean "dtype"'),
    ('modle.dtype=bfloat16', "'modle.dtype=bfloat16': .*modle"),
  ],
)
def test_wrong_changes_are_answered(values, changes, message):
  with pytest.raises(ValueError, match=message):
    config_utils.with_values(values, changes)


def test_entries_are_taken_by_name_in_the_order_asked_for():
  table = {'depth': 1, 'points': 2, 'boxes': 3}
  assert config_utils.named(table, '', 'task') == table
  assert list(config_utils.named(table, 'boxes+depth', 'task').values()) == [
    3,
    1,
  ]
  with pytest.raises(ValueError, match=r"task 'box'.*mean 'boxes'"):
    config_utils.named(table, 'boxes+box', 'task')
