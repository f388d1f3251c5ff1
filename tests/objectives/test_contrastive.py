import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rvmae_jax.objectives.contrastive import Contrastive


def run(params, ema_params):
  """Vectors themselves are the parameters, of the queries and of the keys."""

  def apply(params, batch, **_):
    return {'prediction': params, 'projection': params}

  objective = Contrastive({'info_nce': 3.0}, temperature=0.5)
  return objective(
    apply,
    params,
    {},
    rng=jax.random.key(0),
    train=True,
    ema_params=ema_params,
  )


# [2 clips, 2 views, 2]
X, Y = [1.0, 0.0], [0.0, 1.0]
QUERIES = jnp.array([[X, X], [Y, Y]])


def test_views_ask_for_each_other_by_hand():
  # Query 1 finds its clip's second key; query 2 finds the other clip's first.
  keys = jnp.array([[Y, X], [X, Y]])
  loss, metrics = run(QUERIES, keys)
  # Logits (2, 0), the right one first or last, for both rows of each way.
  want = np.log(1 + np.exp(-2)) + np.log(1 + np.exp(2))
  assert metrics['info_nce'] == pytest.approx(want, rel=1e-5)
  assert loss == pytest.approx(3 * want, rel=1e-5)
  assert metrics['accuracy'] == 0.5


def test_spread_tells_collapse():
  same = jnp.broadcast_to(jnp.array(X), (2, 2, 2))
  assert run(QUERIES, same)[1]['spread'] == 0
  # Entries 0 and 1 deviate by 1/2 from their mean: sqrt(2) / 2.
  spread = run(QUERIES, QUERIES)[1]['spread']
  assert spread == pytest.approx(2**-0.5, rel=1e-6)


def test_no_gradient_flows_into_the_momentum_encoder():
  keys = jax.random.normal(jax.random.key(0), (2, 2, 2))
  gradient, ema_gradient = jax.grad(
    lambda *params: run(*params)[0], argnums=(0, 1)
  )(QUERIES, keys)
  assert float(jnp.abs(gradient).max()) > 0.1
  assert float(jnp.abs(ema_gradient).max()) == 0


@pytest.mark.parametrize('losses', [{}, {'pixel_l2': 1.0}])
def test_losses_that_train_nothing_are_refused(losses):
  with pytest.raises(ValueError, match=r'; this objective takes info_nce\.'):
    Contrastive(losses)


def test_a_temperature_of_zero_is_refused():
  with pytest.raises(ValueError, match='temperature=0'):
    Contrastive({'info_nce': 1.0}, temperature=0)
