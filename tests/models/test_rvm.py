"""RVM's own promises: sizes, causality, streaming, compile cost, options."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvmae_jax.batch import fake_batch
from rvmae_jax.benchmarks.program import count
from rvmae_jax.layers import patches
from rvmae_jax.models import build_model, flops

# (encoder + core, decoder) in millions of parameters, from the paper.
PAPER_SIZES = {
  'S': (33.2, 34.3),
  'B': (125.8, 34.5),
  'L': (374.5, 34.6),
  'H': (742.2, 34.7),
}


def make_spec(num_source=3, num_target=2, size=(32, 32), patch=8, batch=2):
  num_patches = (size[0] // patch) * (size[1] // patch)
  num_visible = max(1, num_patches // 8)
  struct = jax.ShapeDtypeStruct
  return {
    'video': struct((batch, num_source, *size, 3), jnp.uint8),
    'target': struct((batch, num_target, *size, 3), jnp.uint8),
    'target_delta': struct((batch, num_target), jnp.int32),
    'ids_keep': struct((batch, num_target, num_visible), jnp.int32),
  }


@pytest.fixture(scope='module')
def tiny():
  model = build_model({'name': 'rvm', 'variant': 'tiny', 'patch_size': 8})
  batch = fake_batch(make_spec(num_source=5))
  return model, jax.jit(model.init)(jax.random.key(0), batch), batch


@pytest.mark.parametrize('variant', PAPER_SIZES)
def test_parameter_counts_are_the_papers(variant):
  model = build_model({'name': 'rvm', 'variant': variant})
  spec = make_spec(size=(64, 64), patch=16)
  params = jax.eval_shape(model.init, jax.random.key(0), spec)['params']
  decoder = ('decoder', 'decoder_embedding', 'delta_embedding', 'output')
  counts = {
    name: sum(leaf.size for leaf in jax.tree.leaves(tree)) / 1e6
    for name, tree in params.items()
  }
  rebuilding = sum(counts[name] for name in decoder) + counts['mask_token']
  want = PAPER_SIZES[variant]
  assert sum(counts.values()) - rebuilding == pytest.approx(want[0], abs=0.05)
  assert rebuilding == pytest.approx(want[1], abs=0.05)


def test_positions_of_one_grid_are_resized_for_others():
  fields = {'variant': 'tiny', 'position': 'sincos_2d', 'position_base': 5.0}
  anew = build_model({'name': 'rvm', **fields})
  kept = build_model({'name': 'rvm', **fields, 'position_grid': (4, 4)})
  np.testing.assert_array_equal(
    kept.encoder_positions((4, 4)), anew.encoder_positions((4, 4))
  )
  corner, small_corner = (
    model.encoder_positions(grid)[-1]
    for model, grid in ((anew, (4, 4)), (kept, (8, 8)))
  )
  # The last place stays near the last one, instead of twice as far.
  distance = np.linalg.norm(corner - small_corner)
  assert distance < 0.3 * np.linalg.norm(
    corner - anew.encoder_positions((8, 8))[-1]
  )


def test_streaming_equals_the_scan(tiny):
  model, variables, batch = tiny
  video = batch['video']
  features = model.apply(variables, video, method='encode')
  state = model.apply(variables, 2, 32, 32, method='init_state')
  step = jax.jit(lambda *inputs: model.apply(variables, *inputs, method='step'))
  for t in range(video.shape[1]):
    state, streamed = step(state, video[:, t])
    np.testing.assert_allclose(streamed, features[:, t], atol=2e-5)


def test_later_frames_never_change_earlier_features(tiny):
  model, variables, batch = tiny
  encode = jax.jit(lambda video: model.apply(variables, video, method='encode'))
  video = batch['video']
  changed = video.copy()
  changed[:, 3:] = 255 - changed[:, 3:]
  before, after = encode(video), encode(changed)
  np.testing.assert_array_equal(before[:, :3], after[:, :3])
  assert np.abs(before[:, 3:] - after[:, 3:]).max() > 1e-3


def test_earlier_frames_change_later_features(tiny):
  model, variables, batch = tiny
  changed = batch['video'].copy()
  changed[:, 0] = 255 - changed[:, 0]
  before = model.apply(variables, batch['video'], method='encode')
  after = model.apply(variables, changed, method='encode')
  assert np.abs(before[:, -1] - after[:, -1]).max() > 1e-4


def test_first_frame_from_a_zero_state(tiny):
  model, variables, batch = tiny
  out = model.apply(variables, batch)
  assert out['features'].shape == (2, 5, 17, 128)
  np.testing.assert_array_equal(out['state'], out['features'][:, -1])
  zero = jnp.zeros((2, 17, 128))
  _, first = model.apply(variables, zero, batch['video'][:, 0], method='step')
  np.testing.assert_allclose(out['features'][:, 0], first, atol=2e-5)


def test_an_ungated_core_streams_too(tiny):
  _, _, batch = tiny
  config = {'variant': 'tiny', 'patch_size': 8, 'core_kind': 'ungated'}
  model, video = build_model({'name': 'rvm', **config}), batch['video']
  encode = jax.jit(functools.partial(model.init_with_output, method='encode'))
  features, variables = encode(jax.random.key(0), video)
  step = jax.jit(lambda *inputs: model.apply(variables, *inputs, method='step'))
  state = model.apply(variables, 2, 32, 32, method='init_state')
  for t in range(2):
    state, streamed = step(state, video[:, t])
    np.testing.assert_allclose(streamed, features[:, t], atol=2e-5)


def test_attention_is_no_core_for_streams():
  config = {'variant': 'tiny', 'patch_size': 8, 'core_kind': 'attention'}
  model = build_model({'name': 'rvm', **config})
  with pytest.raises(ValueError, match="'attention' carries no state"):
    model.apply({}, 2, 32, 32, method='init_state')


def test_a_decoder_of_the_last_frame_sees_no_other(tiny):
  """The same parameters; one source frame is the last and all."""
  model, variables, batch = tiny
  last = model.clone(decoder_context='last')
  apply, apply_last = jax.jit(model.apply), jax.jit(last.apply)
  one = {**batch, 'video': batch['video'][:, :1]}
  np.testing.assert_array_equal(
    apply(variables, one)['pred'], apply_last(variables, one)['pred']
  )
  all_frames, last_frame = apply(variables, batch), apply_last(variables, batch)
  assert np.abs(all_frames['pred'] - last_frame['pred']).max() > 1e-4


def test_program_size_does_not_grow_with_time():
  model = build_model({'name': 'rvm', 'variant': 'tiny', 'patch_size': 8})

  def program_lines(num_source):
    spec = make_spec(num_source=num_source, batch=1)
    variables = jax.eval_shape(model.init, jax.random.key(0), spec)
    return len(
      jax.jit(model.apply).lower(variables, spec).as_text().split('\n')
    )

  assert program_lines(4) == program_lines(16) == program_lines(64)


@pytest.mark.parametrize('scan_layers', [False, True])
def test_sources_and_targets_pass_the_blocks_together(scan_layers):
  """The same numbers as apart, of a program that has the blocks once."""
  fields = {'variant': 'tiny', 'patch_size': 8, 'scan_layers': scan_layers}
  model = build_model({'name': 'rvm', **fields})
  batch = fake_batch(make_spec())
  params = jax.jit(model.init)(jax.random.key(0), batch)
  target, ids_keep = batch['target'], batch['ids_keep']
  whole, visible = model.apply(
    params, batch['video'], target, ids_keep, method='encode_pair'
  )
  alone = model.apply(params, batch['video'], method='encode_frames')
  np.testing.assert_allclose(whole, alone, atol=1e-6)
  pixels = patches.take_tokens(patches.patchify(target, 8), ids_keep)
  alone = model.apply(params, pixels, (4, 4), ids_keep, method='encode_patches')
  np.testing.assert_allclose(visible, alone, atol=1e-6)
  if scan_layers:
    # Encoder, time, its core, decoder.
    loops = count(jax.make_jaxpr(model.apply)(params, batch)).loops
    assert loops == 4


def test_encodes_without_the_decoders_parameters(tiny):
  """A file of encoder and core only is enough for features."""
  model, variables, batch = tiny
  used = ('patch_embedding', 'cls_token', 'encoder', 'core')
  part = {'params': {name: variables['params'][name] for name in used}}
  np.testing.assert_array_equal(
    model.apply(part, batch['video'], method='encode'),
    model.apply(variables, batch['video'], method='encode'),
  )


def test_uint8_and_unit_floats_agree(tiny):
  model, variables, batch = tiny
  floats = batch['video'].astype(np.float32) / 255
  np.testing.assert_allclose(
    model.apply(variables, batch['video'], method='encode'),
    model.apply(variables, floats, method='encode'),
    atol=1e-5,
  )


def test_bfloat16_computes_with_float32_parameters(tiny):
  _, variables, batch = tiny
  model = build_model(
    {'name': 'rvm', 'variant': 'tiny', 'patch_size': 8, 'dtype': 'bfloat16'}
  )
  fresh = jax.eval_shape(model.init, jax.random.key(0), batch)
  assert {leaf.dtype.name for leaf in jax.tree.leaves(fresh)} == {'float32'}
  out = jax.jit(model.apply)(variables, batch)
  assert out['pred'].dtype == out['state'].dtype == jnp.float32
  want = jax.jit(tiny[0].apply)(variables, batch)
  # bfloat16 keeps 8 bits: 2**-8 relative for each rounding.
  scale = np.abs(want['features']).max()
  difference = np.abs(out['features'] - want['features']).max()
  assert 0 < difference < 0.05 * scale


def test_non_square_frames_and_small_positions():
  model = build_model(
    {
      'name': 'rvm',
      'variant': 'tiny',
      'patch_size': 8,
      'position': 'sincos_2d',
      'position_base': 5.0,
    }
  )
  batch = fake_batch(make_spec(size=(24, 40)))
  out, _ = jax.jit(model.init_with_output)(jax.random.key(0), batch)
  assert out['pred'].shape == (2, 2, 15, 192)


@pytest.mark.parametrize(
  ('config', 'message'),
  [
    ({'variant': 'XL'}, "Unknown RVM variant 'XL'"),
    (
      {'pach_size': 8},
      "Unknown RVM field 'pach_size'. Did you mean 'patch_size'",
    ),
    ({'encoder_blocks': None}, 'RVM: encoder_blocks=None is not of type int'),
    ({'patch_size': '16'}, "RVM: patch_size='16' is not of type int"),
    ({'width': True}, 'RVM: width=True is not of type int'),
    ({'scan_layers': 1}, 'RVM: scan_layers=1 is not of type bool'),
    ({'width': -4}, 'RVM: width=-4 is negative or too large'),
    ({'core_blocks': 10**6}, 'core_blocks=1000000; 1000 at most'),
  ],
  ids=str,
)
def test_wrong_config_is_answered(config, message):
  with pytest.raises(ValueError, match=message):
    build_model({'name': 'rvm', **config})


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'patch_size': 7}, 'Patches of 7 do not tile a 32x32 frame'),
    ({'remat': 'some'}, "Unknown remat 'some'"),
    ({'core_remat': 'any'}, "Unknown remat 'any'"),
    ({'attention': 'flash'}, "Unknown attention 'flash'"),
    ({'position': 'learned'}, "Unknown position 'learned'"),
    ({'core_kind': 'gru'}, "Unknown core_kind 'gru'"),
    ({'decoder_context': 'first'}, "Unknown decoder_context 'first'"),
    ({'core_heads': 5}, '5 heads do not divide width 128'),
  ],
  ids=lambda value: next(iter(value)) if isinstance(value, dict) else '',
)
def test_impossible_models_are_answered(fields, message):
  model = build_model(
    {'name': 'rvm', 'variant': 'tiny', 'patch_size': 8, **fields}
  )
  with pytest.raises(ValueError, match=message):
    jax.eval_shape(model.init, jax.random.key(0), make_spec())


@pytest.mark.parametrize(('variant', 'size'), [('tiny', 128), ('S', 256)])
def test_flops_agree_with_xla(variant, size):
  """XLA counts a loop's body once, so its copy is unrolled in time."""
  spec = make_spec(4, 4, (size, size), patch=16, batch=1)
  model = build_model(
    {
      'name': 'rvm',
      'variant': variant,
      'time_unroll': 4,
      'attention': 'xla',
      'core_remat': 'none',
    }
  )
  variables = jax.eval_shape(model.init, jax.random.key(0), spec)

  def forward(variables, batch):
    return model.apply(variables, batch)['pred']

  def mean_square(variables, batch):
    return jnp.mean(forward(variables, batch) ** 2)

  def xla_flops(function):
    compiled = jax.jit(function).lower(variables, spec).compile()
    return compiled.cost_analysis()['flops']

  ours = model.flops_per_clip(spec)
  assert sum(ours.values()) == pytest.approx(xla_flops(forward), rel=0.05)
  if variant == 'tiny':
    assert flops.training(ours) == pytest.approx(
      xla_flops(jax.grad(mean_square)), rel=0.05
    )
