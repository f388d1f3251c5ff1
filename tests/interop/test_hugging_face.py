"""Every origin: found by its names, its config read off, bit for bit."""

import pickle

import jax
import numpy as np
import pytest

from rvmae_jax.interop import hugging_face, hugging_face_model, torch_files
from rvmae_jax.interop.hugging_face import ORIGINS
from rvmae_jax.interop.state_dict import (
  from_state_dict,
  read,
  to_state_dict,
  unwrap,
)
from rvmae_jax.models import build_model

SIZE, PATCH, T = 32, 8, 4
SMALL = {
  'width': 64,
  'encoder_blocks': 2,
  'encoder_heads': 1,
  'encoder_mlp_dim': 32,
  'decoder_width': 64,
  'decoder_blocks': 1,
  'decoder_heads': 1,
  'decoder_mlp_dim': 48,
  'patch_size': PATCH,
}


def make(key):
  """A small network of an origin's kind, and random parameters as theirs."""
  origin = ORIGINS[key]
  fields = {
    'tubelet_size': origin.tubelet_size or 1,
    **SMALL,
    **origin.fields,
    'learned_grid': (T, SIZE // PATCH, SIZE // PATCH),
    'encoder_norm': 'encoder/norm' in origin.modules,
  }
  if 'decoder/output' in origin.modules:
    model = build_model({'name': 'videomae', **fields})
  else:
    model = build_model(
      {
        'name': 'classifier',
        'backbone': 'videomae',
        'num_classes': 3,
        'pool': 'cls' if 'num_prefix_tokens' in fields else 'mean',
        'norm': 'norm' in origin.modules,
        **fields,
      }
    )
  template = shapes_of(model)
  rng = np.random.default_rng(0)
  params = jax.tree.map(
    lambda leaf: rng.standard_normal(leaf.shape, np.float32), template
  )
  return origin, model, template, params


def shapes_of(model):
  batch = {
    'video': np.zeros((1, T, SIZE, SIZE, 3), np.uint8),
    'ids_keep': np.zeros((1, T), int),
    'ids_mask': np.zeros((1, T), int),
  }
  return jax.eval_shape(model.init, jax.random.key(0), batch)['params']


@pytest.fixture(scope='module', params=ORIGINS)
def case(request):
  return make(request.param)


def test_there_and_back_bit_for_bit(case):
  origin, _, template, params = case
  arrays = to_state_dict(params, origin)
  again, report = from_state_dict(arrays, template, origin)
  report.require_complete()
  jax.tree.map(np.testing.assert_array_equal, again, params)


def test_the_origin_is_found_by_its_names(case):
  origin, _, _, params = case
  arrays = to_state_dict(params, origin)
  found, same = hugging_face.find_origin(arrays)
  assert found is origin
  assert same.keys() == arrays.keys()


@pytest.mark.parametrize('key', ['videomae', 'vit_mae_v5', 'timesformer'])
def test_networks_without_a_head_have_shorter_names(key):
  """`AutoModel` of Hugging Face leaves out the name of the network."""
  origin, _, _, params = make(key)
  arrays = to_state_dict(params, origin)
  base = f'{key.removesuffix("_v5").replace("vit_mae", "vit")}.'
  encoder = {name: a for name, a in arrays.items() if name.startswith(base)}
  found, again = hugging_face.find_origin(
    {name.removeprefix(base): array for name, array in encoder.items()}
  )
  assert found is origin
  assert again.keys() == encoder.keys()


def test_the_config_is_read_off_the_arrays(case):
  origin, model, _, params = case
  arrays = to_state_dict(params, origin)
  config = hugging_face_model.model_config(
    arrays,
    origin,
    {'num_attention_heads': 1, 'decoder_num_attention_heads': 1},
  )
  again = build_model(config)
  assert jax.tree.map(np.shape, shapes_of(again)) == jax.tree.map(
    np.shape, shapes_of(model)
  )


@pytest.fixture(scope='module')
def videomae():
  origin, _, template, params = make('videomae')
  return origin, template, to_state_dict(params, origin)


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (
      lambda a: a.pop('videomae.encoder.layer.1.output.dense.weight'),
      'missing: encoder/blocks/block_01/mlp/dense_out/kernel',
    ),
    (lambda a: a.update(extra=np.zeros(3)), 'unused: extra'),
    (
      lambda a: a.update({'decoder.norm.bias': np.zeros(7, np.float32)}),
      r'misshapen: decoder.norm.bias \(7,\) for decoder/blocks/norm/bias',
    ),
    (
      lambda a: a.update({'decoder.head.weight': np.zeros((64, 384))}),
      r'misshapen: decoder.head.weight \(64, 384\)',
    ),
  ],
  ids=['missing', 'unused', 'shape', 'transposed'],
)
def test_what_does_not_match_is_reported(videomae, change, message):
  origin, template, arrays = videomae
  arrays = dict(arrays)
  change(arrays)
  _, report = from_state_dict(arrays, template, origin)
  with pytest.raises(ValueError, match=message):
    report.require_complete()


def test_pretraining_weights_start_a_classifier(videomae):
  """All of the backbone is loaded; head and norm are reported missing."""
  origin, _, arrays = videomae
  model = build_model(
    {
      'name': 'classifier',
      'backbone': 'videomae',
      'num_classes': 3,
      'tubelet_size': 2,
      'encoder_norm': False,
      **SMALL,
    }
  )
  params, report = from_state_dict(arrays, shapes_of(model), origin)
  assert set(params) == {'backbone'}
  assert sorted(report.missing) == [
    'head/bias',
    'head/kernel',
    'norm/bias',
    'norm/scale',
  ]


def test_fixed_positions_are_checked_not_loaded():
  """A table that equals ours as a constant is no misfit; another one is."""
  origin = ORIGINS['mae_original']
  fields = SMALL | origin.fields | {'position': 'sincos_2d'}
  model = build_model({'name': 'videomae', **fields})
  template = shapes_of(model)
  params = jax.tree.map(lambda leaf: np.ones(leaf.shape, np.float32), template)
  arrays = to_state_dict(params, origin, grid=(4, 4))
  assert arrays['pos_embed'].shape == (1, 17, 64)
  from_state_dict(arrays, template, origin)[1].require_complete()
  arrays['pos_embed'][0, 1, 0] += 0.5
  report = from_state_dict(arrays, template, origin)[1]
  assert report.unused == ['pos_embed']


def test_a_classifier_is_given_its_fixed_positions():
  origin = ORIGINS['vit_mae']
  fields = SMALL | origin.fields | {'position': 'sincos_2d'}
  model = build_model(
    {
      'name': 'classifier',
      'backbone': 'videomae',
      'num_classes': 3,
      'pool': 'cls',
      'norm': False,
      **fields,
    }
  )
  params = jax.tree.map(lambda leaf: np.ones(leaf.shape), shapes_of(model))
  arrays = to_state_dict(params, origin, grid=(2, 4))
  assert arrays['vit.embeddings.position_embeddings'].shape == (1, 9, 64)
  assert 'decoder.decoder_pos_embed' not in arrays


def test_biases_without_a_place_are_refused():
  """ViTMAE has a bias for keys too; ours without has another layout."""
  origin = ORIGINS['vit_mae']
  fields = (
    SMALL | origin.fields | {'key_bias': False, 'learned_grid': (1, 4, 4)}
  )
  params = shapes_of(build_model({'name': 'videomae', **fields}))
  params = jax.tree.map(lambda leaf: np.ones(leaf.shape), params)
  with pytest.raises(ValueError, match=r"no place for the array .*qv_bias'"):
    to_state_dict(params, origin)


def test_safetensors_are_read_without_torch(tmp_path, videomae):
  safetensors = pytest.importorskip('safetensors.numpy')
  arrays = videomae[2]
  path = tmp_path / 'model.safetensors'
  # The library writes memory as it lies.
  safetensors.save_file(
    {name: np.ascontiguousarray(array) for name, array in arrays.items()}, path
  )
  again = read(path)
  assert again.keys() == arrays.keys()
  for name in arrays:
    np.testing.assert_array_equal(again[name], arrays[name])


@pytest.mark.parametrize('suffix', ['bin', 'pth'])
def test_files_of_torch_are_read_without_torch(tmp_path, videomae, suffix):
  arrays = videomae[2]
  path = tmp_path / f'model.{suffix}'
  torch_files.write(path, {'model': arrays})
  again = read(path)
  assert again.keys() == arrays.keys()
  for name in arrays:
    np.testing.assert_array_equal(again[name], arrays[name])


def test_a_file_without_a_state_dict_says_what_it_holds(tmp_path):
  path = tmp_path / 'log.pth'
  path.write_bytes(pickle.dumps({'epoch': 3}, 2))
  with pytest.raises(ValueError, match='no PyTorch file'):
    read(path)
  torch_files.write(path, {})
  with pytest.raises(ValueError, match='holds no state dict'):
    read(path)


def test_the_state_dict_is_found_inside_of_a_checkpoint():
  arrays = {'module.model.head.bias': 1, '_orig_mod.norm.bias': 2}
  assert unwrap({'epoch': 3, 'model': arrays}) == {
    'head.bias': 1,
    'norm.bias': 2,
  }


def test_foreign_names_are_refused():
  with pytest.raises(ValueError, match='no known program'):
    hugging_face.find_origin({'conv1.weight': 0, 'bn1.bias': 0})


def test_a_class_told_from_the_first_patch_is_refused():
  """Hugging Face's use_mean_pooling=False, which no published file has."""
  origin, _, _, params = make('videomae')
  arrays = to_state_dict(params, origin)
  arrays['classifier.weight'] = np.zeros((3, 64), np.float32)
  with pytest.raises(ValueError, match='first patch alone'):
    hugging_face_model.model_config(
      arrays,
      origin,
      {'num_attention_heads': 1, 'decoder_num_attention_heads': 1},
    )


@pytest.mark.parametrize(
  ('width', 'heads'), [(384, 6), (768, 12), (1024, 16), (1280, 16), (1408, 16)]
)
def test_heads_of_published_sizes_without_a_config(width, heads):
  """S, B, L and H of VideoMAE, g of V2."""
  origin = ORIGINS['videomae_original_classifier']
  arrays = {
    'patch_embed.proj.weight': np.broadcast_to(0, (width, 3, 2, 16, 16)),
    'blocks.0.mlp.fc1.weight': np.broadcast_to(0, (4 * width, width)),
  }
  fields = hugging_face_model.model_config(arrays, origin)
  assert fields['encoder_heads'] == heads


def test_mae_pools_with_a_norm_of_its_own():
  origin = ORIGINS['mae_original']
  arrays = {
    'patch_embed.proj.weight': np.broadcast_to(0, (192, 3, 16, 16)),
    'pos_embed': np.broadcast_to(0, (1, 197, 192)),
    'blocks.0.mlp.fc1.weight': np.broadcast_to(0, (768, 192)),
    'head.weight': np.broadcast_to(0, (10, 192)),
  }
  of_cls = hugging_face_model.model_config(arrays, origin)
  assert (of_cls['pool'], of_cls['norm']) == ('cls', False)
  arrays['fc_norm.weight'] = np.broadcast_to(0, (192,))
  of_mean = hugging_face_model.model_config(arrays, origin)
  assert (of_mean['pool'], of_mean['norm']) == ('mean', True)


BARE = {
  'patch_embed.proj.weight': np.broadcast_to(0, (192, 3, 16, 16)),
  'pos_embed': np.broadcast_to(0, (1, 197, 192)),
  'blocks.0.mlp.fc1.weight': np.broadcast_to(0, (768, 192)),
}


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'pos_embed': (1, 13, 192)}, r'12 positions are not those of 3x3 patches'),
    ({'pos_embed': None}, 'there is no pos_embed'),
    ({'blocks.0.mlp.fc1.weight': None}, r'there is no blocks\.0\.mlp\.fc1'),
    ({'patch_embed.proj.weight': None}, r'there is no patch_embed\.proj'),
    ({'patch_embed.proj.weight': (64, 3, 16, 16)}, 'network of width 64 has'),
    ({'patch_embed.proj.weight': (192, 4, 16, 16)}, 'patches have 4 colours'),
    ({'patch_embed.proj.weight': (192, 3, 8, 16)}, 'and 8x16 pixels'),
    ({'mask_token': (1, 1, 32)}, 'network of width 32 has'),
  ],
  ids=str,
)
def test_what_the_arrays_do_not_tell_is_named(changes, message):
  arrays = dict(BARE)
  for name, shape in changes.items():
    arrays[name] = shape and np.broadcast_to(0, shape)
  arrays = {name: array for name, array in arrays.items() if array is not None}
  with pytest.raises(ValueError, match=message):
    hugging_face_model.model_config(arrays, ORIGINS['mae_original'])


def test_a_config_tells_which_rectangle_the_places_are():
  arrays = BARE | {'pos_embed': np.broadcast_to(0, (1, 13, 192))}
  fields = hugging_face_model.model_config(
    arrays, ORIGINS['mae_original'], {'image_size': [48, 64]}
  )
  assert fields['learned_grid'] == (1, 3, 4)


@pytest.mark.parametrize('kind', ['joint', 'space only'])
def test_other_attention_of_timesformer(kind):
  """Without attention over time: all tokens at once, or frame by frame."""
  origin, _, _, params = make('timesformer')
  arrays = {
    name: array
    for name, array in to_state_dict(params, origin).items()
    if '.temporal_' not in name
  }
  config = {'num_attention_heads': 1}
  if kind == 'joint':
    fields = hugging_face_model.model_config(arrays, origin, config)
    assert fields['space_time'] == 'joint'
    return
  del arrays['timesformer.embeddings.time_embeddings']
  with pytest.raises(ValueError, match='attention_type=space_only'):
    hugging_face_model.model_config(arrays, origin, config)


@pytest.mark.parametrize('dtype', ['float16', 'float64', 'bfloat16'])
def test_arrays_of_any_float_become_float32(dtype):
  origin, _, template, params = make('videomae')
  arrays = to_state_dict(params, origin)
  dtype = jax.numpy.dtype(dtype)
  rounded = {name: array.astype(dtype) for name, array in arrays.items()}
  again, report = from_state_dict(rounded, template, origin)
  report.require_complete()
  for ours, exact in zip(jax.tree.leaves(again), jax.tree.leaves(params)):
    assert ours.dtype == np.float32
    np.testing.assert_array_equal(ours, exact.astype(dtype).astype('float32'))


def test_whole_numbers_are_no_weights():
  origin, _, template, params = make('videomae')
  arrays = to_state_dict(params, origin)
  name = 'videomae.encoder.layer.0.output.dense.weight'
  arrays[name] = arrays[name].astype(np.int8)
  with pytest.raises(ValueError, match=f'{name} is int8: .* quantised'):
    from_state_dict(arrays, template, origin)
