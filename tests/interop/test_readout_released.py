"""Released readout heads: names, prefixes, and back, bit for bit."""

import jax
import numpy as np
import pytest

from rvmae_jax import transfer, weights
from rvmae_jax.interop import npz, readout_released
from rvmae_jax.layers.readout import READOUTS
from rvmae_jax.tools.checks.checkpoints import check_checkpoint

SMALL = {'width': 8, 'num_heads': 2}
FIELDS = {
  'classify': {'num_classes': 5},
  'depth': {'frames_shape': (4, 16, 24), 'patch_shape': (2, 8, 8)},
  'points': {'num_frames': 6, 'frames_per_query': 3, 'query_width': 4},
  'boxes': {'num_frames': 6, 'query_width': 4},
}
NAMES = sorted(FIELDS)


def make(name):
  """A readout of features [_, 4, _, 12] with random parameters."""
  readout = READOUTS.build({'name': name, **SMALL, **FIELDS[name]})
  inputs = [np.zeros((1, 4, 2, 12), np.float32)]
  if name in ('points', 'boxes'):
    size = {'points': 3, 'boxes': 4}[name]
    inputs.append(np.zeros((1, 1, size), np.float32))
  shapes = jax.eval_shape(readout.init, jax.random.key(0), *inputs)['params']
  rng = np.random.default_rng(0)
  return readout, jax.tree.map(
    lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), shapes
  )


@pytest.mark.parametrize('name', NAMES)
def test_golden_names_and_bits(shared_dir, name):
  golden = np.load(shared_dir / f'golden/readout/{name}.npz')
  arrays = {
    key.removeprefix('params/'): golden[key]
    for key in golden.files
    if key.startswith('params/')
  }
  known = {'frames_shape': (8, 16, 24)} if name == 'depth' else {}
  fields = readout_released.readout_fields(arrays, **known)
  params = readout_released.from_released(arrays, fields)
  again = readout_released.to_released(params)
  assert sorted(again) == sorted(arrays)
  for key, array in arrays.items():
    np.testing.assert_array_equal(again[key], array)


@pytest.mark.parametrize('suffix', ['npz', 'safetensors'])
@pytest.mark.parametrize('name', NAMES)
def test_saved_and_loaded(tmp_path, name, suffix):
  readout, params = make(name)
  path = tmp_path / f'head.{suffix}'
  weights.save_readout(path, readout, params)
  again, loaded = weights.load_readout(path)
  assert again == readout
  jax.tree.map(np.testing.assert_array_equal, loaded, params)
  report = check_checkpoint(path)
  assert report.kind.startswith('readout head')
  assert report.model.startswith(f'{name}: ')
  assert report.model.endswith('features of 4 frames or tubelets, 12 wide')
  assert (report.loads, report.error) == ('whole', '')


def test_a_head_behind_a_network_is_found(tmp_path):
  readout, params = make('points')
  arrays = {
    f'params/layers_2/{name}': array
    for name, array in readout_released.to_released(params).items()
  }
  arrays['params/layers_0/encoder/kernel'] = np.zeros(3, np.float32)
  path = tmp_path / 'whole.npz'
  npz.write(path, arrays)
  assert weights.load_readout(path)[0] == readout
  report = check_checkpoint(path)
  assert report.loads == 'whole'
  assert (
    report.note == '1 other arrays are left: params/layers_0/encoder/kernel.'
  )


def test_the_released_depth_head_is_a_square():
  """4DS-B: 16 frames of 224 from 8 tubelets of 14 x 14 tokens, 768 wide."""
  readout = READOUTS.build({'name': 'depth'})
  shapes = jax.eval_shape(
    readout.init,
    jax.random.key(0),
    jax.ShapeDtypeStruct((1, 8, 196, 768), np.float32),
  )['params']
  arrays = readout_released.to_released(
    jax.tree.map(
      lambda leaf: np.broadcast_to(np.float32(0), leaf.shape), shapes
    )
  )
  assert arrays['query'].shape == (6272, 16, 64)
  assert READOUTS.build(readout_released.readout_fields(arrays)) == readout
  # The same map from frames instead of tubelets.
  arrays['temporal_posenc/embeddings'] = np.broadcast_to(0, (16, 1, 768))
  fields = readout_released.readout_fields(arrays)
  assert fields['frames_shape'] == (16, 224, 224)


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (lambda a: a.pop('LayerNorm_1/scale'), 'missing: LayerNorm_1/scale'),
    (lambda a: a.update(extra=np.zeros(3)), 'not known to this model: extra'),
    (lambda a: a.pop('Dense_1/bias'), "No array 'Dense_1/bias'"),
    (
      lambda a: a.update({'MLP_0/Dense_0/bias': np.zeros(3)}),
      r"'MLP_0/Dense_0/bias' has shape \(3,\); this model needs \(32,\)",
    ),
    (
      lambda a: a.update({'b/key_embedding/kernel': np.zeros(3)}),
      "found .'key_embedding/kernel', 'b/key_embedding/kernel'",
    ),
    (lambda a: a.pop('key_embedding/kernel'), 'found none among'),
  ],
)
def test_misfits_are_named(tmp_path, change, message):
  arrays = readout_released.to_released(make('classify')[1])
  change(arrays)
  npz.write(tmp_path / 'head.npz', arrays)
  with pytest.raises(ValueError, match=message):
    weights.load_readout(tmp_path / 'head.npz')


def test_a_map_that_no_array_tells_is_asked_for(tmp_path):
  readout, params = make('depth')
  path = tmp_path / 'head.npz'
  npz.write(path, readout_released.to_released(params))
  with pytest.raises(ValueError, match='give frames_shape='):
    weights.load_readout(path)
  assert weights.load_readout(path, frames_shape=(4, 16, 24))[0] == readout


def test_a_head_that_is_not_written_leaves_the_old_file(tmp_path, monkeypatch):
  readout, params = make('boxes')
  path = tmp_path / 'head.npz'
  path.write_bytes(b'old')

  def write(path, arrays, metadata):
    path.write_bytes(b'a part')
    raise OSError('The disk is full.')

  monkeypatch.setattr(npz, 'write', write)
  with pytest.raises(OSError, match='disk is full'):
    weights.save_readout(path, readout, params)
  assert path.read_bytes() == b'old'
  assert list(tmp_path.iterdir()) == [path]


def test_a_head_is_no_network(tmp_path):
  readout, params = make('boxes')
  path = tmp_path / 'head.npz'
  weights.save_readout(path, readout, params)
  for read in (weights.load, lambda path: transfer.read_file(path, {})):
    with pytest.raises(ValueError, match='load_readout reads the head'):
      read(path)
