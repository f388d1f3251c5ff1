"""Heads on frozen features: many of them trained at once on the same rows."""

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.traverse_util import flatten_dict, unflatten_dict

from rvmae_jax.metrics.classification import top_k_accuracy
from rvmae_jax.registry import check_known

# How a head learns, given its learning rate (a schedule) and weight decay.
OPTIMIZERS = {
  'adamw': lambda rate, decay: optax.adamw(rate, weight_decay=decay),
  'clipped_adamw': lambda rate, decay: optax.chain(
    optax.clip_by_global_norm(1.0), optax.adamw(rate, weight_decay=decay)
  ),
  'sgd': lambda rate, decay: optax.chain(
    optax.add_decayed_weights(decay), optax.sgd(rate, momentum=0.9)
  ),
  'lars': lambda rate, decay: optax.lars(rate, weight_decay=decay),
}


class AttentiveHead(nn.Module):
  """One learned query looks at all tokens of a clip; an MLP; the classes.

  Keys and values are never made. With a single query q, the score of a token
  is (token W_k) q = token (W_k q), and the weighted mean of values is that of
  tokens, times W_v: equal numbers, at a cost that does not grow with the width
  of keys. Their biases do nothing (keys) or are added once (values). Tokens
  come normalised, without a scale and bias of that norm, which W_k, W_v and
  the temporal position would only repeat.

  Attributes:
    num_classes: logits.
    width: of queries, keys and values.
    num_heads: of the attention; divides `width`.
  """

  num_classes: int
  width: int
  num_heads: int

  @nn.compact
  def __call__(self, tokens: jax.Array) -> jax.Array:
    """[B, T, N, D] -> [B, classes]."""
    _, num_frames, _, depth = tokens.shape
    heads, head_width = self.num_heads, self.width // self.num_heads
    small, even = nn.initializers.normal(0.02), nn.initializers.xavier_uniform()
    query = self.param('query', small, (self.width,))
    position = self.param('temporal_position', small, (num_frames, depth))
    key = self.param('key', even, (depth, self.width))
    value = self.param('value', even, (depth, self.width))
    value_bias = self.param('value_bias', nn.initializers.zeros, (self.width,))
    query = nn.Dense(self.width, kernel_init=even, name='query_projection')(
      query
    )
    # [D, heads, d] * [heads, d] -> [D, heads]
    key = key.reshape(depth, heads, head_width)
    looked_for = jnp.einsum('Dhd,hd->Dh', key, query.reshape(heads, -1))
    looked_for /= jnp.sqrt(head_width)

    scores = jnp.einsum('BTND,Dh->BhTN', tokens, looked_for)
    scores += (position @ looked_for).T[:, :, None]
    weights = jax.nn.softmax(scores, axis=(2, 3))
    seen = jnp.einsum('BhTN,BTND->BhD', weights, tokens)
    seen += jnp.einsum('BhT,TD->BhD', weights.sum(3), position)

    value = value.reshape(depth, heads, head_width)
    vector = jnp.einsum('BhD,Dhd->Bhd', seen, value)
    # [B, heads, d] -> [B, heads*d]
    vector = vector.reshape(len(vector), self.width) + value_bias
    dense = functools.partial(nn.Dense, kernel_init=even)
    vector = dense(self.width, name='attention_out')(vector)
    hidden = nn.LayerNorm(epsilon=1e-6, name='mlp_norm')(vector)
    hidden = nn.gelu(dense(4 * self.width, name='mlp_in')(hidden))
    vector += dense(self.width, name='mlp_out')(hidden)
    return nn.Dense(self.num_classes, name='classes')(vector)


class TrainedHeads:
  """One head for each learning rate and weight decay, trained side by side.

  All start from the same parameters and see the same rows, so that a frozen
  network is asked once for all of them. The rate rises in a line, and falls to
  0 along a cosine.

  Args:
    head: a module.
    inputs: what it takes, each [B, ...]; any rows, for their shape.
    loss: of its outputs and of the truth that `train` is given; a scalar. A
      function of a module, so that it is compiled once.
    optimizer: one of `OPTIMIZERS`.
    rates: learning rates.
    decays: weight decays; every rate is combined with each.
    num_steps: of training.
    num_warmup: of these, while the rate rises.
    start: nested parameters to start from; those missing are drawn, and those
      that the head does not have are left.
    shares: (name, share) of modules of the head that learn at a share of the
      rate, weight decay included.
    seed: of the parameters.

  Raises:
    ValueError: an unknown optimizer.
  """

  def __init__(
    self,
    head: nn.Module,
    *inputs: np.ndarray,
    loss: Callable[..., jax.Array],
    optimizer: str,
    rates: Sequence[float],
    decays: Sequence[float],
    num_steps: int,
    num_warmup: int = 0,
    start: Mapping[str, Any] | None = None,
    shares: Sequence[tuple[str, float]] = (),
    seed: int = 0,
  ):
    check_known('optimizer', OPTIMIZERS, optimizer)
    self._settings = list(itertools.product(rates, decays))
    self._rates, self._decays = (
      np.array(column, np.float32) for column in zip(*self._settings)
    )
    self._method = _Method(
      head, loss, optimizer, num_steps, num_warmup, tuple(shares)
    )
    key, inputs = jax.random.key(seed), [rows[:1] for rows in inputs]
    self._state = _start(
      self._method, self._rates, self._decays, key, inputs, start or {}
    )

  def __len__(self) -> int:
    return len(self._settings)

  def train(
    self, inputs: Sequence[np.ndarray], truth: Sequence[Any]
  ) -> jax.Array:
    """A step of all heads on some rows; their losses before it, [heads].

    Args:
      inputs: of the head, each [B, ...].
      truth: that the loss takes beside the head's outputs.
    """
    self._state, losses = _update(
      self._method, self._rates, self._decays, self._state, inputs, truth
    )
    return losses

  def answer(self, *inputs: np.ndarray) -> Any:
    """What all heads put out, [heads, B, ...]."""
    return _answer(self._method.head, self._state.params, inputs)

  def __getitem__(self, number: int) -> Callable[..., Any]:
    """One head as a function of its inputs; it holds no other head's arrays."""
    head = self._method.head
    params = jax.tree.map(lambda x: x[number : number + 1], self._state.params)
    return lambda *inputs: jax.tree.map(
      lambda x: x[0], _answer(head, params, inputs)
    )

  def parameters(self, number: int) -> Any:
    """Parameters of one head, as NumPy arrays."""
    return jax.tree.map(
      lambda leaf: np.asarray(leaf[number]), self._state.params
    )

  def setting(self, number: int) -> dict[str, float]:
    """`learning_rate` and `weight_decay` of one head."""
    return dict(zip(('learning_rate', 'weight_decay'), self._settings[number]))


def cross_entropy(
  logits: jax.Array, labels: jax.Array, weights: jax.Array
) -> jax.Array:
  """Of heads that classify: logits [B, classes], labels [B], weights [B]."""
  losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
  return (losses * weights).sum() / jnp.maximum(weights.sum(), 1)


def most_accurate(
  answers: Iterable[tuple[np.ndarray, np.ndarray]],
) -> tuple[int, float]:
  """The head most accurate on rows it did not learn from, and its accuracy.

  Args:
    answers: logits [heads, B, classes] for some rows, and their labels [B].

  Raises:
    ValueError: there are no rows.
  """
  logits, labels = zip(*answers)
  probabilities = np.asarray(jax.nn.softmax(np.concatenate(logits, axis=1)))
  labels = np.concatenate(labels)
  if not len(labels):
    raise ValueError(
      'None of the held-out training videos, by which heads are chosen, has a '
      'label and can be read. Hold out more of them (held_out), or label or '
      'repair those.'
    )
  accuracies = [top_k_accuracy(head, labels) for head in probabilities]
  number = int(np.argmax(accuracies))
  return number, accuracies[number]


class _State(NamedTuple):
  """Parameters and the optimizer's moments, all with the heads first."""

  params: Any
  moments: Any


class _Method(NamedTuple):
  """What learns, and how; see `TrainedHeads`."""

  head: nn.Module
  loss: Callable[..., jax.Array]
  optimizer: str
  num_steps: int
  num_warmup: int
  shares: tuple[tuple[str, float], ...]

  def transform(
    self, rate: jax.Array, decay: jax.Array
  ) -> optax.GradientTransformation:
    """Of gradients to updates."""
    schedule = optax.warmup_cosine_decay_schedule(
      0.0 if self.num_warmup else 1.0, 1.0, self.num_warmup, self.num_steps
    )
    # A share of the rate is a share of the update.
    return optax.chain(
      OPTIMIZERS[self.optimizer](lambda count: rate * schedule(count), decay),
      *(
        optax.masked(
          optax.scale(share),
          lambda params, name=name: {key: key == name for key in params},
        )
        for name, share in self.shares
      ),
    )


# Compiled once for each method, however many networks are probed.
@functools.partial(jax.jit, static_argnums=0)
def _start(method, rates, decays, key, inputs, known):
  """The heads before training; all have the same parameters."""
  drawn = flatten_dict(method.head.init(key, *inputs)['params'])
  known = flatten_dict(known)
  params = unflatten_dict({k: known.get(k, drawn[k]) for k in drawn})

  def start(rate, decay):
    return _State(params, method.transform(rate, decay).init(params))

  return jax.vmap(start)(rates, decays)


@functools.partial(jax.jit, static_argnums=0, donate_argnums=3)
def _update(method, rates, decays, state, inputs, truth):
  """A step of each head by its own rate and decay, on the same rows; losses."""

  def loss_of(params):
    return method.loss(method.head.apply({'params': params}, *inputs), *truth)

  def update(state, rate, decay):
    loss, gradient = jax.value_and_grad(loss_of)(state.params)
    updates, moments = method.transform(rate, decay).update(
      gradient, state.moments, state.params
    )
    params = optax.apply_updates(state.params, updates)
    return _State(params, moments), loss

  return jax.vmap(update)(state, rates, decays)


@functools.partial(jax.jit, static_argnums=0)
def _answer(head, params, inputs):
  """Outputs with the heads first."""
  return jax.vmap(lambda params: head.apply({'params': params}, *inputs))(
    params
  )


def hold_out(
  num_rows: int, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
  """Rows to learn from and rows to choose by, drawn at random.

  Raises:
    ValueError: there is not at least one of each.
  """
  order = np.random.default_rng(seed).permutation(num_rows)
  num_held_out = max(round(share * num_rows), 1)
  if num_held_out >= num_rows:
    raise ValueError(
      f'held_out={share} of {num_rows} training videos leaves none to learn '
      'from.'
    )
  return order[num_held_out:], order[:num_held_out]


def shuffled(
  rows: np.ndarray, batch_size: int, num_epochs: int, seed: int
) -> Iterator[np.ndarray]:
  """Whole batches of rows, in another order every epoch."""
  rng = np.random.default_rng(seed)
  for _ in range(num_epochs):
    order = rng.permutation(rows)
    for start in range(0, len(order) - batch_size + 1, batch_size):
      yield order[start : start + batch_size]
