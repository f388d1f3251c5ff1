"""Tables of names: lazy, and helpful when a name or argument is wrong."""

import sys

import pytest

from rvmae_jax.data.clips import CLIPS
from rvmae_jax.data.scenes import BOXES, DEPTH, POINTS
from rvmae_jax.data.sources import SOURCES
from rvmae_jax.evals import EVALS
from rvmae_jax.layers.readout import READOUTS
from rvmae_jax.losses import LOSSES
from rvmae_jax.masking import MASKS
from rvmae_jax.models import MODELS
from rvmae_jax.objectives import OBJECTIVES
from rvmae_jax.registry import Registry, check_known, near_names, some_names

TABLES = (
  *(BOXES, CLIPS, DEPTH, EVALS, LOSSES, MASKS, MODELS, OBJECTIVES, POINTS),
  *(READOUTS, SOURCES),
)

SHAPES = Registry(
  'shape',
  {
    'fraction': 'fractions:Fraction',
    'counter': 'collections:Counter',
    'tabulated': 'tabnanny:check',
    'plain': 'textwrap:TextWrapper',
  },
)


def test_a_name_gives_the_object_behind_it():
  import fractions

  assert SHAPES.get('fraction') is fractions.Fraction
  assert 'fraction' in SHAPES
  assert 'circle' not in SHAPES


def test_nothing_is_imported_before_it_is_asked_for():
  sys.modules.pop('tabnanny', None)
  assert SHAPES.names() == ['counter', 'fraction', 'plain', 'tabulated']
  assert 'tabnanny' not in sys.modules
  SHAPES.get('tabulated')
  assert 'tabnanny' in sys.modules


def test_near_names_puts_the_closest_first():
  assert near_names('tub', ['random', 'tube', 'cell']) == (
    "Did you mean 'tube'? Known: cell, random, tube."
  )
  assert near_names('tub', []) == 'Known: (none).'


def test_an_unknown_name_is_answered_with_near_ones():
  with pytest.raises(ValueError, match=r"Unknown shape 'fractoin'.*'fraction'"):
    SHAPES.get('fractoin')


def test_of_many_names_some_are_shown():
  assert some_names(iter('abc'), most=3) == 'a, b, c'
  assert some_names('abcd', most=2, between='; ') == 'a; b and 2 more'


def test_the_first_unknown_of_several_names_is_answered():
  check_known('colour', {'red', 'blue'}, 'red', 'blue')
  with pytest.raises(ValueError, match=r"Unknown colour 'bleu'.*'blue'"):
    check_known('colour', {'red', 'blue'}, 'red', 'bleu', 'rot')


def test_build_passes_config_and_extra_arguments():
  wrapper = SHAPES.build({'name': 'plain', 'width': 12}, tabsize=3)
  assert (wrapper.width, wrapper.tabsize) == (12, 3)


def test_build_leaves_the_config_alone():
  config = {'name': 'plain', 'width': 12}
  SHAPES.build(config)
  assert config == {'name': 'plain', 'width': 12}


def test_build_needs_a_name():
  with pytest.raises(ValueError, match=r"needs a `name`; got keys \['width'\]"):
    SHAPES.build({'width': 12})


def test_an_unknown_argument_is_named_with_its_value_and_near_ones():
  with pytest.raises(ValueError, match=r"'widht' \(value 12\).*'width'"):
    SHAPES.build({'name': 'plain', 'widht': 12})


def test_what_the_caller_gives_is_not_for_the_config():
  with pytest.raises(ValueError, match="takes no argument 'width'"):
    SHAPES.build({'name': 'plain', 'width': 12}, width=13)


def test_an_entry_that_takes_anything_gets_anything():
  assert SHAPES.build({'name': 'counter', 'a': 2}) == {'a': 2}


@pytest.mark.parametrize('table', TABLES, ids=lambda table: table.kind)
def test_all_names_of_our_tables_lead_somewhere(table):
  assert table.names()
  assert all(callable(table.get(name)) for name in table.names())
