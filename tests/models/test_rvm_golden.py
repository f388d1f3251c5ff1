"""RVM against values of independent implementations."""

import pathlib

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvmae_jax.interop import rvm_released
from rvmae_jax.layers.patches import patchify, unpatchify
from rvmae_jax.models import build_model
from tests.golden import packed

# A file in this tree, and those that may lie beside it.
OWN = pathlib.Path(__file__).parents[1] / 'golden' / 'rvm.npz'
CASES = (OWN.stem, 'tiny_64x64', 'tiny_48x96', 'tiny_patch8_128x128')
# Fused and reordered sums differ in the last bits of float32 only.
RELATIVE = 1e-4


def relative_error(ours, golden) -> float:
  return float(np.abs(np.asarray(ours) - golden).max() / np.abs(golden).max())


class Golden:
  """One golden file, with our model and parameters made from it."""

  def __init__(self, path, **fields):
    self.arrays = packed.read(path)
    released = self.group('params')
    self.model = build_model(
      {
        'name': 'rvm',
        'variant': 'tiny',
        **rvm_released.model_fields(released),
        **fields,
      }
    )
    mask = self.arrays['in/mask']
    num_visible = int((mask == 0).sum(-1).flat[0])
    self.batch = {
      'video': self.arrays['in/source'],
      'target': self.arrays['in/target'],
      'target_delta': self.arrays['in/target_delta'],
      'ids_keep': np.argsort(mask, axis=-1, kind='stable')[..., :num_visible],
    }
    template = jax.eval_shape(self.model.init, jax.random.key(0), self.batch)
    self.template = template['params']
    self.params = rvm_released.from_released(released, self.template)

  def group(self, prefix):
    prefix += '/'
    return {
      k[len(prefix) :]: v
      for k, v in self.arrays.items()
      if k.startswith(prefix)
    }

  def loss(self, params):
    pred = self.model.apply({'params': params}, self.batch)['pred']
    target = patchify(jnp.asarray(self.batch['target']), self.model.patch_size)
    return jnp.mean((pred - target) ** 2)


@pytest.fixture(scope='module', params=CASES)
def golden(request):
  if request.param == OWN.stem:
    return Golden(OWN)
  shared_dir = request.getfixturevalue('shared_dir')
  return Golden(shared_dir / 'golden' / 'rvm' / f'{request.param}.npz')


def test_forward(golden):
  out = jax.jit(golden.model.apply)({'params': golden.params}, golden.batch)
  want = golden.group('out')
  height, width = golden.batch['video'].shape[2:4]
  p = golden.model.patch_size
  rebuilt = unpatchify(out['pred'], p, (height // p, width // p))
  assert relative_error(out['features'], want['features']) < RELATIVE
  assert relative_error(out['state'], want['state']) < RELATIVE
  assert relative_error(rebuilt, want['reconstructed']) < RELATIVE


def test_encode_gives_the_same_features(golden):
  features = golden.model.apply(
    {'params': golden.params}, golden.batch['video'], method='encode'
  )
  want = golden.group('out')['features']
  assert relative_error(features, want) < RELATIVE


def test_streaming(golden):
  video = golden.batch['video'][:1]
  variables = {'params': golden.params}
  state = golden.model.apply(
    variables, 1, *video.shape[2:4], method='init_state'
  )
  step = jax.jit(
    lambda state, frame: golden.model.apply(
      variables, state, frame, method='step'
    )
  )
  want = golden.group('out')['stream_features']
  for t in range(video.shape[1]):
    state, features = step(state, video[:, t])
    assert relative_error(features[0], want[t]) < RELATIVE


def test_loss_and_gradients(golden):
  loss, gradients = jax.jit(jax.value_and_grad(golden.loss))(golden.params)
  want = float(golden.arrays['out/loss_all_pixels_l2'])
  assert abs(float(loss) - want) / want < RELATIVE
  ours = rvm_released.to_released(gradients)
  for name, gradient in golden.group('grad').items():
    assert relative_error(ours[name], gradient) < RELATIVE, name


@pytest.mark.parametrize(
  'fields',
  [
    {'scan_layers': True},
    {'remat': 'attention', 'core_remat': 'attention'},
    {'remat': 'dots', 'scan_layers': True},
    {'core_remat': 'none'},
    {'time_unroll': 3},
  ],
  ids=str,
)
def test_options_change_nothing(fields):
  """Scanned layers, rematerialisation and unrolled time: same loss, grads."""
  from rvmae_jax.layers.transformer import stack_blocks, unstack_blocks

  golden = Golden(OWN)
  golden.model = golden.model.clone(**fields)
  params = golden.params
  if fields.get('scan_layers'):
    params = stack_blocks(params)
  loss, gradients = jax.jit(jax.value_and_grad(golden.loss))(params)
  want = float(golden.arrays['out/loss_all_pixels_l2'])
  assert abs(float(loss) - want) / want < RELATIVE
  ours = rvm_released.to_released(unstack_blocks(gradients))
  for name, gradient in golden.group('grad').items():
    assert relative_error(ours[name], gradient) < RELATIVE, name


def test_round_trip_is_exact(golden):
  again = rvm_released.to_released(golden.params)
  released = golden.group('params')
  assert again.keys() == released.keys()
  for name, array in released.items():
    np.testing.assert_array_equal(again[name], array)
  flat = flax.traverse_util.flatten_dict(golden.params, sep='/')
  shapes = flax.traverse_util.flatten_dict(golden.template, sep='/')
  assert {k: v.shape for k, v in flat.items()} == {
    k: v.shape for k, v in shapes.items()
  }
