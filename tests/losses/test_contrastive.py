import jax.numpy as jnp
import numpy as np

from rvmae_jax.losses.contrastive import (
  cosine_similarities,
  info_nce,
  unit_length,
)


def test_info_nce_by_hand():
  # Cosines with the keys: (1, 0) and (0.6, 0.8). At temperature 0.5 logits are
  # (2, 0) and (1.2, 1.6); each loss is log(sum of exp) minus the own logit.
  query = jnp.array([[2.0, 0.0], [3.0, 4.0]])
  key = jnp.array([[5.0, 0.0], [0.0, 0.1]])
  want = [np.log(1 + np.exp(-2)), np.log(1 + np.exp(-0.4))]
  np.testing.assert_allclose(info_nce(query, key, 0.5), want, rtol=1e-5)


def test_equal_keys_leave_a_guess():
  loss = info_nce(jnp.ones((8, 4)), jnp.ones((8, 4)))
  np.testing.assert_allclose(loss, 2 * 0.2 * np.log(8), rtol=1e-5)


def test_a_vector_of_zeros_stays_finite():
  assert float(jnp.abs(unit_length(jnp.zeros(3))).max()) == 0
  assert cosine_similarities(jnp.zeros((1, 3)), jnp.ones((1, 3))) == 0
