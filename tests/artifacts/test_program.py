"""What artifacts compute, and what is refused before one is written."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from rvmae_jax.artifacts import program as program_lib
from rvmae_jax.artifacts.program import build_program, usual_function
from rvmae_jax.evals.kept_probe import KeptProbe
from rvmae_jax.layers.quantised_products import quantise
from rvmae_jax.layers.transformer import stack_blocks
from rvmae_jax.models import build_model

_TINY = {'variant': 'tiny', 'width': 32, 'encoder_blocks': 1, 'patch_size': 8}
RVM = {'name': 'rvm', **_TINY}
VIDEOMAE = {'name': 'videomae', **_TINY, 'tubelet_size': 2}
CLASSIFIER = {**RVM, 'name': 'classifier', 'backbone': 'rvm', 'num_classes': 3}
PROBE = KeptProbe(
  'mean_std_2',
  mean=np.full(64, 0.1),
  scale=np.full(64, 2.0),
  weights=np.random.default_rng(0).normal(size=(64, 4)),
  bias=np.arange(4.0),
  classes=np.array([0, 2, 5, 6]),
  num_frames=4,
)
VIDEO = np.random.default_rng(0).integers(0, 256, (3, 4, 16, 24, 3), np.uint8)
START = np.zeros((1, 7, 32), np.float32), VIDEO[:1, 0]


def _network(fields):
  model = build_model(fields)
  init, inputs = functools.partial(model.init, method='encode'), VIDEO
  if fields['name'] == 'classifier':
    init, inputs = model.init, {'video': VIDEO}
  shapes = jax.eval_shape(init, jax.random.key(0), inputs)['params']
  rng = np.random.default_rng(0)

  def draw(leaf):
    return rng.normal(0, 0.1, leaf.shape).astype(np.float32)

  return model, jax.tree.map(draw, shapes)


@pytest.fixture(name='rvm', scope='module')
def _rvm():
  return _network(RVM)


@pytest.fixture(name='features', scope='module')
def _features(rvm):
  """Of all clips."""
  model, params = rvm
  apply = jax.jit(lambda p, v: model.apply({'params': p}, v, method='encode'))
  return np.asarray(apply(params, VIDEO))


@pytest.fixture(name='first', scope='module')
def _first(rvm):
  """Features of the first frame, by a step."""
  return _run(_build(RVM, rvm[1], 'step'), *START)


def _run(program, *inputs):
  (output, *_) = jax.jit(program.compute)(*inputs).values()
  return np.asarray(output)


def _build(fields, params, function, **settings):
  return build_program(
    fields, params, function, size=(16, 24), num_frames=4, **settings
  )


def test_one_export_of_encode_takes_any_batch_and_any_time(rvm, features):
  program = _build(RVM, rvm[1], 'encode')
  assert program.inputs['video'].shape == ('batch', 'time', 16, 24, 3)
  assert program.outputs['features'].shape == ('batch', 'time', 7, 32)
  exported = jax.export.export(jax.jit(program.compute))(*program.specs())
  for clips, want in ((VIDEO, features), (VIDEO[:1, :1], features[:1, :1])):
    got = exported.call(clips)['features']
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_of_a_network_of_clips_only_the_batch_is_free():
  program = _build(VIDEOMAE, _network(VIDEOMAE)[1], 'encode')
  assert program.inputs['video'].shape == ('batch', 4, 16, 24, 3)
  assert program.outputs['features'].shape == ('batch', 2, 6, 32)
  assert program.specs(is_fixed=True)[0].shape == (1, 4, 16, 24, 3)


def test_weights_that_a_function_does_not_need_stay_out(rvm):
  _, params = rvm
  count = sum(leaf.size for leaf in jax.tree.leaves(params))
  more = {**params, 'decoder': {'kernel': np.zeros((1000, 1000), np.float32)}}
  assert _build(RVM, more, 'step').num_parameters == count


def test_a_classifier_gives_its_logits():
  model, params = _network(CLASSIFIER)
  program = _build(CLASSIFIER, params, 'classify')
  want = jax.jit(model.apply)({'params': params}, {'video': VIDEO})['logits']
  np.testing.assert_allclose(_run(program, VIDEO), want, atol=1e-5)
  assert program.outputs['logits'].shape == ('batch', 3)
  with pytest.raises(ValueError, match='is a classifier, which takes no probe'):
    _build(CLASSIFIER, params, 'classify', probe=PROBE)


def test_a_kept_probe_classifies_standardised_pooled_features(rvm, features):
  frames = features[:, -2:, 1:].mean(2)
  pooled = np.concatenate([frames.mean(1), frames.std(1)], axis=1)
  want = ((pooled - 0.1) / 2) @ PROBE.weights + PROBE.bias
  program = _build(RVM, rvm[1], 'classify', probe=PROBE)
  np.testing.assert_allclose(_run(program, VIDEO), want, atol=1e-4)


def test_a_probe_without_its_function_or_network_is_refused(rvm):
  with pytest.raises(ValueError, match="'encode' does not: leave out"):
    _build(RVM, rvm[1], 'encode', probe=PROBE)
  probe = dataclasses.replace(PROBE, mean=np.zeros(128))
  with pytest.raises(
    ValueError, match=r'takes 128 numbers .* has 64: name one'
  ):
    _build(RVM, rvm[1], 'classify', probe=probe)


def test_bfloat16_rounds_the_kernels_alone(rvm, first):
  rounded = jax.tree_util.tree_map_with_path(
    lambda path, leaf: (
      leaf.astype('bfloat16').astype('float32')
      if path[-1].key == 'kernel'
      else leaf
    ),
    rvm[1],
  )
  want = _run(_build(RVM, rounded, 'step'), *START)
  got = _run(_build(RVM, rvm[1], 'step', kernels='bfloat16'), *START)
  np.testing.assert_allclose(got, want, atol=1e-6)
  assert np.abs(first - want).max() > 1e-4


def test_stacked_blocks_are_taken_apart(rvm, first):
  stacked = _build({**RVM, 'scan_layers': True}, stack_blocks(rvm[1]), 'step')
  np.testing.assert_array_equal(_run(stacked, *START), first)


def test_what_has_no_such_function_is_refused(rvm):
  with pytest.raises(ValueError, match=r'VideoMAE carries no state.*encode'):
    _build(VIDEOMAE, {}, 'step')
  with pytest.raises(
    ValueError, match=r'gives features and no classes.*--probe'
  ):
    _build(RVM, rvm[1], 'classify')
  with pytest.raises(ValueError, match=r"Unknown function 'steps'.*'step'"):
    _build(RVM, rvm[1], 'steps')
  with pytest.raises(ValueError, match='8 do not tile a 16x20 frame'):
    build_program(RVM, rvm[1], 'step', size=(16, 20), num_frames=4)


def test_a_clip_shorter_than_what_a_probe_pools_is_refused(rvm):
  with pytest.raises(
    ValueError, match='pooling over 2 frames does not fit clips of 1 frames'
  ):
    build_program(
      RVM, rvm[1], 'classify', size=(16, 24), num_frames=1, probe=PROBE
    )


def test_weights_that_fit_into_no_file_are_refused(rvm, monkeypatch):
  monkeypatch.setattr(program_lib, '_MOST_BYTES', 1000)
  with pytest.raises(ValueError, match=r'at most 2 GiB.*--dtype bfloat16'):
    _build(RVM, rvm[1], 'step')


def test_what_a_network_is_best_taken_for():
  asked = [
    usual_function(RVM),
    usual_function(VIDEOMAE),
    usual_function(CLASSIFIER),
    usual_function(RVM, has_probe=True),
  ]
  assert asked == ['step', 'encode', 'classify', 'classify']


@pytest.mark.parametrize('kind', ['int8', 'int4', 'dynamic_int8'])
def test_quantised_kernels_are_those_of_the_network(rvm, kind):
  pytest.importorskip('qwix', reason='needs the extra [quant]')
  model, params = rvm
  got = _run(_build(RVM, params, 'step', kernels=kind), *START)
  small, params = quantise(kind, model, params, *START, method='step')
  # Compiled as a whole too: else a token is rounded the other way now and then.
  step = jax.jit(lambda *inputs: small.apply(*inputs, method='step'))
  _, want = step({'params': params}, *START)
  np.testing.assert_allclose(got, want, atol=1e-5)
