"""Files of others as networks, and evaluated like runs of ours."""

import json
import pathlib

import jax
import ml_collections
import numpy as np
import pytest

from rvmae_jax import weights
from rvmae_jax.evaluate import evaluate
from rvmae_jax.interop import (
  hugging_face,
  published,
  rvm_released,
  safetensors,
  state_dict,
  torch_files,
)
from rvmae_jax.models import build_model
from rvmae_jax.objectives import build_objective
from tests.golden import packed
from tests.interop.sharded_files import write_sharded
from tests.interop.test_hugging_face import make

RVM = {
  'name': 'rvm',
  'variant': 'tiny',
  'width': 32,
  'decoder_width': 16,
  'patch_size': 8,
}
VIDEOMAE = {
  'name': 'videomae',
  'variant': 'tiny',
  'width': 64,
  'encoder_heads': 1,
  'encoder_mlp_dim': 32,
  'decoder_width': 64,
  'decoder_heads': 1,
  'decoder_mlp_dim': 32,
  'patch_size': 8,
  'tubelet_size': 2,
}
SIZE = (16, 24)
HEADS = {'num_attention_heads': 1, 'decoder_num_attention_heads': 1}


def _random_params(model, batch):
  shapes = jax.eval_shape(model.init, jax.random.key(0), batch)['params']
  rng = np.random.default_rng(0)
  return jax.tree.map(
    lambda leaf: rng.normal(0, 0.1, leaf.shape).astype(np.float32), shapes
  )


@pytest.fixture(scope='module')
def rvm_params():
  frames = np.zeros((1, 1, *SIZE, 3), np.uint8)
  batch = {
    'video': frames,
    'target': frames,
    'target_delta': np.zeros((1, 1), int),
    'ids_keep': np.zeros((1, 1, 1), int),
  }
  return _random_params(build_model(RVM), batch)


@pytest.fixture(scope='module')
def videomae_params():
  ids = np.zeros((1, 3), int)
  batch = {
    'video': np.zeros((1, 2, *SIZE, 3), np.uint8),
    'ids_keep': ids,
    'ids_mask': ids,
  }
  return _random_params(build_model(VIDEOMAE), batch)


@pytest.fixture(params=['released', 'hugging_face', 'original'])
def file(request, tmp_path, rvm_params, videomae_params):
  """A file as others publish it: no note of ours."""
  if request.param == 'released':
    path = tmp_path / 'rvm.npz'
    np.savez(path, **rvm_released.to_released(rvm_params))
    return path
  is_original = request.param == 'original'
  origin = hugging_face.origin_of(VIDEOMAE, is_original)
  arrays = state_dict.to_state_dict(videomae_params, origin)
  if is_original:
    path = tmp_path / 'checkpoint.pth'
    torch_files.write(path, {'module': arrays})
  else:
    path = tmp_path / 'model.safetensors'
    safetensors.write(path, arrays)
  settings = HEADS | {'image_size': SIZE, 'num_frames': 4}
  (tmp_path / 'config.json').write_text(json.dumps(settings))
  return path


def test_files_of_others_are_evaluated_like_runs(file, tmp_path):
  """The evaluation brings videos; clips and masks are the paper's."""
  params, run_config = weights.load(file)
  is_rvm = run_config.model.name == 'rvm'
  reconstruction = 'reconstruction' if is_rvm else 'clip_reconstruction'
  videos = {'name': 'fake', 'num_videos': 4, 'num_frames': 24, 'size': SIZE}
  config = ml_collections.ConfigDict(
    {
      'seed': 0,
      'batch_size': 4,
      'data': {
        'sources': {'videos': videos},
        'crop': {'size': SIZE},
        'clip': {
          **run_config.data.clip,
          **({'gap': (4, 8)} if is_rvm else {'num_frames': 4}),
        },
        'mask': {**run_config.data.mask, 'ratio': 0.7},
      },
      'evals': {
        'rebuilt': {'name': reconstruction, 'num_batches': 1},
        'knn': {
          'name': 'knn',
          'data': {'clip': {'name': 'uniform', 'num_frames': 8}},
          'encoders': ('trained',),
          'train': {},
          'test': {'sources': {'videos': {**videos, 'split': 'test'}}},
        },
      },
    }
  )
  results = evaluate(config, params, run_config, tmp_path / 'out')
  metrics = results['rebuilt']['metrics']
  assert metrics and all(map(np.isfinite, metrics.values()))
  assert results['knn']['metrics']['num_test'] == 4


def test_without_videos_the_error_names_what_is_missing(file, tmp_path):
  params, run_config = weights.load(file)
  config = ml_collections.ConfigDict(
    {
      'seed': 0,
      'batch_size': 4,
      'data': {},
      'evals': {'knn': {'name': 'knn', 'train': {}, 'test': {}}},
    }
  )
  with pytest.raises(ValueError, match='sources'):
    evaluate(config, params, run_config, tmp_path / 'out')


def test_a_folder_of_hugging_face_means_its_weights(tmp_path, videomae_params):
  arrays = state_dict.to_state_dict(
    videomae_params, hugging_face.origin_of(VIDEOMAE)
  )
  torch_files.write(tmp_path / 'pytorch_model.bin', arrays)
  settings = HEADS | {'image_size': 64, 'num_frames': 8}
  (tmp_path / 'config.json').write_text(json.dumps(settings))
  params, config = weights.load(tmp_path)
  jax.tree.map(np.testing.assert_array_equal, params, videomae_params)
  assert config.data.crop.size == (64, 64)
  assert config.data.clip.num_frames == 8


@pytest.mark.parametrize(
  ('key', 'settings', 'normalize'),
  [
    ('videomae', {'norm_pix_loss': True}, 'channel'),
    ('videomae', {'norm_pix_loss': False}, 'none'),
    # transformers' defaults, of what a config.json leaves out.
    ('videomae', {'num_frames': 4}, 'channel'),
    ('vit_mae', {'image_size': 32}, 'none'),
    ('vit_mae', {'norm_pix_loss': True}, 'patch'),
  ],
)
def test_whether_a_network_was_taught_normalised_pixels(
  tmp_path, key, settings, normalize
):
  _, _, _, params = make(key)
  arrays = state_dict.to_state_dict(params, hugging_face.ORIGINS[key])
  safetensors.write(tmp_path / 'model.safetensors', arrays)
  (tmp_path / 'config.json').write_text(json.dumps(HEADS | settings))
  _, config = weights.load(tmp_path)
  assert config.objective.normalize == normalize
  # Pixels are standardised all the same, as in the file's own class.
  is_standardised = 'pixel_mean' in config.objective
  assert is_standardised == (key == 'vit_mae')
  build_objective(config)


@pytest.mark.parametrize(
  ('key', 'normalize'), [('videomae', 'channel'), ('vit_mae', 'patch')]
)
def test_without_a_config_the_targets_are_the_papers(key, normalize):
  fields = {'learned_grid': (1, 2, 2), 'patch_size': 8}
  model = {'name': 'videomae', **hugging_face.ORIGINS[key].fields, **fields}
  assert published.run_config(model)['objective']['normalize'] == normalize


def test_a_network_that_knows_classes_has_no_targets(tmp_path):
  _, _, _, params = make('timesformer')
  arrays = state_dict.to_state_dict(params, hugging_face.ORIGINS['timesformer'])
  arrays = {n: a for n, a in arrays.items() if not n.startswith('classifier')}
  safetensors.write(tmp_path / 'model.safetensors', arrays)
  (tmp_path / 'config.json').write_text('{"num_attention_heads": 1}')
  assert weights.load(tmp_path)[1].objective.to_dict() == {'name': 'supervised'}


@pytest.mark.parametrize('stem', ['model.safetensors', 'pytorch_model.bin'])
def test_weights_in_several_files_are_put_together(
  tmp_path, videomae_params, stem
):
  arrays = state_dict.to_state_dict(
    videomae_params, hugging_face.origin_of(VIDEOMAE)
  )
  write_sharded(tmp_path / f'{stem}.index.json', arrays, num_files=3)
  (tmp_path / 'config.json').write_text(json.dumps(HEADS))
  for path in (tmp_path, tmp_path / f'{stem}.index.json'):
    params, _ = weights.load(path)
    jax.tree.map(np.testing.assert_array_equal, params, videomae_params)


@pytest.mark.parametrize('part', ['all', 'encoder'])
def test_released_files_load_without_a_config(rvm_params, tmp_path, part):
  path = tmp_path / 'released.npz'
  np.savez(path, **rvm_released.to_released(rvm_params, part))
  model, loaded = weights.load_model(path)
  assert (model.width, model.patch_size) == (32, 8)
  assert ('decoder' in loaded) == (part == 'all')
  jax.tree.map(
    np.testing.assert_array_equal, loaded['core'], rvm_params['core']
  )


def test_a_file_has_no_moving_average_beside(tmp_path):
  path = tmp_path / 'released.npz'
  path.touch()
  with pytest.raises(ValueError, match='one set of parameters'):
    weights.load(path, ema=True)


def test_an_unknown_suffix_is_answered_with_the_known_ones(tmp_path):
  path = tmp_path / 'weights.h5'
  path.touch()
  with pytest.raises(ValueError, match=r"'\.h5'; use one of \.npz, \.safetens"):
    weights.load(path)


@pytest.mark.parametrize('name', ['videomae_classify', 'timesformer_classify'])
def test_files_of_hugging_face_load_with_their_config(name, tmp_path):
  folder = pathlib.Path(__file__).parent / 'golden'
  golden = packed.read(folder / f'{name}.npz')
  arrays = {
    key.removeprefix('params/'): array
    for key, array in golden.items()
    if key.startswith('params/')
  }
  safetensors.write(tmp_path / 'model.safetensors', arrays)
  (tmp_path / 'config.json').write_text(str(golden['config_json']))
  model, params = weights.load_model(tmp_path / 'model.safetensors')
  assert model.num_classes == len(golden['out/logits'][0])
  pixels = np.moveaxis(golden['in/pixel_values_imagenet_normalised'], -3, -1)
  network = model.backbone
  video = pixels * np.float32(network.pixel_std) + np.float32(
    network.pixel_mean
  )
  logits = model.apply({'params': params}, {'video': video})['logits']
  np.testing.assert_allclose(logits, golden['out/logits'], atol=1e-4)


# config.json -> what of it is a field.
READ = [
  ({'hidden_act': 'relu'}, ('activation', 'relu')),
  ({'hidden_act': 'gelu_new'}, ('activation', 'gelu_tanh')),
  ({'hidden_act': 'quick_gelu'}, ('activation', 'quick_gelu')),
  ({}, ('activation', 'gelu')),
  ({'layer_norm_eps': 1e-3}, ('norm_eps', 1e-3)),
  ({}, ('norm_eps', 1e-12)),  # The default of transformers.
  ({'num_attention_heads': 4}, ('encoder_heads', 4)),
  ({'decoder_num_attention_heads': 2}, ('decoder_heads', 2)),
]
# config.json -> the message that refuses it.
REFUSED = [
  ({'hidden_act': 'mish'}, "config.json says hidden_act='mish'"),
  ({'qkv_bias': False}, 'qkv_bias=False'),
  ({'problem_type': 'regression'}, "problem_type='regression'"),
  ({'quantization_config': {'bits': 4}}, 'quantization_config='),
  ({'model_type': 'vit_mae'}, "model_type='vit_mae'; the arrays .* videomae"),
  ({'model_type': 'bert'}, "model_type='bert'; the arrays .* videomae"),
  ({'num_hidden_layers': 12}, r'num_hidden_layers=12 \(the arrays say 2\)'),
  ({'hidden_size': 768}, r'hidden_size=768 \(the arrays say 64\)'),
  ({'intermediate_size': 99}, 'intermediate_size=99'),
  ({'patch_size': 16}, 'patch_size=16'),
  ({'tubelet_size': 4}, 'tubelet_size=4'),
  ({'num_channels': 1}, 'num_channels=1'),
  ({'use_mean_pooling': True}, 'use_mean_pooling=True'),
  ({'decoder_num_hidden_layers': 4}, 'decoder_num_hidden_layers=4'),
  ({'num_attention_heads': 7}, '7 heads do not divide width 64'),
]


@pytest.fixture
def folder(tmp_path, videomae_params):
  arrays = state_dict.to_state_dict(
    videomae_params, hugging_face.origin_of(VIDEOMAE)
  )
  safetensors.write(tmp_path / 'model.safetensors', arrays)
  return tmp_path


@pytest.mark.parametrize(('settings', 'wanted'), READ, ids=str)
def test_settings_that_no_array_tells_are_read(folder, settings, wanted):
  (folder / 'config.json').write_text(json.dumps(HEADS | settings))
  model, _ = weights.load_model(folder)
  field, value = wanted
  assert getattr(model, field) == value


@pytest.mark.parametrize(('settings', 'message'), REFUSED, ids=str)
def test_settings_of_another_network_are_refused(folder, settings, message):
  (folder / 'config.json').write_text(json.dumps(HEADS | settings))
  with pytest.raises(ValueError, match=message):
    weights.load_model(folder)


@pytest.mark.parametrize('name', ['config.json', 'preprocessor_config.json'])
@pytest.mark.parametrize('text', ['{"hidden_act": ', '[1]'])
def test_settings_that_cannot_be_read_are_named(folder, name, text):
  (folder / 'config.json').write_text(json.dumps(HEADS))
  (folder / name).write_text(text)
  with pytest.raises(ValueError, match=f'{name} is not valid JSON'):
    weights.load_model(folder)


def test_the_config_of_a_run_says_nothing_of_a_file_beside(folder):
  (folder / 'config.json').write_text('{"model": {"name": "rvm"}}')
  with pytest.raises(ValueError, match='The arrays do not show how many heads'):
    weights.load_model(folder)


HALF = {'image_mean': [0.5] * 3, 'image_std': [0.5] * 3}
PIXELS = [
  (HALF, ((0.5,) * 3, (0.5,) * 3)),
  (HALF | {'do_normalize': False}, ((0.0,) * 3, (1.0,) * 3)),
  # (255 * x / 127.5 - 1) / 2
  (
    {'rescale_factor': 1 / 127.5, 'image_mean': 1, 'image_std': 2},
    ((0.5,) * 3, (1.0,) * 3),
  ),
  # (255 * x - 51) / 102
  (
    {'do_rescale': False, 'image_mean': 51, 'image_std': 102},
    ((0.2,) * 3, (0.4,) * 3),
  ),
]


@pytest.mark.parametrize(('settings', 'wanted'), PIXELS, ids=str)
@pytest.mark.parametrize(
  ('name', 'section'),
  [
    ('preprocessor_config.json', None),
    ('video_preprocessor_config.json', None),
    ('processor_config.json', 'image_processor'),
    ('processor_config.json', 'video_processor'),
  ],
)
def test_pixels_are_made_ready_as_the_file_says(
  folder, settings, wanted, name, section
):
  (folder / 'config.json').write_text(json.dumps(HEADS))
  content = {section: settings} if section else settings
  (folder / name).write_text(json.dumps(content))
  model, _ = weights.load_model(folder)
  np.testing.assert_allclose((model.pixel_mean, model.pixel_std), wanted)


@pytest.mark.parametrize(
  'settings',
  [
    {'do_normalize': True},
    HALF | {'image_std': [0.5, 0.5, 0]},
    HALF | {'image_std': [0.5, 0.5, float('nan')]},
    HALF | {'rescale_factor': None},
    HALF | {'image_mean': [0.5]},
    HALF | {'do_flip_channel_order': True},
  ],
  ids=str,
)
def test_pixels_made_ready_otherwise_are_refused(folder, settings):
  (folder / 'config.json').write_text(json.dumps(HEADS))
  (folder / 'preprocessor_config.json').write_text(json.dumps(settings))
  with pytest.raises(ValueError, match=r'preprocessor_config\.json says'):
    weights.load_model(folder)


def test_a_section_of_pixels_that_is_none_is_named(folder):
  (folder / 'config.json').write_text(json.dumps(HEADS))
  settings = {'image_processor': 3}
  (folder / 'processor_config.json').write_text(json.dumps(settings))
  with pytest.raises(ValueError, match='says image_processor=3, no object'):
    weights.load_model(folder)


def test_a_vit_without_a_preprocessor_is_warned_of(tmp_path, caplog):
  """Its published files want pixels of 0.5 and 0.5, or those of ImageNet."""
  _, _, _, params = make('vit_mae')
  arrays = state_dict.to_state_dict(params, hugging_face.ORIGINS['vit_mae'])
  arrays = {n: a for n, a in arrays.items() if n.startswith('vit.')}
  arrays['vit.pooler.dense.bias'] = np.ones(64, np.float32)
  safetensors.write(tmp_path / 'model.safetensors', arrays)
  settings = HEADS | {'model_type': 'vit'}
  (tmp_path / 'config.json').write_text(json.dumps(settings))
  with caplog.at_level('WARNING'):
    weights.load_model(tmp_path)
  assert 'No preprocessor_config.json beside' in caplog.text
  (tmp_path / 'preprocessor_config.json').write_text(json.dumps(HALF))
  caplog.clear()
  with caplog.at_level('WARNING'):
    weights.load_model(tmp_path)
  assert not caplog.text


def test_targets_of_vit_mae_are_standardised_as_its_pixels(tmp_path):
  _, _, _, params = make('vit_mae')
  arrays = state_dict.to_state_dict(params, hugging_face.ORIGINS['vit_mae'])
  safetensors.write(tmp_path / 'model.safetensors', arrays)
  settings = HEADS | {'mask_ratio': 0.4}
  (tmp_path / 'config.json').write_text(json.dumps(settings))
  (tmp_path / 'preprocessor_config.json').write_text(json.dumps(HALF))
  _, config = weights.load(tmp_path)
  for section in (config.model, config.objective):
    assert section.pixel_mean == section.pixel_std == (0.5,) * 3
  assert config.data.mask.ratio == 0.4


def test_a_digest_of_nothing_is_an_error(tmp_path):
  (tmp_path / 'a.npz').write_bytes(b'a')
  assert weights.content_digest(str(tmp_path / 'a.npz'))
  with pytest.raises(FileNotFoundError, match=r'no file at .*b\.npz'):
    weights.content_digest(str(tmp_path / 'b.npz'))
