"""SiamMAE's own promises: what sees what, and the sizes of the paper."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvmae_jax.batch import fake_batch
from rvmae_jax.models import build_model


def make_spec(size=32, num_visible=2):
  struct = jax.ShapeDtypeStruct
  return {
    'video': struct((2, 1, size, size, 3), jnp.uint8),
    'target': struct((2, 3, size, size, 3), jnp.uint8),
    'ids_keep': struct((2, 3, num_visible), jnp.int32),
  }


@pytest.fixture(scope='module')
def tiny():
  """The jitted model of given parameters, and a batch."""
  model = build_model(
    {
      'name': 'siammae',
      'variant': 'tiny',
      'encoder_blocks': 1,
      'decoder_blocks': 1,
      'patch_size': 8,
    }
  )
  batch = fake_batch(make_spec())
  variables = jax.jit(model.init)(jax.random.key(0), batch)
  return jax.jit(lambda batch: model.apply(variables, batch)['pred']), batch


@pytest.mark.parametrize(
  ('variant', 'blocks', 'width'), [('S', 4, 256), ('B', 8, 512)]
)
def test_decoders_are_the_papers(variant, blocks, width):
  model = build_model(
    {'name': 'siammae', 'variant': variant, 'scan_layers': True}
  )
  spec = make_spec(size=64)
  params = jax.eval_shape(model.init, jax.random.key(0), spec)['params']
  mlp = params['decoder']['blocks']['block']['mlp']
  assert mlp['dense_in']['kernel'].shape == (blocks, width, 4 * width)


def test_hidden_patches_of_the_target_are_not_seen(tiny):
  predict, batch = tiny
  target = batch['target'].copy()
  # [B, S, h, p, w, p, 3]: changes all patches but the visible ones.
  patches = target.reshape(2, 3, 4, 8, 4, 8, 3)
  visible = np.zeros((2, 3, 16), bool)
  np.put_along_axis(visible, batch['ids_keep'], True, axis=-1)
  visible = visible.reshape(2, 3, 4, 1, 4, 1, 1)
  changed = np.where(visible, patches, 255 - patches).reshape(target.shape)
  np.testing.assert_array_equal(
    predict(batch), predict(batch | {'target': changed})
  )
  visible_changed = np.where(visible, 255 - patches, patches)
  after = predict(batch | {'target': visible_changed.reshape(target.shape)})
  assert np.abs(after - predict(batch)).max() > 1e-3


def test_targets_are_rebuilt_one_by_one(tiny):
  predict, batch = tiny
  changed = batch['target'].copy()
  changed[:, 1] = 255 - changed[:, 1]
  difference = np.abs(predict(batch) - predict(batch | {'target': changed}))
  assert difference[:, [0, 2]].max() == 0
  assert difference[:, 1].max() > 1e-3


def test_the_earlier_frame_is_seen_whole(tiny):
  """Every one of its patches tells something about every target patch."""
  predict, batch = tiny
  video = batch['video'] / np.float32(255)

  def hidden(video):
    return (predict(batch | {'video': video})[:, :, 0] ** 2).sum()

  gradient = jax.jit(jax.grad(hidden))(video)
  by_patch = np.abs(gradient).reshape(2, 4, 8, 4, 8, 3).max((2, 4, 5))
  assert (by_patch > 0).all()
