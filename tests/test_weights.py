"""Files of others as networks, and evaluated like runs of ours."""

import json

import jax
import ml_collections
import numpy as np
import pytest

from rvmae_jax import weights
from rvmae_jax.evaluate import evaluate
from rvmae_jax.interop import (
  hugging_face,
  rvm_released,
  safetensors,
  state_dict,
  torch_files,
)
from rvmae_jax.models import build_model
from rvmae_jax.objectives import build_objective
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
    (tmp_path / 'config.json').write_text(
      json.dumps({'image_size': SIZE, 'num_frames': 4})
    )
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
          'test': {},
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
  (tmp_path / 'config.json').write_text('{"image_size": 64, "num_frames": 8}')
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
    # No config.json: the papers'.
    ('videomae', None, 'channel'),
    ('vit_mae', None, 'patch'),
  ],
)
def test_whether_a_network_was_taught_normalised_pixels(
  tmp_path, key, settings, normalize
):
  _, _, _, params = make(key)
  arrays = state_dict.to_state_dict(params, hugging_face.ORIGINS[key])
  safetensors.write(tmp_path / 'model.safetensors', arrays)
  if settings is not None:
    heads = {'num_attention_heads': 1, 'decoder_num_attention_heads': 1}
    settings = json.dumps(heads | settings)
    (tmp_path / 'config.json').write_text(settings)
  _, config = weights.load(tmp_path)
  assert config.objective.normalize == normalize
  # Pixels are standardised all the same, as in the file's own class.
  is_standardised = 'pixel_mean' in config.objective
  assert is_standardised == (key == 'vit_mae')
  build_objective(config)


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


@pytest.mark.parametrize('name', ['videomae/classify', 'timesformer/classify'])
def test_files_of_hugging_face_load_with_their_config(
  name, shared_dir, tmp_path
):
  golden = dict(np.load(shared_dir / 'golden' / f'{name}.npz'))
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
