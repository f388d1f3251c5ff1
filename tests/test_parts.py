"""Models and masks: those that go together train, others are refused."""

import jax
import pytest

from rvmae_jax.masking import MASKS
from rvmae_jax.models import MODELS
from rvmae_jax.parts import build_parts, rebuilt_frames
from tests import tiny_recipe

EVEN = {'block', 'frame_difference', 'motion_guided', 'per_frame', 'tube'}
EVEN_WHERE_SHOWN = {*EVEN, 'running_cell', 'space_time'}
# Fields of a model, and the masks that it can take.
CASES = {
  'rvm': ({'name': 'rvm'}, {'target'}),
  'siammae': ({'name': 'siammae'}, {'target'}),
  'rvmae': ({'name': 'rvmae'}, EVEN_WHERE_SHOWN),
  'joint': ({'name': 'videomae'}, {*EVEN_WHERE_SHOWN, 'random'}),
  'divided': (
    {'name': 'videomae', 'space_time': 'divided', 'tubelet_size': 2},
    {'block', 'tube'},
  ),
  'per frame': ({'name': 'videomae', 'space_time': 'per_frame'}, EVEN),
  'arvideo': ({'name': 'arvideo', 'tubelet_size': 2}, {'clusters'}),
  'classifier': (
    {'name': 'classifier', 'backbone': 'videomae', 'num_classes': 3},
    set(),
  ),
  'moco_v3': ({'name': 'moco_v3'}, set()),
}


def make_config(fields, mask):
  config = tiny_recipe.get_config()
  config.model = {
    'variant': 'tiny',
    'encoder_blocks': 1,
    'decoder_blocks': 1,
    'patch_size': 8,
    **fields,
  }
  config.data.mask = {'name': mask, 'ratio': 0.5}
  if mask == 'clusters':
    config.data.mask.cluster = (2, 2, 2)
  if MASKS.get(mask).hides == 'video':
    config.data.clip = {'name': 'uniform', 'num_frames': 4, 'stride': 1}
  return config


def test_every_model_has_a_case():
  assert {fields['name'] for fields, _ in CASES.values()} == set(MODELS.names())


@pytest.mark.parametrize('mask', MASKS.names())
@pytest.mark.parametrize('case', CASES)
def test_a_mask_trains_or_is_refused_before_data_is_read(case, mask):
  fields, fitting = CASES[case]
  config = make_config(fields, mask)
  if mask in fitting:
    parts = build_parts(config)
    _, metrics = jax.eval_shape(parts.train_step, parts.shapes, parts.spec)
    assert metrics['loss'].shape == ()
  else:
    with pytest.raises(ValueError, match=f"'{fields['name']}'.*'{mask}'"):
      build_parts(config)


def test_a_model_without_its_mask_is_refused():
  config = make_config({'name': 'videomae'}, 'tube')
  config.data.mask = {}
  with pytest.raises(ValueError, match=r"'videomae'.* data\.mask is empty"):
    build_parts(config)


def test_what_a_run_rebuilds_is_of_its_mask_and_objective():
  config = make_config({'name': 'rvmae'}, 'tube')
  assert rebuilt_frames(config) == 'video'
  config.data.mask.name = 'target'
  assert rebuilt_frames(config) == 'target'
  config.objective = {'name': 'contrastive'}
  assert rebuilt_frames(config) == ''
