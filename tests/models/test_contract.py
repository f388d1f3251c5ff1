"""Every registered model answers to one contract.

A new model adds a line to `CASES`: its config, small, and the shapes of a batch
that it takes.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvmae_jax.batch import check_batch, fake_batch
from rvmae_jax.benchmarks.program import walk
from rvmae_jax.layers import attention
from rvmae_jax.models import MODELS, build_model
from rvmae_jax.objectives.statistics import network_metrics
from rvmae_jax.training.health import find_problems

T, S, SIZE, PATCH = 4, 2, 32, 8


def frames(num_frames, size):
  return jax.ShapeDtypeStruct((1, num_frames, size, size, 3), jnp.uint8)


def ids(*shape):
  return jax.ShapeDtypeStruct((1, *shape), jnp.int32)


def target_spec(config, size):
  """Source frames, and target frames with one visible patch in eight."""
  num_patches = (size // config['patch_size']) ** 2
  num_visible = num_patches // 8
  return {
    'video': frames(T, size),
    'target': frames(S, size),
    'target_delta': ids(S),
    'ids_keep': ids(S, num_visible),
    'ids_mask': ids(S, num_patches - num_visible),
  }


def clip_spec(config, size):
  """A clip with one visible patch in four."""
  slots = T // config['tubelet_size']
  num_patches = (size // config['patch_size']) ** 2
  num_visible = num_patches // 4
  return {
    'video': frames(T, size),
    'ids_keep': ids(slots * num_visible),
    'ids_mask': ids(slots * (num_patches - num_visible)),
  }


def hidden_frame_spec(config, size):
  """A clip of which one frame is hidden whole."""
  num_patches = (size // config['patch_size']) ** 2
  num_keep = (T - 1) * (num_patches // 4)
  return {
    'video': frames(T, size),
    'ids_keep': ids(num_keep),
    'ids_mask': ids(T * num_patches - num_keep),
    'slots_keep': ids(T - 1),
  }


def clusters_spec(config, size):
  """Four clusters of a clip, of which half of the tokens are seen."""
  spec = clip_spec(config, size)
  num_tokens = spec['ids_keep'].size + spec['ids_mask'].size
  return spec | {
    'ids_keep': ids(3, num_tokens // 8),
    'ids_mask': ids(3, num_tokens // 4),
  }


def labelled_spec(config, size):
  """A whole clip of a class."""
  del config
  return {'video': frames(T, size), 'label': ids()}


def views_spec(config, size):
  """Two clips of a video."""
  del config
  return {'video': frames(T, size), 'view2': frames(T, size)}


def tiny(name, **fields):
  config = {'name': name, 'variant': 'tiny', 'patch_size': PATCH}
  return {**config, 'encoder_blocks': 2, **fields}


CLS = {'num_prefix_tokens': 1, 'position': 'learned', 'learned_grid': (4, 4, 4)}
CASES = {
  'rvm': (tiny('rvm', time_unroll=T), target_spec),
  'rvm attention': (
    tiny('rvm', core_kind='attention', decoder_context='last'),
    target_spec,
  ),
  'rvmae': (tiny('rvmae', time_unroll=T), hidden_frame_spec),
  'videomae': (tiny('videomae', tubelet_size=2), clip_spec),
  'divided': (
    tiny('videomae', tubelet_size=2, space_time='divided', **CLS),
    clip_spec,
  ),
  'per_frame': (
    tiny('videomae', tubelet_size=1, space_time='per_frame', **CLS),
    clip_spec,
  ),
  'classifier': (
    tiny('classifier', backbone='videomae', tubelet_size=2, num_classes=5),
    labelled_spec,
  ),
  'siammae': (tiny('siammae'), target_spec),
  'arvideo': (tiny('arvideo', tubelet_size=2), clusters_spec),
  'moco_v3': (
    tiny('moco_v3', tubelet_size=2, hidden_dim=64, output_dim=16),
    views_spec,
  ),
  'rvm classifier': (
    tiny('classifier', backbone='rvm', num_classes=5, time_unroll=T),
    labelled_spec,
  ),
}


@pytest.fixture(params=CASES, scope='module')
def case(request):
  return CASES[request.param]


def test_every_registered_model_has_a_case():
  assert {config['name'] for config, _ in CASES.values()} == set(MODELS.names())


def encode(model):
  return lambda variables, video: model.apply(variables, video, method='encode')


def test_shapes(case):
  config, make_spec = case
  spec = make_spec(config, SIZE)
  check_batch(spec)
  model = build_model(config)
  variables = jax.eval_shape(model.init, jax.random.key(0), spec)
  out = jax.eval_shape(model.apply, variables, spec)
  features = jax.eval_shape(encode(model), variables, spec['video'])
  slots = T // config.get('tubelet_size', 1)
  num_tokens = model.num_prefix_tokens + (SIZE // PATCH) ** 2
  assert features.shape == (1, slots, num_tokens, model.width)
  assert features.dtype == jnp.float32
  assert {'pred', 'logits', 'prediction'} & set(out)
  if 'pred_ids' in out:
    assert out['pred_ids'].shape == out['pred'].shape[:-1]


def test_parameters_stay_float32_in_bfloat16(case):
  config, make_spec = case
  spec = make_spec(config, SIZE)
  model = build_model({**config, 'dtype': 'bfloat16'})
  variables = jax.eval_shape(model.init, jax.random.key(0), spec)
  assert {leaf.dtype.name for leaf in jax.tree.leaves(variables)} == {'float32'}
  for key, value in jax.eval_shape(model.apply, variables, spec).items():
    if key in ('pred', 'logits', 'prediction'):
      assert value.dtype == jnp.float32, key


@pytest.fixture(scope='module')
def ran(case):
  """What fresh parameters make of four clips."""
  config, make_spec = case
  model = build_model(config)
  spec = {
    key: jax.ShapeDtypeStruct((4, *array.shape[1:]), array.dtype)
    for key, array in make_spec(config, SIZE).items()
  }
  batch = fake_batch(spec)

  @jax.jit
  def run(key, batch):
    out, variables = model.init_with_output(key, batch)
    video = batch['video']
    frames, alone = (
      model.apply(variables, video, method='encode_frames')
      for video in (video, video[:, 1:2])
    )
    return out, encode(model)(variables, video), frames, alone

  return run(jax.random.key(0), batch)


def test_runs_under_jit(ran):
  """And features of a frame know nothing of the others."""
  out, features, frames, alone = ran
  for value in (*jax.tree.leaves(out), features, frames):
    assert np.isfinite(value).all()
  assert np.std(features) > 0
  assert frames.shape == (4, T, *features.shape[2:])
  np.testing.assert_allclose(frames[:, 1:2], alone, atol=1e-5)
  assert np.abs(frames[:, 0] - frames[:, 1]).max() > 1e-3


def test_fresh_parameters_show_no_sign_of_collapse(case, ran):
  metrics = network_metrics(ran[0])
  assert 'features/rank' in metrics
  assert find_problems(metrics, {}, case[0].get('core_kind', '')) == []


@pytest.mark.parametrize('name', MODELS.names())
def test_logits_are_computed_less_often_where_attention_is_kept(
  name, monkeypatch
):
  """That gradients are equal is a test of `layers`."""
  one_head = functools.partial(attention.headwise_attention, max_logits=1)
  monkeypatch.setattr(attention, 'headwise_attention', one_head)
  config, make_spec = CASES[name]
  spec = make_spec(config, SIZE)
  config = {**config, 'encoder_blocks': 1, 'attention': 'headwise'}
  variables = jax.eval_shape(build_model(config).init, jax.random.key(0), spec)

  def num_exponentials(remat):
    model = build_model({**config, 'remat': remat})

    def loss(variables, batch):
      out = model.apply(variables, batch, train=True)
      return sum(jnp.sum(leaf) for leaf in jax.tree.leaves(out))

    program = jax.make_jaxpr(jax.grad(loss))(variables, spec)
    return sum(e.primitive.name == 'exp' for e, _ in walk(program))

  assert num_exponentials('attention') < num_exponentials('full')


def test_flops_agree_with_xla(case):
  """At a width where what is not a matrix product hardly counts."""
  config, make_spec = case
  wide = {
    'width': 512,
    'encoder_mlp_dim': 2048,
    'decoder_width': 512,
    'decoder_mlp_dim': 2048,
  }
  config = {**config, **wide, 'attention': 'xla'}
  spec, model = make_spec(config, 2 * SIZE), build_model(config)
  variables = jax.eval_shape(model.init, jax.random.key(0), spec)

  def forward(variables, batch):
    out = model.apply(variables, batch)
    names = ('pred', 'logits', 'prediction')
    return [out[name] for name in names if name in out]

  lowered = jax.jit(forward).lower(variables, spec)
  ours = sum(model.flops_per_clip(spec).values())
  assert ours == pytest.approx(lowered.cost_analysis()['flops'], rel=0.05)


def test_drop_path_is_on_in_training_alone(case):
  config, make_spec = case
  spec, model = (
    make_spec(config, SIZE),
    build_model({**config, 'drop_path': 0.5}),
  )
  variables = jax.eval_shape(model.init, jax.random.key(0), spec)

  def program(train):
    def encode(variables, video, rng):
      rngs = {'dropout': rng}
      return model.apply(
        variables, video, train=train, rngs=rngs, method='encode'
      )

    video = spec['video']
    return str(jax.make_jaxpr(encode)(variables, video, jax.random.key(0)))

  assert 'random_bits' in program(train=True)
  assert 'random_bits' not in program(train=False)


def test_a_wrong_field_is_answered(case):
  with pytest.raises(ValueError, match="Did you mean 'width'"):
    build_model({**case[0], 'widht': 64})
  with pytest.raises(ValueError, match=r"dtype 'bf16'.*mean 'bfloat16'"):
    build_model({**case[0], 'dtype': 'bf16'})
