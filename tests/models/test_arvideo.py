"""ARVideo's own promises: strictly block-causal, whatever the clusters."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rvmae_jax.masking.clusters import ClusterMask
from rvmae_jax.models import build_model, flops

GRID = (2, 4, 4)
# Four clusters of eight tokens of each kind, with all of them shown and with
# half.
CLUSTERS = {
  'spatial': {'cluster': (1, 2, 4), 'order': 'spatial_first'},
  'temporal': {'cluster': (2, 1, 4), 'order': 'temporal_first'},
  'spatio_temporal': {'cluster': (2, 2, 2), 'order': 'random'},
  'dropped': {'cluster': (2, 2, 2), 'order': 'random', 'ratio': 0.5},
}


def make_batch(cluster=(2, 2, 2), **settings):
  rng = np.random.default_rng(0)
  mask = ClusterMask(GRID, cluster, **settings)
  clips = [mask({}, rng) for _ in range(2)]
  ids = {key: np.stack([clip[key] for clip in clips]) for key in clips[0]}
  return {'video': rng.random((2, 4, 8, 8, 3), np.float32), **ids}


@pytest.fixture(scope='module')
def tiny():
  return build_model(
    {
      'name': 'arvideo',
      'variant': 'tiny',
      'decoder_blocks': 1,
      'patch_size': 2,
      'tubelet_size': 2,
    }
  )


@pytest.fixture(scope='module')
def variables(tiny):
  return jax.jit(tiny.init)(jax.random.key(0), make_batch())


@pytest.fixture(scope='module')
def gradients(tiny, variables):
  """A function of a batch: [output, step, *video.shape].

  The gradients of each step's sum of squares, in features and in predictions.
  """

  def squares(video, ids):
    out = tiny.apply(variables, {'video': video, **ids})
    return jnp.stack(
      [(out[key] ** 2).sum((0, 2, 3)) for key in ('features', 'pred')]
    )

  jacobian = jax.jit(jax.jacrev(squares))

  def of_batch(batch):
    ids = {key: batch[key] for key in ('ids_keep', 'ids_mask')}
    return np.abs(jacobian(batch['video'], ids))

  return of_batch


@pytest.mark.parametrize('kind', CLUSTERS)
def test_gradients_flow_from_a_cluster_and_those_before_it_alone(
  gradients, kind
):
  """Down to exactly 0, for features and for predictions of every step."""
  batch = make_batch(**CLUSTERS[kind])
  # [2, C, B, t, z, h, p, w, p, 3] -> [2, C, B, t*h*w]
  found = gradients(batch).reshape(2, 3, 2, 2, 2, 4, 2, 4, 2, 3)
  found = found.max((4, 6, 8, 9)).reshape(2, 3, 2, -1)
  for row in range(2):
    for step in range(3):
      seen = np.zeros(32, bool)
      seen[batch['ids_keep'][row, : step + 1]] = True
      assert (found[:, step, row, seen] > 0).all()
      assert (found[:, step, row, ~seen] == 0).all()


def test_what_is_predicted_is_asked_for_by_place_alone(tiny, variables):
  """Asking for the tokens of a cluster in another order changes nothing."""
  batch = make_batch()
  predict = jax.jit(lambda batch: tiny.apply(variables, batch)['pred'])
  turned = batch | {'ids_mask': batch['ids_mask'][:, :, ::-1]}
  np.testing.assert_allclose(
    predict(turned), predict(batch)[:, :, ::-1], atol=1e-6
  )


def test_it_learns_to_tell_clips_by_what_it_has_seen(tiny, variables):
  """A black and a white one: grey for both would be wrong by 1/4."""
  grey = np.array([0, 1], np.float32)[:, None, None, None]  # [B, 1, 1, 1]
  video = np.broadcast_to(grey[..., None], (2, 4, 8, 8, 3))
  batch = make_batch() | {'video': video}

  def loss(params):
    pred = tiny.apply({'params': params}, batch)['pred']
    return ((pred - grey) ** 2).mean()

  optimizer = optax.adam(1e-3)

  @jax.jit
  def train(params):
    def step(carry, _):
      params, state = carry
      value, gradient = jax.value_and_grad(loss)(params)
      updates, state = optimizer.update(gradient, state)
      return (optax.apply_updates(params, updates), state), value

    carry = params, optimizer.init(params)
    return jax.lax.scan(step, carry, length=20)[1]

  losses = train(variables['params'])
  assert losses[0] > 0.25
  assert losses[-1] < 0.05


def test_features_of_a_whole_clip_see_all_of_it(tiny, variables):
  @jax.jit
  @jax.grad
  def gradient(video):
    features = tiny.apply(variables, video, method='encode')
    return (features[:, 0, 0] ** 2).sum()

  by_pixel = np.abs(gradient(make_batch()['video']))
  # [B, t, z, h, p, w, p, 3]
  by_token = by_pixel.reshape(2, 2, 2, 4, 2, 4, 2, 3).max((2, 4, 6, 7))
  assert (by_token > 0).all()


def test_attention_costs_what_clusters_may_see(tiny):
  """Two steps of 4 tokens: 3 pairs of clusters see each other, of 4."""
  struct = jax.ShapeDtypeStruct
  spec = {'video': struct((1, 4, 8, 8, 3), jnp.uint8)}
  whole = spec | {
    'ids_keep': struct((1, 1, 8), jnp.int32),
    'ids_mask': struct((1, 1, 8), jnp.int32),
  }
  steps = spec | {
    'ids_keep': struct((1, 2, 4), jnp.int32),
    'ids_mask': struct((1, 2, 4), jnp.int32),
  }
  whole, steps = tiny.flops_per_clip(whole), tiny.flops_per_clip(steps)
  spared = {key: whole[key] - steps[key] for key in whole}
  assert spared == {
    'patch_embedding': 0,
    'encoder': tiny.encoder_blocks * flops.attention(4, 4, tiny.width),
    'decoder': tiny.decoder_blocks * flops.attention(4, 4, tiny.decoder_width),
    'output': 0,
  }


def test_other_masks_are_refused(tiny):
  struct = jax.ShapeDtypeStruct
  spec = {
    'video': struct((1, 4, 8, 8, 3), jnp.uint8),
    'ids_keep': struct((1, 8), jnp.int32),
    'ids_mask': struct((1, 24), jnp.int32),
  }
  with pytest.raises(ValueError, match=r"data\.mask\.name='clusters'"):
    jax.eval_shape(tiny.init, jax.random.key(0), spec)
