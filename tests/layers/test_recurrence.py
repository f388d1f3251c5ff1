import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvmae_jax.layers.recurrence import CORES, GatedTransformerCore


def run_core(gate_kernel):
  """One step with all gate kernels set to a constant times the identity."""
  core = GatedTransformerCore(1, 2, 16, 8)
  tokens = jax.random.normal(jax.random.key(0), (2, 5, 8))
  state = jax.random.normal(jax.random.key(1), (2, 5, 8))

  def step(module, state, tokens):
    return module(state, (tokens, module.project_input(tokens)))

  variables = core.init(jax.random.key(2), state, tokens, method=step)
  params = dict(variables['params'])
  for half in ('input_gates', 'state_gates'):
    params[half] = {'kernel': jnp.full((8, 2, 8), gate_kernel)}
  variables = {'params': params}
  return state, core.apply(variables, state, tokens, method=step)


def test_zero_gate_kernels_mix_state_and_candidate_in_halves():
  """u = r = sigmoid(0) = 1/2."""
  state, (new_state, (features, stats)) = run_core(0.0)
  np.testing.assert_allclose(stats['update_gate'], 0.5)
  np.testing.assert_allclose(stats['reset_gate'], 0.5)
  np.testing.assert_array_equal(stats['gate_saturation'], 0)
  np.testing.assert_array_equal(new_state, features)
  # The final norm of the candidate has unit scale: mean square 1 over D.
  candidate = 2 * new_state - state
  np.testing.assert_allclose((candidate**2).mean(-1), 1, rtol=1e-3)
  norm = np.linalg.norm(new_state, axis=-1).mean(-1)
  np.testing.assert_allclose(stats['state_norm'], norm, rtol=1e-5)


def test_biased_gates_start_by_keeping_the_state():
  """With kernels at zero, u = sigmoid(-1) and r = sigmoid(0)."""
  core = CORES['biased'](1, 2, 16, 8)
  tokens = jnp.ones((1, 3, 5, 8))
  params = core.init(jax.random.key(0), tokens, method='run')['params']
  kernel = jnp.zeros((8, 2, 8))
  params |= {
    'input_gates': {'kernel': kernel},
    'state_gates': {'kernel': kernel},
  }
  _, _, stats = core.apply({'params': params}, tokens, method='run')
  np.testing.assert_allclose(stats['update_gate'], 0.26894, rtol=1e-4)
  np.testing.assert_allclose(stats['reset_gate'], 0.5)


def test_large_kernels_saturate_the_gates():
  _, (_, (_, stats)) = run_core(1e3)
  np.testing.assert_allclose(stats['gate_saturation'], 1)


def runner(kind):
  """tokens [B, T, N, 8] -> features, state and the core's parameters."""
  core = CORES[kind](1, 2, 16, 8)
  run = jax.jit(functools.partial(core.init_with_output, method='run'))

  def run_kind(tokens):
    (features, state, _), variables = run(jax.random.key(0), tokens)
    return features, state, variables['params']

  return run_kind


@pytest.fixture
def tokens():
  return jax.random.normal(jax.random.key(1), (2, 4, 3, 8))


@pytest.mark.parametrize('kind', CORES)
def test_no_core_sees_later_frames(kind, tokens):
  run = runner(kind)
  before, state, _ = run(tokens)
  np.testing.assert_array_equal(state, before[:, -1])
  after, _, _ = run(tokens.at[:, 2:].multiply(-1))
  np.testing.assert_array_equal(before[:, :2], after[:, :2])
  # But earlier ones.
  after, _, _ = run(tokens.at[:, 0].multiply(-1))
  assert np.abs(before - after).max((0, 2, 3)).min() > 1e-5


def test_ungated_is_gated_less_the_gates(tokens):
  _, _, gated = runner('gated')(tokens)
  features, _, ungated = runner('ungated')(tokens)
  del gated['input_gates'], gated['state_gates']
  assert jax.tree.map(jnp.shape, gated) == jax.tree.map(jnp.shape, ungated)
  # The candidate alone: the final norm leaves mean square 1 over D.
  np.testing.assert_allclose((features**2).mean(-1), 1, rtol=1e-3)
