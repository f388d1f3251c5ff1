"""Features read under masks of the run: what is drawn, and what is averaged."""

import types

import jax
import numpy as np
import pytest
from absl import app

from rvmae_jax.config_utils import load_config, merged
from rvmae_jax.evaluate import fresh_params
from rvmae_jax.models import build_model
from rvmae_jax.tools.masked_features import POOLINGS, MaskedReader, main

RECIPES = 'videomae', 'rvmae'


def run_config(recipe, ratio=0.75):
  config = load_config(f'configs/{recipe}.py:variant=tiny')
  changes = {
    'model': {
      'encoder_blocks': 1,
      'decoder_blocks': 1,
      'width': 32,
      'patch_size': 8,
      'dtype': 'float32',
      'attention': 'xla',
    },
    'data': {
      'clip': {'num_frames': 8},
      'crop': {'size': (32, 32)},
      'mask': {'ratio': ratio},
    },
  }
  return merged(config, changes)


@pytest.fixture(name='batch')
def _batch():
  rng = np.random.default_rng(0)
  shape = 2, 8, 32, 32, 3
  video = rng.integers(0, 256, shape, dtype=np.uint8)
  return {'video': video, 'host/record': np.array([3, 5])}


@pytest.mark.parametrize('recipe', RECIPES)
def test_ways_of_reading_differ_and_means_are_of_the_first_masks(
  recipe, batch, monkeypatch, request
):
  monkeypatch.chdir(request.config.rootpath)
  config = run_config(recipe)
  params = jax.tree.map(lambda x: 2 * x, fresh_params(config))
  reader = MaskedReader(config, params, [1, 2])
  found = reader(batch)
  assert found.keys() == {'whole', 'untrained', 'masks_1', 'masks_2'}
  for name in POOLINGS:
    rows = [ways[name] for ways in found.values()]
    assert len({row.shape for row in rows}) == 1
    assert len({row.tobytes() for row in rows}) == 4
  again = MaskedReader(config, params, [2])(batch)
  for name in POOLINGS:
    np.testing.assert_array_equal(
      again['masks_2'][name], found['masks_2'][name]
    )
  # A row's masks are its own, wherever it stands.
  turned = {key: values[::-1] for key, values in batch.items()}
  for name in POOLINGS:
    np.testing.assert_allclose(
      MaskedReader(config, params, [1])(turned)['masks_1'][name][::-1],
      found['masks_1'][name],
      rtol=1e-4,
      atol=1e-5,
    )


@pytest.mark.parametrize(
  ('name', 'message'),
  [
    ('random', "needs a mask that .*'random' does not. Use one of: .*tube"),
    ('motion_guided', 'follows optical flow'),
    ('target', "'target' does not"),
  ],
)
def test_masks_whose_tokens_have_no_frames_are_refused(
  name, message, monkeypatch, request
):
  monkeypatch.chdir(request.config.rootpath)
  config = run_config('videomae')
  params = fresh_params(config)
  config.unlock()
  config.data.mask.name = name
  with pytest.raises(ValueError, match=message):
    MaskedReader(config, params, [1])


def test_a_mask_that_looks_at_the_clip_is_given_it(batch, monkeypatch, request):
  monkeypatch.chdir(request.config.rootpath)
  config = run_config('videomae')
  config.unlock()
  config.data.mask.name = 'frame_difference'
  found = MaskedReader(config, fresh_params(config), [1])(batch)
  assert np.isfinite(found['masks_1']['mean_std_8']).all()


def test_hardly_hidden_clips_read_as_whole_ones(batch, monkeypatch, request):
  """15 of 16 places shown: far nearer to the whole than 4 of 16."""
  monkeypatch.chdir(request.config.rootpath)
  distances = []
  for ratio in (1 / 16, 0.75):
    config = run_config('vanilla_mae', ratio)
    params = fresh_params(config)
    found = MaskedReader(config, params, [1])(batch)
    distances.append(
      np.abs(found['masks_1']['mean'] - found['whole']['mean']).mean()
    )
  assert distances[0] < distances[1] / 2


def test_what_is_whole_is_what_the_model_encodes(batch, monkeypatch, request):
  monkeypatch.chdir(request.config.rootpath)
  config = run_config('vanilla_mae')
  params = fresh_params(config)
  features = build_model(config.model).apply(
    {'params': params}, batch['video'], method='encode'
  )
  found = MaskedReader(config, params, [1])(batch)
  np.testing.assert_allclose(
    found['whole']['mean'],
    features[:, :, 1:].mean((1, 2)),
    rtol=1e-4,
    atol=1e-5,
  )


@pytest.mark.parametrize(
  ('masks', 'checkpoints', 'message'),
  [
    (['4', '0'], ['a=runs/a'], "--masks: '0' is not a number of masks"),
    (['4'], ['runs/a'], "--checkpoints: 'runs/a' should be name=path"),
    (['4'], ['a=runs/a', 'a=runs/b'], "'a=runs/b' should be .* each name once"),
  ],
)
def test_what_cannot_be_meant_is_refused_before_any_work(
  masks, checkpoints, message
):
  args = types.SimpleNamespace(masks=masks, checkpoints=checkpoints)
  with pytest.raises(app.UsageError, match=message):
    main(args)
