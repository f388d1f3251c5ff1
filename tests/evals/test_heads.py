"""Heads: the attentive one against ordinary attention, many at once."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from rvmae_jax.evals.heads import (
  AttentiveHead,
  TrainedHeads,
  cross_entropy,
  hold_out,
  most_accurate,
  shuffled,
)


def test_a_head_that_diverged_is_not_chosen():
  labels = np.array([0, 1, 2])
  lost = np.full((3, 4), np.nan)
  # Right about one in three.
  wrong = np.eye(4)[[0, 2, 3]]
  assert most_accurate([(np.stack([lost, wrong]), labels)]) == (1, 1 / 3)


def test_attention_without_keys_and_values_is_attention():
  """The same parameters in Flax's own attention give the same logits."""
  rng = np.random.default_rng(0)
  tokens = rng.normal(size=(2, 3, 4, 6)).astype(np.float32)
  head = AttentiveHead(num_classes=5, width=8, num_heads=2)
  params = head.init(jax.random.key(0), tokens)['params']
  # Biases start at 0, where errors would hide.
  params = jax.tree.map(
    lambda leaf: np.float32(0.5 * rng.normal(size=leaf.shape)), params
  )

  shared = {
    name: {
      'kernel': params[name].reshape(6, 2, 4),
      'bias': np.zeros((2, 4), np.float32),
    }
    for name in ('key', 'value')
  }
  shared['value']['bias'] = params['value_bias'].reshape(2, 4)
  query = params['query_projection']
  shared['query'] = {
    'kernel': query['kernel'].reshape(8, 2, 4),
    'bias': query['bias'].reshape(2, 4),
  }
  out = params['attention_out']
  shared['out'] = {**out, 'kernel': out['kernel'].reshape(2, 4, 8)}
  attention = nn.MultiHeadDotProductAttention(
    num_heads=2, qkv_features=8, out_features=8
  )
  placed = tokens + params['temporal_position'][:, None]
  vector = attention.apply(
    {'params': shared},
    np.broadcast_to(params['query'], (2, 1, 8)),
    placed.reshape(2, 12, 6),
  )[:, 0]

  def dense(name, vector):
    return vector @ params[name]['kernel'] + params[name]['bias']

  norm = nn.LayerNorm(epsilon=1e-6)
  hidden = norm.apply({'params': params['mlp_norm']}, vector)
  vector += dense('mlp_out', nn.gelu(dense('mlp_in', hidden)))
  np.testing.assert_allclose(
    head.apply({'params': params}, tokens), dense('classes', vector), atol=1e-5
  )


def _many(rates, decays=(0.0,), optimizer='sgd'):
  """Two blobs that a linear head tells apart, and heads that learn them."""
  rng = np.random.default_rng(0)
  labels = np.arange(64) % 2
  features = np.float32(rng.normal(size=(64, 3)) + 3 * labels[:, None])
  heads = TrainedHeads(
    nn.Dense(2, kernel_init=nn.initializers.zeros),
    features,
    loss=cross_entropy,
    optimizer=optimizer,
    rates=rates,
    decays=decays,
    num_steps=20,
  )
  for _ in range(20):
    heads.train([features], [labels, np.ones(64, np.float32)])
  return heads, features, labels


@pytest.mark.parametrize('optimizer', ['adamw', 'sgd', 'lars'])
def test_heads_do_not_disturb_each_other(optimizer):
  many, features, _ = _many([0.0, 0.01, 0.1], optimizer=optimizer)
  alone, _, _ = _many([0.1], optimizer=optimizer)
  np.testing.assert_allclose(
    many[2](features), alone.answer(features)[0], atol=1e-6
  )
  # A head that does not learn stays where it began.
  np.testing.assert_array_equal(many[0](features), 0)


def test_a_head_keeps_no_other_alive():
  heads, features, _ = _many([0.1, 0.2, 0.3, 0.4, 0.5])
  head = heads[4]
  expected = heads.answer(features)[4]

  def num_live():
    return sum(x.shape == (5, 3, 2) for x in jax.live_arrays())

  assert num_live()
  del heads
  assert not num_live()
  np.testing.assert_allclose(head(features), expected, atol=1e-6)


def test_the_best_is_the_one_that_learned():
  heads, features, labels = _many([0.0, 0.1], [0.0, 0.5])
  number, accuracy = most_accurate([(heads.answer(features), labels)])
  assert heads.setting(number)['learning_rate'] == 0.1
  assert accuracy > 0.9


def test_rows_of_weight_0_teach_nothing():
  heads, features, labels = _many([0.1])
  before = heads.answer(features)
  same = TrainedHeads(
    nn.Dense(2, kernel_init=nn.initializers.zeros),
    features,
    loss=cross_entropy,
    optimizer='sgd',
    rates=[0.1],
    decays=[0.0],
    num_steps=20,
  )
  wrong = np.concatenate([labels, 1 - labels])
  weights = np.repeat(np.float32([1, 0]), 64)
  for _ in range(20):
    same.train([np.tile(features, (2, 1))], [wrong, weights])
  np.testing.assert_allclose(same.answer(features), before, atol=1e-5)


def test_an_unknown_optimizer_is_answered_with_near_ones():
  with pytest.raises(ValueError, match=r"'adam'.*'adamw'"):
    _many([0.1], optimizer='adam')


def test_held_out_rows_are_kept_out():
  rows, held_out = hold_out(10, 0.3, seed=0)
  assert len(held_out) == 3
  assert sorted([*rows, *held_out]) == list(range(10))
  for few, share in ((1, 0.1), (2, 0.8)):
    with pytest.raises(ValueError, match=f'held_out={share} of {few} training'):
      hold_out(few, share, seed=0)
  batches = list(shuffled(rows, 3, num_epochs=2, seed=0))
  # Seven rows make two whole batches an epoch.
  assert [len(batch) for batch in batches] == [3] * 4
  for epoch in (batches[:2], batches[2:]):
    seen = np.concatenate(epoch)
    assert len(set(seen)) == 6 and set(seen) <= set(rows)
