"""Models and masks: those that go together train, others are refused."""

import re

import jax
import numpy as np
import pytest
from jax.interpreters import partial_eval

from rvmae_jax.batch import fake_batch
from rvmae_jax.benchmarks.program import count
from rvmae_jax.losses import LOSSES, family_of
from rvmae_jax.masking import MASKS
from rvmae_jax.models import MODELS
from rvmae_jax.objectives.masked_reconstruction import MaskedReconstruction
from rvmae_jax.parts import build_parts, describe, rebuilt_frames
from rvmae_jax.perceptual import load_judge
from tests import tiny_recipe
from tests.weights_file import write_videomae

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
  if MASKS.get(mask).layout.hides == 'video':
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


@pytest.fixture(scope='module')
def judge_path(tmp_path_factory):
  """Weights of a network that judges: the largest array has 256 KiB."""
  fields = {
    'name': 'videomae',
    'variant': 'tiny',
    'width': 128,
    'encoder_blocks': 1,
    'encoder_heads': 2,
    'encoder_mlp_dim': 512,
    'decoder_blocks': 1,
    'patch_size': 8,
    'tubelet_size': 2,
  }
  path = tmp_path_factory.mktemp('judge') / 'model.safetensors'
  write_videomae(path, fields)
  return str(path)


def with_every_loss(case, judge_path):
  """A config of the model with each loss that its objective takes."""
  fields, fitting = CASES[case]
  config = make_config(fields, min(fitting, default='tube'))
  config.perceptual_checkpoint = judge_path
  if case == 'classifier':
    config.data.mask = {}
    config.objective = {'name': 'supervised'}
    config.losses = {'cross_entropy': 1.0}
  elif case == 'moco_v3':
    config.objective, config.ema_decay = {'name': 'contrastive'}, 0.9
    config.losses, config.data.mask = {'info_nce': 1.0}, {}
  else:
    # Features of all frames together, or of clusters, do not change in time.
    has_times = case not in ('joint', 'arvideo')
    unfit = {'classification', '' if has_times else 'temporal'}
    names = [name for name in LOSSES.names() if family_of(name) not in unfit]
    config.losses = dict.fromkeys(names, 0.1)
  if 'info_nce' in config.losses:
    config.data.clip = {'name': 'two_views', 'clip': config.data.clip}
  return config


def largest_constant(function, *arguments):
  """Bytes of the largest array that is written into a program."""
  program = jax.jit(function).lower(*arguments).as_text()
  arrays = re.findall(r'dense<"0x(\w+)"', program)
  return max((len(array) // 2 for array in arrays), default=0)


@pytest.mark.parametrize('case', CASES)
def test_no_network_becomes_constants_of_a_step(case, judge_path):
  parts = build_parts(with_every_loss(case, judge_path))
  is_judged = isinstance(parts.objective, MaskedReconstruction)
  sizes = [leaf.nbytes for leaf in jax.tree.leaves(parts.frozen)]
  assert max(sizes, default=0) == (256 * 1024 if is_judged else 0)
  # R-VMAE's table of times is the largest that there may be.
  constant = largest_constant(
    parts.train_step, parts.shapes, parts.spec, *parts.frozen
  )
  assert constant <= 128 * 1024


def test_the_features_of_a_second_view_count():
  config = make_config({'name': 'rvmae', 'core_blocks': 1}, 'space_time')
  config.model.update(attention='xla', core_remat='none')
  config.losses = {'pixel_l2': 1.0, 'info_nce': 0.1}
  config.data.clip = {'name': 'two_views', 'clip': config.data.clip}
  parts = build_parts(config)
  traced = jax.make_jaxpr(parts.train_step)(parts.shapes, parts.spec)
  # Nobody asks for what the second view would be rebuilt as.
  outputs = [True] * len(traced.jaxpr.outvars)
  program, _ = partial_eval.dce_jaxpr(traced.jaxpr, outputs)
  found = parts.flops_per_clip * config.batch_size
  assert found == pytest.approx(count(program).flops, rel=0.01)


def test_a_network_that_is_closed_over_is_found(judge_path):
  judge = load_judge(judge_path)
  video = jax.ShapeDtypeStruct((1, 2, 16, 16, 3), np.uint8)
  found = largest_constant(lambda v: judge.features(judge.params, v), video)
  assert found == 256 * 1024


def test_the_judge_of_a_config_gives_its_loss(judge_path):
  config = make_config({'name': 'videomae', 'width': 32}, 'tube')
  config.losses, config.perceptual_checkpoint = {'perceptual': 10.0}, judge_path
  assert 'per step, without the network that judges.' in describe(config)
  parts, judge = build_parts(config), load_judge(judge_path)
  batch, rng = fake_batch(parts.spec), jax.random.key(0)

  def by_hand(params):
    outputs = parts.model.apply(
      {'params': params}, batch, train=True, rngs={'dropout': rng}
    )
    rebuilt = parts.objective.to_frames(outputs, batch)
    return judge.distance(judge.params, rebuilt, batch['video']).mean()

  @jax.jit
  def losses(*frozen):
    params = parts.init().params
    return parts.loss_fn(params, batch, rng, *frozen), by_hand(params)

  (loss, metrics), want = losses(*parts.frozen)
  assert want > 0.01
  np.testing.assert_allclose(metrics['perceptual'], want, rtol=1e-5)
  np.testing.assert_allclose(loss, 10 * want, rtol=1e-5)
