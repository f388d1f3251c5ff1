"""Propagation of labels from frame to frame, on the device.

Each place of a new frame takes its label from the few places most like it, in
the first frame and in those just before. Source: Jabri et al., "Space-time
correspondence as a contrastive random walk", 2020, and the evaluations that
followed it.
"""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rvmae_jax.evals.pooling import unit_length
from rvmae_jax.registry import check_counts


class Context(NamedTuple):
  """What labels are taken from: the first frame, then those just before.

  Attributes:
    features: [1 + n, N, D] L2-normalised; entries 1 to n are a ring.
    labels: [1 + n, N, C] soft labels.
    oldest: int32 scalar, the place in the ring that the next frame takes.
  """

  features: jax.Array
  labels: jax.Array
  oldest: jax.Array


@dataclasses.dataclass(frozen=True)
class Propagation:
  """The rule by which labels are handed on.

  Attributes:
    num_previous: n, frames of context beside the first.
    radius: in cells; places of earlier frames at this distance or farther do
      not count, those of the first frame always do.
    top_k: places that are taken over, of all frames together.
    temperature: of the softmax over their similarities.
    places_at_once: places of a frame that are compared at the same time; bounds
      the memory.
  """

  num_previous: int = 20
  radius: float = 20.0
  top_k: int = 7
  temperature: float = 0.7
  places_at_once: int = 64

  def __post_init__(self):
    check_counts(self, 'num_previous', 'top_k', 'places_at_once')
    for name in ('radius', 'temperature'):
      if getattr(self, name) <= 0:
        raise ValueError(f'{name}={getattr(self, name)} must be positive.')

  def start(self, features: jax.Array, labels: jax.Array) -> Context:
    """The context of the first frame, which stands in for those before it.

    Args:
      features: [N, D].
      labels: [N, C] soft labels.
    """

    def repeat(x):
      return jnp.broadcast_to(x, (1 + self.num_previous, *x.shape))

    return Context(
      repeat(unit_length(features)),
      repeat(jnp.asarray(labels, jnp.float32)),
      jnp.zeros((), jnp.int32),
    )

  def step(
    self, context: Context, features: jax.Array, grid: tuple[int, int]
  ) -> tuple[Context, jax.Array]:
    """Labels one frame.

    Args:
      context: of `start` or the frame before.
      features: [N, D] of this frame.
      grid: its rows and columns, N = rows * columns; static.

    Returns:
      The context of the next frame, and soft labels [N, C].
    """
    features = unit_length(features)
    rows, columns = (axis.ravel() for axis in jnp.indices(grid))
    top_k = min(self.top_k, context.labels[..., 0].size)

    def label(place):
      row, column, feature = place
      similarity = jnp.einsum(
        'fnd,d->fn',
        context.features,
        feature,
        precision=jax.lax.Precision.HIGHEST,
      )
      is_far = (rows - row) ** 2 + (columns - column) ** 2 >= self.radius**2
      similarity = jnp.where(
        is_far & (jnp.arange(len(similarity))[:, None] > 0),
        -jnp.inf,
        similarity / self.temperature,
      )
      similarity, places = jax.lax.top_k(similarity.ravel(), top_k)
      labels = context.labels.reshape(-1, context.labels.shape[-1])[places]
      return jax.nn.softmax(similarity) @ labels

    # [N, C]
    labels = jax.lax.map(
      label, (rows, columns, features), batch_size=self.places_at_once
    )
    at = 1 + context.oldest
    return Context(
      context.features.at[at].set(features),
      context.labels.at[at].set(labels),
      at % self.num_previous,
    ), labels


@functools.lru_cache(maxsize=32)
def compiled_step(
  propagation: Propagation,
  grid: tuple[int, int],
  num_features: int,
  num_labels: int,
) -> jax.stages.Compiled:
  """`Propagation.step` for one shape; a context that it is given is used up.

  Args:
    propagation: the rule.
    grid: rows and columns.
    num_features: D.
    num_labels: C.

  Returns:
    (context, features) -> (context, labels).
  """
  num_places = grid[0] * grid[1]

  def shape(*sizes):
    return jax.ShapeDtypeStruct(sizes, jnp.float32)

  context = jax.eval_shape(
    propagation.start,
    shape(num_places, num_features),
    shape(num_places, num_labels),
  )
  step = functools.partial(propagation.step, grid=grid)
  features = shape(num_places, num_features)
  return jax.jit(step, donate_argnums=0).lower(context, features).compile()
