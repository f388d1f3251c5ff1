"""Released checkpoints: every name and shape, bit for bit, both ways."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvmae_jax.interop import rvm_released
from rvmae_jax.layers.transformer import stack_blocks
from rvmae_jax.models import build_model
from rvmae_jax.models.rvm import VARIANTS
from tests.golden import released_rvm


@pytest.fixture(scope='module')
def released_shapes():
  return {
    variant: dict(released_rvm.shapes(**sizes))
    for variant, sizes in released_rvm.SIZES.items()
  }


def test_the_shapes_are_those_of_the_released_files(
  released_shapes, shared_dir
):
  path = shared_dir / 'golden' / 'rvm' / 'released_checkpoint_keys.json'
  for variant, shapes in json.loads(path.read_text()).items():
    shapes = {name: tuple(shape) for name, shape in shapes.items()}
    assert released_shapes[variant] == shapes


def make_template(variant, **fields):
  model = build_model({'name': 'rvm', 'variant': variant, **fields})
  struct = jax.ShapeDtypeStruct
  spec = {
    'video': struct((1, 1, 32, 32, 3), jnp.uint8),
    'target': struct((1, 1, 32, 32, 3), jnp.uint8),
    'target_delta': struct((1, 1), jnp.int32),
    'ids_keep': struct((1, 1, 1), jnp.int32),
  }
  return jax.eval_shape(model.init, jax.random.key(0), spec)['params']


@pytest.fixture(scope='module')
def small(released_shapes):
  """Arrays of the S file's shapes, and our template."""
  rng = np.random.default_rng(0)
  arrays = {
    name: rng.standard_normal(shape, np.float32)
    for name, shape in released_shapes['S'].items()
  }
  return arrays, make_template('S')


@pytest.mark.parametrize('variant', ['S', 'B', 'L', 'H'])
def test_all_names_and_shapes(released_shapes, variant):
  # Zeros of stride 0: names and shapes without the gigabytes.
  params = jax.tree.map(
    lambda leaf: np.broadcast_to(np.float32(0), leaf.shape),
    make_template(variant),
  )
  ours = rvm_released.to_released(params)
  shapes = {name: array.shape for name, array in ours.items()}
  assert shapes == released_shapes[variant]


@pytest.mark.parametrize('variant', ['S', 'B', 'L', 'H'])
def test_fields_are_read_off_the_file(released_shapes, variant):
  shapes = {
    name: jax.ShapeDtypeStruct(shape, jnp.float32)
    for name, shape in released_shapes[variant].items()
  }
  fields = rvm_released.model_fields(shapes)
  assert fields == {**VARIANTS[variant], 'patch_size': 16, 'max_delta': 64}


def test_round_trip_bit_for_bit(small):
  arrays, template = small
  params = rvm_released.from_released(arrays, template)
  assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, template)
  again = rvm_released.to_released(params)
  assert again.keys() == arrays.keys()
  for name in arrays:
    assert again[name].tobytes() == arrays[name].tobytes(), name


def test_scanned_layers_are_written_the_same(small):
  arrays, template = small
  params = stack_blocks(rvm_released.from_released(arrays, template))
  again = rvm_released.to_released(params)
  assert again.keys() == arrays.keys()
  for name in arrays:
    np.testing.assert_array_equal(again[name], arrays[name])


def test_encoder_part_alone(small):
  arrays, template = small
  params = rvm_released.from_released(arrays, template)
  part = rvm_released.to_released(params, part='encoder')
  again = rvm_released.from_released(part, template)
  assert set(params) - set(again) == {
    'decoder',
    'decoder_embedding',
    'delta_embedding',
    'mask_token',
    'output',
  }
  # 33.2 M parameters in the paper's table.
  assert round(sum(a.size for a in part.values()) / 1e6, 1) == 33.2
  assert rvm_released.model_fields(part).keys() == {
    'width',
    'patch_size',
    *(
      f'{part}_{field}'
      for part in ('encoder', 'core')
      for field in ('blocks', 'heads', 'mlp_dim')
    ),
  }


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (lambda a: a.pop('rnn_core/input_update/kernel'), 'missing: rnn_core/inp'),
    (lambda a: a.update(extra=np.zeros(3)), 'not known to this model: extra'),
    (
      lambda a: a.update({'cls_token': np.zeros((1, 7), np.float32)}),
      r"'cls_token' has shape \(1, 7\); this model needs \(1, 384\)",
    ),
    (
      lambda a: a.update(
        {'encoder/layers_3/mlp/dense_in/kernel': np.zeros((384, 1))}
      ),
      r"'encoder/layers_3/mlp/dense_in/kernel' has shape \(384, 1\)",
    ),
    (
      lambda a: a.update({'cls_token': np.full((1, 384), 'a')}),
      "'cls_token' holds <U1, and weights are floats",
    ),
  ],
  ids=['missing', 'extra', 'shape', 'broadcastable shape', 'text'],
)
def test_misfits_are_named(small, change, message):
  arrays, template = dict(small[0]), small[1]
  change(arrays)
  with pytest.raises(ValueError, match=message):
    rvm_released.from_released(arrays, template)


def test_foreign_files_are_refused():
  with pytest.raises(ValueError, match="No array 'tokenizer/patch_embedding"):
    rvm_released.model_fields({'w': np.zeros(3)})


@pytest.mark.parametrize('kind', ['ungated', 'attention'])
@pytest.mark.parametrize('part', ['all', 'encoder'])
def test_a_core_without_gates_is_refused(kind, part):
  params = jax.tree.map(
    lambda leaf: np.broadcast_to(np.float32(0), leaf.shape),
    make_template('tiny', core_kind=kind),
  )
  message = f"core_kind='{kind}' has no layout .*Share the folder of the run"
  with pytest.raises(ValueError, match=message):
    rvm_released.to_released(params, part)


def test_what_no_array_tells_is_named():
  model = {'name': 'rvm', 'position': 'flat', 'decoder_context': 'last'}
  found = rvm_released.unseen_differences(model)
  assert found == {'decoder_context': 'last'}
  # A file without the decoder leaves nothing to be told of it.
  assert rvm_released.unseen_differences(model, 'encoder') == {}
  assert rvm_released.unseen_differences({'name': 'rvm'}) == {}
