"""Readouts against values of independent implementations, and their rules."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvmae_jax.interop import readout_released
from rvmae_jax.layers.readout import (
  READOUTS,
  AttentionReadout,
  Tracks,
  fourier_features,
  point_queries,
)
from tests.golden import packed

# Small ones in this tree, beside larger ones that may lie beside it.
OWN = pathlib.Path(__file__).parents[1] / 'golden' / 'readouts.npz'
# Fused and reordered sums differ in the last bits of float32 only.
RELATIVE = 1e-4
FEATURES = np.random.default_rng(0).normal(size=(2, 4, 3, 8)).astype('f4')


def relative_error(ours, golden) -> float:
  return float(np.abs(np.asarray(ours) - golden).max() / np.abs(golden).max())


class Golden:
  """Golden values of one readout, with ours and its parameters made of them."""

  def __init__(self, name, arrays):
    self.arrays = arrays
    self.released = group(arrays, 'params')
    known = {}
    if name == 'depth':
      known['frames_shape'] = arrays['out/depth'].shape[1:4]
    fields = readout_released.readout_fields(self.released, **known)
    assert fields['name'] == name
    self.module = READOUTS.build(fields)
    self.params = readout_released.from_released(self.released, fields)
    self.inputs = [self.arrays['in/features']]
    if f'in/query_{name}' in self.arrays:
      self.inputs.append(self.arrays[f'in/query_{name}'])

  def apply(self, params):
    return jax.jit(self.module.apply)({'params': params}, *self.inputs)


def group(arrays, prefix):
  """The arrays whose names begin with `prefix`/, by the rest of the name."""
  prefix += '/'
  return {
    name.removeprefix(prefix): array
    for name, array in arrays.items()
    if name.startswith(prefix)
  }


@pytest.fixture(scope='module', params=('own', 'shared'))
def golden(request):
  """Makes `Golden` of a name."""
  if request.param == 'own':
    arrays = packed.read(OWN)
    return lambda name: Golden(name, group(arrays, name))
  folder = request.getfixturevalue('shared_dir') / 'golden/readout'
  return lambda name: Golden(name, dict(np.load(folder / f'{name}.npz')))


def queries_first(array):
  """[B, T, Q, ...] as golden files have it -> [B, Q, T, ...]."""
  return array.swapaxes(1, 2)


def test_classes_are_golden(golden):
  readout = golden('classify')
  logits = readout.apply(readout.params)
  assert relative_error(logits, readout.arrays['out/logits']) < RELATIVE


def test_boxes_are_golden(golden):
  readout = golden('boxes')
  boxes = readout.apply(readout.params)
  want = queries_first(readout.arrays['out/values'])
  assert relative_error(boxes, want) < RELATIVE


def test_points_are_golden(golden):
  readout = golden('points')
  tracks = readout.apply(readout.params)
  want = {
    key: queries_first(readout.arrays[f'out/{key}'])
    for key in ('values', 'logits_visible', 'logits_certainty', 'visible')
  }
  assert relative_error(tracks.points, want['values']) < RELATIVE
  for ours, key in (
    (tracks.visible, 'logits_visible'),
    (tracks.certain, 'logits_certainty'),
  ):
    assert relative_error(ours, want[key][..., 0]) < RELATIVE
  np.testing.assert_array_equal(tracks.is_visible(), want['visible'][..., 0])


def test_depth_and_its_gradients_are_golden(golden):
  readout = golden('depth')
  target = readout.arrays['in/target'][..., 0]

  def loss(params):
    return jnp.mean((readout.apply(params) - target) ** 2)

  depth = readout.apply(readout.params)
  assert relative_error(depth, readout.arrays['out/depth'][..., 0]) < RELATIVE
  value, gradients = jax.jit(jax.value_and_grad(loss))(readout.params)
  assert relative_error(value, readout.arrays['out/l2']) < RELATIVE
  ours = readout_released.to_released(gradients)
  assert ours.keys() == readout.released.keys()
  for name, gradient in ours.items():
    want = readout.arrays[f'grad/{name}']
    if name == 'key_embedding/bias':  # Softmax takes no notice of it.
      np.testing.assert_allclose(gradient, 0, atol=1e-5)
      np.testing.assert_allclose(want, 0, atol=1e-5)
    else:
      assert relative_error(gradient, want) < RELATIVE, name


def build(name, **fields):
  return READOUTS.build({'name': name, 'width': 8, 'num_heads': 2, **fields})


def output_shape(module, *inputs):
  outputs, _ = jax.eval_shape(
    module.init_with_output, jax.random.key(0), *inputs
  )
  return outputs.shape


@pytest.mark.parametrize(
  ('readout', 'size', 'shape'),
  [
    (build('classify', num_classes=5), 0, (2, 5)),
    (build('depth', frames_shape=(4, 16, 8)), 0, (2, 4, 16, 8)),
    (
      build('depth', frames_shape=(3, 8, 8), patch_shape=(1, 4, 4)),
      0,
      (2, 3, 8, 8),
    ),
    (build('boxes', num_frames=6, query_width=4), 4, (2, 7, 6, 4)),
  ],
  ids=['classify', 'depth', 'depth of frames', 'boxes'],
)
def test_shapes_do_not_depend_on_those_of_features(readout, size, shape):
  queries = [np.zeros((2, 7, size), np.float32)] if size else []
  assert output_shape(readout, FEATURES, *queries) == shape


def by_hand(params, features, queries):
  """The readout in NumPy: one row, one query, one head at a time."""

  def normed(x, name):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(
      x.var(-1, keepdims=True) + 1e-6
    )
    return x * params[name]['scale'] + params[name]['bias']

  def dense(x, layer):
    return x @ layer['kernel'] + layer['bias']

  def gelu(x):
    return x / (1 + np.exp(-2 * np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))

  tokens = normed(features, 'features_norm') + params['temporal_position']
  tokens = tokens.reshape(-1, features.shape[-1])
  kernel, bias = params['keys_values']['kernel'], params['keys_values']['bias']
  answers = []
  for query in dense(queries, params['query_projection']):
    heads = []
    for head, part in enumerate(np.split(query, kernel.shape[2])):
      key, value = (
        tokens @ kernel[:, i, head] + bias[i, head] for i in range(2)
      )
      weights = np.exp(key @ part / np.sqrt(len(part)))
      heads.append(weights @ value / weights.sum())
    token = query + dense(np.concatenate(heads), params['attention_out'])
    hidden = dense(normed(token, 'mlp_norm'), params['mlp']['dense_in'])
    token = token + dense(gelu(hidden), params['mlp']['dense_out'])
    answers.append(dense(token, params['output']))
  return np.stack(answers)


@pytest.mark.parametrize(
  ('dtype', 'tolerance'), [(jnp.float32, 1e-5), (jnp.bfloat16, 0.1)]
)
def test_readout_by_hand(dtype, tolerance):
  readout = AttentionReadout(5, 8, 2, dtype=dtype)
  rng = np.random.default_rng(2)
  queries = rng.normal(size=(2, 3, 6)).astype('f4')
  shapes = jax.eval_shape(readout.init, jax.random.key(0), FEATURES, queries)
  params = jax.tree.map(
    lambda leaf: rng.normal(size=leaf.shape, scale=0.5).astype('f4'), shapes
  )
  with jax.default_matmul_precision('highest'):
    answers = jax.jit(readout.apply)(params, FEATURES, queries)
  assert answers.dtype == dtype
  for row in range(2):
    want = by_hand(params['params'], FEATURES[row], queries[row])
    assert relative_error(answers[row].astype(jnp.float32), want) < tolerance


def test_points_do_not_see_each_other():
  readout = build('points', num_frames=6, frames_per_query=3, query_width=4)
  queries = np.random.default_rng(1).uniform(-1, 1, (2, 7, 3)).astype('f4')
  params = jax.jit(readout.init)(jax.random.key(0), FEATURES, queries)
  together = jax.jit(readout.apply)(params, FEATURES, queries)
  assert together.points.shape == (2, 7, 6, 2)
  alone = jax.jit(readout.apply)(params, FEATURES, queries[:, 3:4])
  for all_of_them, one in zip(together, alone):
    np.testing.assert_allclose(all_of_them[:, 3:4], one, rtol=1e-5, atol=1e-6)


def test_visible_takes_both_to_be_sure():
  logits = jnp.array([[[4.0, 4.0, -4.0, 0.5]]])
  certain = jnp.array([[[4.0, -4.0, 4.0, 0.5]]])
  tracks = Tracks(jnp.zeros((1, 1, 4, 2)), logits, certain)
  # 0.96, 0.018, 0.018 and 0.62 ** 2 = 0.39.
  assert tracks.is_visible().tolist() == [[[True, False, False, False]]]
  assert tracks.is_visible(0.3).tolist() == [[[True, False, False, True]]]


def test_fourier_features_of_a_half():
  # pi/2 and 0, then pi and 0: sines, then cosines.
  features = fourier_features(jnp.array([0.5, 0.0]), num_frequencies=2)
  np.testing.assert_allclose(features, [1, 0, 0, 0, 0, 1, -1, 1], atol=1e-6)


def test_queries_of_points_span_the_clip_and_the_frame():
  queries = np.array([[0, 0, 0], [7, 32, 64], [3.5, 16, 48]])
  np.testing.assert_allclose(
    point_queries(queries, num_frames=8, size=(32, 64)),
    [[-1, -1, -1], [1, 1, 1], [0, 0, 0.5]],
  )


@pytest.mark.parametrize(
  ('readout', 'message'),
  [
    (build('depth', frames_shape=(4, 16, 9)), r'tile a map of .*\(4, 16, 9\)'),
    (build('depth', patch_shape=(2, 8, 4)), 'must be square'),
    (build('classify', num_classes=2, num_heads=3), '3 heads do not divide'),
    (AttentionReadout(2, 8, 2), 'has 0 learned queries and was given none'),
  ],
)
def test_sizes_that_do_not_fit_are_named(readout, message):
  with pytest.raises(ValueError, match=message):
    jax.eval_shape(readout.init, jax.random.key(0), FEATURES)


def test_frames_that_queries_do_not_share_out():
  readout = build('points', num_frames=5)
  with pytest.raises(ValueError, match='frames_per_query=2 does not divide'):
    jax.eval_shape(
      readout.init, jax.random.key(0), FEATURES, np.zeros((2, 1, 3))
    )
