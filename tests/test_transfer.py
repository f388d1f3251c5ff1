import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvmae_jax.interop import safetensors
from rvmae_jax.interop.hugging_face import ORIGINS
from rvmae_jax.interop.state_dict import to_state_dict
from rvmae_jax.models import build_model
from rvmae_jax.training import sharding
from rvmae_jax.training.state import TrainState
from rvmae_jax.transfer import check_unseen, match, read_file, start_from

SMALL = {
  'width': 64,
  'encoder_blocks': 2,
  'encoder_heads': 2,
  'encoder_mlp_dim': 32,
  'decoder_width': 64,
  'decoder_blocks': 1,
  'decoder_heads': 1,
  'decoder_mlp_dim': 32,
  'patch_size': 8,
  'tubelet_size': 2,
}
CLIP = np.zeros((1, 2, 16, 16, 3), np.uint8)
BATCH = {
  'video': CLIP,
  'view2': CLIP,
  'ids_keep': np.array([[0]]),
  'ids_mask': np.array([[1, 2, 3]]),
}


def make(seed=0, **config):
  """Random parameters of a small network."""
  model = build_model({**SMALL, **config})
  shapes = jax.eval_shape(model.init, jax.random.key(0), BATCH)['params']
  rng = np.random.default_rng(seed)
  return jax.tree.map(
    lambda leaf: rng.standard_normal(leaf.shape, np.float32), shapes
  )


def classifier(seed=0, num_classes=5, **fields):
  return make(
    seed,
    name='classifier',
    backbone='videomae',
    num_classes=num_classes,
    **{'encoder_norm': False, **fields},
  )


@pytest.fixture(scope='module')
def pretrained():
  return make(1, name='videomae')


def assert_equal(a, b):
  jax.tree.map(np.testing.assert_array_equal, a, b)


def test_an_encoder_becomes_a_backbone(pretrained):
  found = match(pretrained, classifier(), 'run')
  blocks = pretrained['encoder']['blocks']
  name = 'block_01/mlp/dense_in/kernel'
  np.testing.assert_array_equal(
    found.taken[f'backbone/encoder/blocks/{name}'],
    blocks['block_01']['mlp']['dense_in']['kernel'],
  )
  assert len(found.taken) == len(jax.tree.leaves(blocks)) + 2
  assert found.fresh == ['head', 'norm']
  assert found.left_out == [
    *(f'backbone/decoder/{part}' for part in ('blocks', 'embedding')),
    *(f'backbone/decoder/{part}' for part in ('mask_token', 'output')),
    'backbone/encoder/norm',
  ]
  assert 'fresh: head, norm;' in str(found)


def test_a_backbone_becomes_an_encoder(pretrained):
  found = match(classifier(), pretrained, 'run')
  assert 'encoder/blocks/block_00/attention/qkv/kernel' in found.taken
  assert found.left_out == []  # Heads are no part of the backbone.


def test_moco_keeps_its_heads_to_itself():
  found = match(make(name='moco_v3', hidden_dim=8), classifier(), 'run')
  assert found.fresh == ['head', 'norm']
  assert found.left_out == ['backbone/encoder/norm', 'predictor', 'projector']


def test_a_head_is_taken_if_the_classes_are_as_many():
  found = match(classifier(1), classifier(), 'run')
  assert found.fresh == found.left_out == []
  found = match(classifier(1), classifier(num_classes=6), 'run')
  assert (found.fresh, found.left_out) == (['head'], ['head'])
  assert 'norm/scale' in found.taken


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'encoder_blocks': 3}, 'no backbone/encoder/blocks/block_02/'),
    ({'encoder_blocks': 1}, 'unknown backbone/encoder/blocks/block_01/'),
    ({'patch_size': 4}, r'patch_embedding/projection/kernel is \(384, 64\)'),
  ],
)
def test_another_encoder_is_refused(pretrained, fields, message):
  with pytest.raises(ValueError, match=message):
    match(pretrained, classifier(**fields), 'run')


def test_no_encoder_is_refused():
  with pytest.raises(ValueError, match='no encoder that fits'):
    match({'head': {'bias': np.zeros(5)}}, classifier(), 'file')


@pytest.mark.parametrize('dtype', ['float16', 'bfloat16'])
def test_weights_of_16_bits_are_trained_in_32(tmp_path, monkeypatch, dtype):
  params = make(name='videomae')
  halves = jax.tree.map(lambda leaf: leaf.astype(jnp.dtype(dtype)), params)
  monkeypatch.setattr(
    'rvmae_jax.transfer.load_params', lambda *_, **__: (halves, {})
  )
  mesh = sharding.make_mesh(fsdp=2)
  zero = np.zeros((), np.int32)
  fresh = jax.tree.map(np.zeros_like, params)
  state = TrainState(zero, fresh, None, None, zero)
  places = sharding.state_shardings(state, mesh)
  started = start_from(str(tmp_path), state, places)
  jax.tree.map(
    lambda leaf, half: np.testing.assert_array_equal(
      leaf, half.astype(np.float32), strict=True
    ),
    started.params,
    halves,
  )


@pytest.mark.parametrize('scan_layers', [False, True])
def test_a_hugging_face_file_starts_a_classifier(
  tmp_path, pretrained, scan_layers
):
  pytest.importorskip('safetensors')
  path = tmp_path / 'model.safetensors'
  safetensors.write(path, to_state_dict(pretrained, ORIGINS['videomae']))
  params = classifier(scan_layers=scan_layers)
  mesh = sharding.make_mesh(fsdp=2)
  zero = np.zeros((), np.int32)
  state = TrainState(zero, params, None, params, zero)
  shardings = sharding.state_shardings(state, mesh)
  state = start_from(str(path), state, shardings)
  kernel = pretrained['encoder']['blocks']['block_01']['mlp']['dense_in']
  blocks = state.params['backbone']['encoder']['blocks']
  if scan_layers:
    ours = blocks['block']['mlp']['dense_in']['kernel'][1]
  else:
    ours = blocks['block_01']['mlp']['dense_in']['kernel']
  np.testing.assert_array_equal(ours, kernel['kernel'])
  assert_equal(state.params['head'], params['head'])
  assert_equal(state.ema_params, state.params)


def test_settings_that_no_array_tells_have_to_be_equal(tmp_path, pretrained):
  path = tmp_path / 'model.safetensors'
  safetensors.write(path, to_state_dict(pretrained, ORIGINS['videomae']))
  fields = {**SMALL, 'name': 'videomae'}
  check_unseen(read_file(path, pretrained)[1], build_model(fields), 'file')

  settings = {'num_attention_heads': 1, 'hidden_act': 'relu'}
  (tmp_path / 'config.json').write_text(json.dumps(settings))
  pixels = {'image_mean': [0.5] * 3, 'image_std': [0.25] * 3}
  (tmp_path / 'preprocessor_config.json').write_text(json.dumps(pixels))
  made_with = read_file(path, pretrained)[1]
  wanted = {
    'encoder_heads': 1,
    'activation': 'relu',
    'pixel_mean': (0.5,) * 3,
    'pixel_std': (0.25,) * 3,
  }
  assert made_with == wanted
  check_unseen(made_with, build_model(fields | wanted), 'file')
  check_unseen({'position': 'learned'}, build_model(fields), 'file of ViTMAE')
  positions = {'position': 'sincos_2d', 'position_base': 5.0}
  for field, value in (wanted | positions).items():
    with pytest.raises(ValueError, match=f'file was made with {field}='):
      check_unseen({field: value}, build_model(fields), 'file')
