"""Quantised kernels: near the network they come from, and exact in parts."""

import jax
import numpy as np
import pytest

from rvmae_jax.layers.quantised_products import (
  KINDS,
  num_bytes,
  pack_int4,
  quantise,
  unpack_int4,
)
from rvmae_jax.models import build_model
from rvmae_jax.models.classifier import Classifier

qwix = pytest.importorskip('qwix', reason='needs the extra [quant]')

FIELDS = {'name': 'rvm', 'variant': 'tiny', 'patch_size': 8}


@pytest.fixture(scope='module')
def network():
  """A network, its parameters, a clip and its features."""
  model = build_model(FIELDS)
  rng = np.random.default_rng(0)
  video = rng.integers(0, 256, (2, 3, 16, 16, 3), np.uint8)
  params = model.init(jax.random.key(0), video, method='encode')['params']
  features = model.apply({'params': params}, video, method='encode')
  return model, params, video, np.asarray(features)


def _encoded(network, kind):
  model, params, video, _ = network
  small, params = quantise(kind, model, params, video, method='encode')
  return small.apply({'params': params}, video, method='encode'), params


@pytest.mark.parametrize('kind, bits', [('int8', 8), ('int4', 4)])
def test_kernels_are_rounded_and_nothing_else(network, kind, bits):
  model, params, video, _ = network
  features, small = _encoded(network, kind)
  wide = jax.tree.map(
    lambda leaf: qwix.dequantize(leaf) if _is_quantised(leaf) else leaf,
    small,
    is_leaf=_is_quantised,
  )
  num_rounded = 0
  for (path, old), new in zip(
    jax.tree_util.tree_leaves_with_path(params), jax.tree.leaves(wide)
  ):
    if (new == old).all():
      continue
    num_rounded += 1
    # What is summed over: the heads of an output, else the first axis.
    summed = (0, 1) if path[-2].key == 'out' else (0,)
    step = 2 * np.abs(old).max(summed) / (2**bits - 1)
    assert np.all(np.abs(new - old) <= 0.5001 * step)
  # Patches, 2 blocks of 4 and one of 6, and keys and values of the core.
  assert num_rounded == 1 + 2 * 4 + 6 + 1
  expected = model.apply({'params': wide}, video, method='encode')
  np.testing.assert_allclose(features, expected, atol=2e-5)


def _is_quantised(leaf):
  return isinstance(leaf, qwix.QArray)


@pytest.mark.parametrize(
  'kind, bound', [('int8', 0.01), ('dynamic_int8', 0.03), ('int4', 0.2)]
)
def test_features_stay_near(network, kind, bound):
  features, _ = _encoded(network, kind)
  *_, expected = network
  error = np.linalg.norm(features - expected) / np.linalg.norm(expected)
  assert 0 < error < bound


def test_gates_and_biases_stay_as_they_are(network):
  _, params, *_ = network
  _, small = _encoded(network, 'int8')
  for layer in ('input_gates', 'state_gates'):
    assert small['core'][layer]['kernel'] is params['core'][layer]['kernel']
  block = small['encoder']['blocks']['block_00']['mlp']['dense_in']
  assert block['kernel'].qvalue.dtype == np.int8
  assert block['kernel'].scale.shape == (1, 512)
  assert block['bias'].dtype == np.float32


def test_bytes_by_hand():
  params = {'kernel': np.zeros((4, 6), np.float32), 'bias': np.zeros(6)}
  assert num_bytes(params) == 4 * 6 * 4 + 6 * 8
  params['kernel'] = jax.numpy.zeros((4, 6), jax.numpy.int4)
  assert num_bytes(params) == 4 * 6 // 2 + 6 * 8


def test_numbers_of_four_bits_come_back_from_bytes():
  values = np.arange(-8, 7, dtype=np.int8).reshape(3, 5)  # An odd number.
  packed = pack_int4(jax.numpy.asarray(values, jax.numpy.int4))
  assert packed.dtype == np.uint8 and packed.shape == (8,)
  assert packed[0] == 0x98  # -8 is 8 in the low bits, -7 is 9 in the high ones.
  np.testing.assert_array_equal(unpack_int4(packed, (3, 5)), values)


def test_a_stream_equals_the_clip(network):
  model, params, video, _ = network
  features, _ = _encoded(network, 'int8')
  state = model.init_state(len(video), 16, 16)
  small, params = quantise(
    'int8', model, params, state, video[:, 0], method='step'
  )
  for frame in video.swapaxes(0, 1):
    state, last = small.apply({'params': params}, state, frame, method='step')
  np.testing.assert_allclose(last, features[:, -1], atol=1e-5)


def test_what_cannot_be_is_refused(network):
  model, params, video, _ = network
  with pytest.raises(ValueError, match='int3'):
    quantise('int3', model, params, video, method='encode')
  scanned = model.clone(scan_layers=True)
  for network in (scanned, Classifier(scanned, num_classes=3)):
    with pytest.raises(ValueError, match='build_unrolled'):
      quantise('int8', network, params, video, method='encode')
  assert set(KINDS) == {'int8', 'int4', 'dynamic_int8'}
