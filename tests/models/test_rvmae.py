"""R-VMAE's own promises: nothing hidden leaks, and time has a direction."""

import functools

import jax
import numpy as np
import pytest

from rvmae_jax.masking import MASKS, check_mask
from rvmae_jax.models import build_model

T, GRID, PATCH = 4, (2, 2), 8


def build(**fields):
  config = {'variant': 'tiny', 'patch_size': PATCH, 'width': 32}
  config |= {'encoder_blocks': 1, 'decoder_blocks': 1, 'decoder_width': 32}
  return build_model({'name': 'rvmae', **config, **fields})


def make_batch(name='space_time', **settings):
  mask = MASKS.build({'name': name, 'ratio': 0.5, **settings}, grid=(T, *GRID))
  rng = np.random.default_rng(0)
  rows = [mask({}, rng) for _ in range(2)]
  batch = {key: np.stack([row[key] for row in rows]) for key in rows[0]}
  video = rng.integers(0, 256, (2, T, 2 * PATCH, 2 * PATCH, 3), np.uint8)
  return batch | {'video': video}


@pytest.fixture(scope='module')
def batch():
  """Frames 0 to 2 or 3 show 2 of 4 patches, one frame none."""
  return make_batch(frame_ratio=0.25)


@pytest.fixture(scope='module')
def variables(batch):
  return jax.jit(build().init)(jax.random.key(0), batch)


@pytest.fixture(scope='module')
def run(variables):
  """batch -> outputs, of the causal decoder and of the one that sees all."""
  models = {causal: build(causal=causal) for causal in (False, True)}
  return {
    causal: jax.jit(functools.partial(model.apply, variables))
    for causal, model in models.items()
  }


def frames_of(ids):
  return ids // (GRID[0] * GRID[1])


def test_every_hidden_patch_is_rebuilt(run, batch):
  out = run[False](batch)
  # 4 frames of 4 patches; 3 of the frames show 2 of them.
  assert out['pred'].shape == (2, 16 - 3 * 2, PATCH**2 * 3)
  np.testing.assert_array_equal(out['pred_ids'], batch['ids_mask'])
  assert out['features'].shape == (2, T, 1 + 4, 32)


def test_hidden_pixels_change_nothing(run, batch):
  is_hidden = np.ones((2, T * 4), bool)
  np.put_along_axis(is_hidden, batch['ids_keep'], False, axis=1)
  # [B, T, h, w] -> pixels
  is_hidden = is_hidden.reshape(2, T, *GRID).repeat(PATCH, 2).repeat(PATCH, 3)
  video = np.where(is_hidden[..., None], 255 - batch['video'], batch['video'])
  assert (video != batch['video']).any()
  before, after = run[False](batch), run[False]({**batch, 'video': video})
  np.testing.assert_array_equal(before['pred'], after['pred'])


@pytest.mark.parametrize('causal', [False, True])
def test_later_frames_reach_back_only_through_the_decoder(run, batch, causal):
  changed = {**batch, 'video': batch['video'].copy()}
  changed['video'][:, 2:] = 255 - changed['video'][:, 2:]
  before, after = run[causal](batch), run[causal](changed)
  np.testing.assert_array_equal(
    before['features'][:, :2], after['features'][:, :2]
  )
  assert np.abs(before['features'][:, 2:] - after['features'][:, 2:]).max() > 0
  is_early = frames_of(batch['ids_mask']) < 2
  difference = np.abs(before['pred'] - after['pred'])[is_early].max()
  assert (difference == 0) == causal


def test_at_a_hidden_frame_the_core_predicts_from_the_past(run, batch):
  """Its input is the same whatever was seen; its features are not."""
  hidden = set(range(T)) - set(batch['slots_keep'][0].tolist())
  frame = hidden.pop()
  changed = {**batch, 'video': batch['video'].copy()}
  changed['video'][:, :frame] = 255 - changed['video'][:, :frame]
  before, after = run[False](batch), run[False](changed)
  difference = before['features'][0, frame] - after['features'][0, frame]
  assert np.abs(difference).max() > 1e-4


def test_shown_frames_only_is_the_same_as_all_of_them(variables):
  """A mask of no hidden frame, with and without `slots_keep`."""
  batch = make_batch('per_frame')
  slots = np.tile(np.arange(T, dtype=np.int32), (2, 1))
  apply = jax.jit(build().apply)
  np.testing.assert_allclose(
    apply(variables, batch)['pred'],
    apply(variables, {**batch, 'slots_keep': slots})['pred'],
    atol=1e-6,
  )


def test_streaming_equals_encode(variables, batch):
  model = build()
  features = jax.jit(lambda v: model.apply(variables, v, method='encode'))(
    batch['video']
  )
  step = jax.jit(lambda *inputs: model.apply(variables, *inputs, method='step'))
  state = model.apply(variables, 2, 16, 16, method='init_state')
  for t in range(T):
    state, streamed = step(state, batch['video'][:, t])
    np.testing.assert_allclose(streamed, features[:, t], atol=2e-5)


def test_uneven_frames_are_answered(variables, batch):
  uneven = {**batch, 'ids_keep': batch['ids_keep'][:, :-1]}
  with pytest.raises(ValueError, match=r'5 visible tokens .* of 3 frames'):
    jax.eval_shape(build().apply, variables, uneven)
  with pytest.raises(ValueError, match=r"R-VMAE .*='random' .* space_time"):
    check_mask({'name': 'random'}, build().needs_mask, 'R-VMAE')
