"""VideoMAE, ImageMAE, TimeSformer against Hugging Face's networks in small."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvmae_jax.interop import hugging_face, hugging_face_model
from rvmae_jax.interop.state_dict import from_state_dict, to_state_dict
from rvmae_jax.models import build_model
from rvmae_jax.objectives.masked_reconstruction import MaskedReconstruction
from tests.golden import packed

BOTH = ('own', 'shared')
# Reordered sums differ in the last bits of float32 only.
RELATIVE = 1e-4
# The golden pixels are normalised already.
AS_THEY_ARE = {'pixel_mean': (0.0,) * 3, 'pixel_std': (1.0,) * 3}


def relative_error(ours, golden) -> float:
  return float(np.abs(np.asarray(ours) - golden).max() / np.abs(golden).max())


class Golden:
  """One golden file, with our model and parameters made from it."""

  def __init__(self, path, method='__call__', **fields):
    arrays = packed.read(path)
    self.theirs = {
      name.removeprefix('params/'): array
      for name, array in arrays.items()
      if name.startswith('params/')
    }
    self.arrays = arrays
    self.origin, _ = hugging_face.find_origin(self.theirs)
    config = json.loads(str(arrays['config_json']))
    self.model = build_model(
      hugging_face_model.model_config(self.theirs, self.origin, config) | fields
    )

  def load(self, *inputs):
    """Our parameters; everything in the file must have found its place."""
    template = jax.eval_shape(self.model.init, jax.random.key(0), *inputs)
    params, report = from_state_dict(
      self.theirs, template['params'], self.origin
    )
    report.require_complete()
    return params


def last_channels(pixels):
  return np.moveaxis(pixels, -3, -1)


def ids_of(hidden):
  """Visible and hidden places of a mask [B, N] with equal counts."""
  order = np.argsort(hidden, axis=-1, kind='stable')
  return np.split(order, [int((~hidden[0]).sum())], axis=-1)


def path_of(request, name):
  """A file of this tree, or the one that may lie beside it."""
  if request.param == 'own':
    name = name.replace('/', '_')
    return pathlib.Path(__file__).parents[1] / 'golden' / f'{name}.npz'
  shared_dir = request.getfixturevalue('shared_dir')
  return shared_dir / 'golden' / f'{name}.npz'


@pytest.fixture(scope='module', params=BOTH)
def videomae(request):
  golden = Golden(path_of(request, 'videomae/pretrain'))
  pixels = last_channels(golden.arrays['in/pixel_values_imagenet_normalised'])
  model = golden.model
  ids_keep, ids_mask = ids_of(golden.arrays['in/bool_masked_pos'])
  golden.batch = {
    'video': pixels * np.float32(model.pixel_std)
    + np.float32(model.pixel_mean),
    'ids_keep': ids_keep,
    'ids_mask': ids_mask,
  }
  golden.params = golden.load(golden.batch)
  return golden


def loss_of(golden, **options):
  objective = MaskedReconstruction(
    {'pixel_l2': 1.0},
    patch_size=golden.model.patch_size,
    tubelet_size=golden.model.tubelet_size,
    patches='hidden',
    **options,
  )

  def apply(params, batch, **_):
    return golden.model.apply({'params': params}, batch)

  return lambda params: objective(
    apply, params, golden.batch, rng=None, train=True
  )[0]


def test_videomae_pretraining(videomae):
  out = jax.jit(videomae.model.apply)(
    {'params': videomae.params}, videomae.batch
  )
  want = videomae.arrays['out/logits']
  assert relative_error(out['pred'], want) < RELATIVE
  np.testing.assert_array_equal(out['pred_ids'], videomae.batch['ids_mask'])


def test_videomae_features_of_all_tokens(videomae):
  features = videomae.model.apply(
    {'params': videomae.params}, videomae.batch['video'], method='encode'
  )
  want = videomae.arrays['out/encoder_all_tokens']
  grid = videomae.model.clip_grid(videomae.batch['video'].shape)
  assert features.shape == (2, grid[0], grid[1] * grid[2], want.shape[-1])
  assert relative_error(features.reshape(want.shape), want) < RELATIVE


def test_videomae_loss_and_gradient(videomae):
  loss_fn = loss_of(videomae, normalize='channel')
  loss, gradient = jax.jit(jax.value_and_grad(loss_fn))(videomae.params)
  assert relative_error(loss, videomae.arrays['out/loss']) < RELATIVE
  ours = gradient['decoder']['mask_token']
  want = videomae.arrays['out/grad_mask_token'][0]
  assert relative_error(ours, want) < RELATIVE


@pytest.fixture(params=BOTH)
def videomae_classify(request):
  return path_of(request, 'videomae/classify')


@pytest.fixture(params=BOTH)
def timesformer_classify(request):
  return path_of(request, 'timesformer/classify')


def test_videomae_classifier(videomae_classify):
  golden = Golden(videomae_classify, **AS_THEY_ARE)
  pixels = golden.arrays['in/pixel_values_imagenet_normalised']
  batch = {'video': last_channels(pixels)}
  out = golden.model.apply({'params': golden.load(batch)}, batch)
  assert relative_error(out['logits'], golden.arrays['out/logits']) < RELATIVE


@pytest.fixture(scope='module', params=BOTH)
def image_mae(request):
  golden = Golden(
    path_of(request, 'image_mae/pretrain'),
    rebuild='all',
    **AS_THEY_ARE,
  )
  images = golden.arrays['in/pixel_values_imagenet_normalised']
  ids_keep, ids_mask = ids_of(golden.arrays['out/mask_1_is_removed'] == 1)
  golden.batch = {
    'video': last_channels(images)[:, None],
    'ids_keep': ids_keep,
    'ids_mask': ids_mask,
  }
  golden.params = golden.load(golden.batch)
  return golden


def test_image_mae_pretraining(image_mae):
  out = jax.jit(image_mae.model.apply)(
    {'params': image_mae.params}, image_mae.batch
  )
  in_grid_order = np.argsort(out['pred_ids'], axis=-1)[..., None]
  pred = np.take_along_axis(np.asarray(out['pred']), in_grid_order, axis=1)
  assert relative_error(pred, image_mae.arrays['out/logits']) < RELATIVE


def test_image_mae_loss(image_mae):
  loss = loss_of(image_mae, normalize='patch')(image_mae.params)
  assert relative_error(loss, image_mae.arrays['out/loss']) < RELATIVE


def test_image_mae_keeps_the_lowest_noise(image_mae):
  noise = image_mae.arrays['in/noise_argsorted_low_is_kept']
  ids_keep = image_mae.batch['ids_keep']
  lowest = np.argsort(noise, axis=-1)[:, : ids_keep.shape[1]]
  np.testing.assert_array_equal(np.sort(lowest, axis=-1), ids_keep)


def test_timesformer(timesformer_classify):
  golden = Golden(timesformer_classify, **AS_THEY_ARE)
  pixels = golden.arrays['in/pixel_values_imagenet_normalised']
  batch = {'video': last_channels(pixels)}
  params = golden.load(batch)
  out = golden.model.apply({'params': params}, batch)
  assert relative_error(out['logits'], golden.arrays['out/logits']) < RELATIVE

  # Their hidden state is not yet normed: a CLS token, then place by place all
  # times.
  want = golden.arrays['out/last_hidden_state']
  features = golden.model.backbone.clone(encoder_norm=False).apply(
    {'params': params['backbone']}, batch['video'], method='encode'
  )
  assert relative_error(features[:, 0, 0], want[:, 0]) < RELATIVE
  # [B, T, N, D] -> [B, N*T, D]
  grid = jnp.swapaxes(features[:, :, 1:], 1, 2).reshape(want[:, 1:].shape)
  assert relative_error(grid, want[:, 1:]) < RELATIVE


def test_videomae_goes_back_to_its_names_bit_for_bit(videomae):
  _check_there_and_back(videomae)


def test_image_mae_goes_back_to_its_names_bit_for_bit(image_mae):
  _check_there_and_back(image_mae)


def _check_there_and_back(golden):
  again = to_state_dict(golden.params, golden.origin)
  assert again.keys() == golden.theirs.keys()
  for key, array in golden.theirs.items():
    assert again[key].shape == array.shape, key
    np.testing.assert_array_equal(again[key], array)
