import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvmae_jax.config_utils import load_config
from rvmae_jax.parts import build_parts
from rvmae_jax.training.layer_rates import rate_factors
from rvmae_jax.training.optimizer import make_optimizer

CONFIGS = pathlib.Path(__file__).parents[2] / 'configs'
ONE = jnp.ones((2, 3))
CLASSIFIER = {
  'backbone': {
    'patch_embedding': {'projection': {'kernel': ONE}},
    'cls_token': ONE,
    'positions': {'places': ONE},
    'encoder': {
      'blocks': {'block_00': {'kernel': ONE}, 'block_01': {'kernel': ONE}},
      'norm': {'scale': ONE},
    },
    'core': {'transformer': {'blocks': {'block_00': {'kernel': ONE}}}},
  },
  'head': {'kernel': ONE},
}


def test_factors_of_two_blocks_by_hand():
  below = 0.5**3
  assert rate_factors(CLASSIFIER, 0.5) == {
    'backbone': {
      'patch_embedding': {'projection': {'kernel': below}},
      'cls_token': below,
      'positions': {'places': below},
      'encoder': {
        'blocks': {'block_00': {'kernel': 0.25}, 'block_01': {'kernel': 0.5}},
        'norm': {'scale': 1},
      },
      'core': {'transformer': {'blocks': {'block_00': {'kernel': 1}}}},
    },
    'head': {'kernel': 1},
  }


def test_twelve_blocks_as_videomae_fine_tunes_them():
  blocks = {f'block_{i:02d}': {'bias': ONE} for i in range(12)}
  params = {'encoder': {'blocks': blocks}, 'patch_embedding': ONE}
  factors = rate_factors(params, 0.75)
  assert factors['patch_embedding'] == pytest.approx(0.0237573, rel=1e-5)
  rates = [block['bias'] for block in factors['encoder']['blocks'].values()]
  assert rates[0] == pytest.approx(0.0316764, rel=1e-5)
  assert rates[11] == 0.75


def test_scanned_blocks_have_a_factor_each():
  blocks = {'block': {'kernel': jnp.ones((3, 2, 2)), 'bias': jnp.ones((3, 2))}}
  factors = rate_factors({'encoder': {'blocks': blocks}}, 0.5)
  for name, shape in (('kernel', (3, 1, 1)), ('bias', (3, 1))):
    factor = factors['encoder']['blocks']['block'][name]
    assert factor.shape == shape
    np.testing.assert_array_equal(factor.ravel(), [0.125, 0.25, 0.5])


def test_a_step_moves_layers_by_their_factors():
  tx = make_optimizer(lambda step: 0.1, weight_decay=0.5, layer_decay=0.5)
  updates, _ = tx.update(CLASSIFIER, tx.init(CLASSIFIER), CLASSIFIER)
  # AdamW's first step is 0.1 * (1 + 0.5 * 1): decay is scaled as well.
  np.testing.assert_allclose(updates['head']['kernel'], -0.15, rtol=1e-4)
  blocks = updates['backbone']['encoder']['blocks']
  np.testing.assert_allclose(blocks['block_00']['kernel'], -0.0375, rtol=1e-4)


def test_frozen_parameters_stay_and_do_not_count_for_clipping():
  params = {
    'patch_embedding': {'kernel': jnp.ones(2)},
    'head': {'kernel': jnp.zeros(2)},
  }
  grads = {
    'patch_embedding': {'kernel': jnp.full(2, 1e6)},
    'head': {'kernel': jnp.array([0.3, 0.4])},
  }
  tx = make_optimizer(
    lambda step: 1.0,
    name='sgd',
    weight_decay=0.1,
    clip_norm=1.0,
    frozen=('patch_embedding',),
  )
  updates, _ = tx.update(grads, tx.init(params), params)
  np.testing.assert_array_equal(updates['patch_embedding']['kernel'], 0)
  np.testing.assert_allclose(updates['head']['kernel'], [-0.3, -0.4])


@pytest.mark.parametrize(
  ('params', 'options', 'message'),
  [
    (CLASSIFIER, {'layer_decay': 0.0}, 'layer_decay=0.0 must'),
    (CLASSIFIER, {'frozen': ('stem',)}, "names 'stem'"),
    ({'head': ONE}, {'layer_decay': 0.5}, 'set it to 1'),
  ],
)
def test_wrong_settings_are_answered(params, options, message):
  with pytest.raises(ValueError, match=message):
    rate_factors(params, **options)


@pytest.mark.parametrize('pretraining', ['videomae', 'rvm_pretrain'])
def test_parts_of_real_networks_have_their_rates(pretraining):
  """A part that nobody knows by name would learn at the full rate."""
  spec = f'{CONFIGS}/finetune.py:pretraining={pretraining},runlocal'
  found = {}
  for scan in (False, True):
    config = load_config(spec)
    with config.unlocked():
      config.model.scan_layers = scan
    found[scan] = rate_factors(build_parts(config).shapes.params, 0.5)
  plain, scanned = (found[s]['backbone'] for s in (False, True))
  blocks = plain['encoder']['blocks']
  count = len(blocks)
  below = set(jax.tree.leaves(plain['patch_embedding']))
  assert below == {0.5 ** (count + 1)}
  for i in range(count):
    rates = set(jax.tree.leaves(blocks[f'block_{i:02d}']))
    assert rates == {0.5 ** (count - i)}
  for leaf in jax.tree.leaves(scanned['encoder']['blocks']['block']):
    np.testing.assert_array_equal(
      np.ravel(leaf), 0.5 ** np.arange(count, 0, -1)
    )
  assert set(jax.tree.leaves(found[False]['head'])) == {1.0}
