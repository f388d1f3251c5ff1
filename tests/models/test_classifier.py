from functools import partial

import jax
import numpy as np
import pytest

from rvmae_jax.models import build_model

VIDEO = np.random.default_rng(0).integers(0, 256, (2, 4, 16, 16, 3), np.uint8)


def make(**fields):
  return build_model(
    {
      'name': 'classifier',
      'backbone': 'videomae',
      'variant': 'tiny',
      'patch_size': 8,
      'num_classes': 5,
      **fields,
    }
  )


def test_a_fresh_head_says_next_to_nothing():
  """VideoMAE scales the head's start by 0.001."""
  model = make()
  out, variables = jax.jit(model.init_with_output)(
    jax.random.key(0), {'video': VIDEO}
  )
  assert out['logits'].shape == (2, 5)
  assert np.abs(out['logits']).max() < 0.01
  assert set(variables['params']) == {'backbone', 'norm', 'head'}
  assert 'decoder' not in variables['params']['backbone']


POOLED = {
  'mean': lambda features: features[:, :, 1:].mean((1, 2)),
  'mean_std': lambda features: np.concatenate(
    [f(features[:, :, 1:].mean(2), 1) for f in (np.mean, np.std)], 1
  ),
  'cls': lambda features: features[:, :, 0].mean(1),
}


@pytest.mark.parametrize('pool', POOLED)
def test_pooling(pool):
  model = make(pool=pool, norm=False, num_prefix_tokens=1, head_scale=1.0)
  batch = {'video': VIDEO}
  out, variables = jax.jit(model.init_with_output)(jax.random.key(0), batch)
  pooled = POOLED[pool](np.asarray(out['features']))
  head = variables['params']['head']
  want = pooled @ head['kernel'] + head['bias']
  np.testing.assert_allclose(out['logits'], want, atol=1e-4)


def test_a_recurrent_backbone_takes_a_frame_more():
  model = make(backbone='rvm', encoder_blocks=1)
  video = VIDEO[:1, :1, :8]
  shapes = jax.eval_shape(model.init, jax.random.key(0), {'video': video})
  rng = np.random.default_rng(0)
  params = jax.tree.map(lambda leaf: rng.normal(0, 0.1, leaf.shape), shapes)
  state = model.init_state(1, 8, 16)
  _, got = jax.jit(partial(model.apply, method='step'))(
    params, state, video[:, 0]
  )
  want = jax.jit(partial(model.apply, method='encode'))(params, video)
  np.testing.assert_allclose(got, want[:, 0], atol=1e-5)


def test_deviations_of_a_still_video_have_a_gradient():
  model = make(backbone='videomae', space_time='per_frame', pool='mean_std')
  batch = {'video': np.repeat(VIDEO[:, :1], 4, axis=1)}

  def loss(params):
    return model.apply({'params': params}, batch)['logits'].sum()

  params = jax.jit(model.init)(jax.random.key(0), batch)['params']
  gradients = jax.jit(jax.grad(loss))(params)
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'pool': 'max'}, "Unknown pool 'max'"),
    ({'pool': 'cls'}, "pool='cls' needs a CLS token"),
    ({'backbone': 'videomea'}, "Did you mean 'videomae'"),
  ],
  ids=['pool', 'cls', 'backbone'],
)
def test_impossible_classifiers_are_answered(fields, message):
  with pytest.raises(ValueError, match=message):
    make(**fields)
