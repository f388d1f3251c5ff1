"""Counting what a program does, against counts by hand."""

import jax
import jax.numpy as jnp
import pytest

from rvmae_jax.benchmarks.program import (
  count,
  exponentials,
  padded_flops,
)


def _count(function, *shapes):
  shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
  return count(jax.make_jaxpr(function)(*shapes))


def test_a_matrix_product_in_a_batch():
  # 5 products of 2x3 and 3x4: 5 * 2 * 3 * 4 multiply-adds.
  counts = _count(jnp.matmul, (5, 2, 3), (5, 3, 4))
  assert counts.flops == 2 * 5 * 2 * 3 * 4
  assert counts.matmuls == 1


def test_a_convolution():
  def patches(video, kernel):
    return jax.lax.conv_general_dilated(
      video, kernel, (4, 4), 'VALID', dimension_numbers=('NHWC', 'HWIO', 'NHWC')
    )

  # 2 frames of 3x3 patches to 7 features, each of 4*4*3 pixels.
  counts = _count(patches, (2, 12, 12, 3), (4, 4, 3, 7))
  assert counts.flops == 2 * 2 * 9 * 7 * 48


def test_loops_count_as_often_as_they_run():
  def rollout(state, weights):
    def step(state, _):
      return jax.jit(jnp.matmul)(state, weights), None

    return jax.lax.scan(step, state, length=10)[0]

  counts = _count(rollout, (2, 3), (3, 3))
  assert counts.flops == 10 * 2 * 2 * 3 * 3
  assert (counts.matmuls, counts.operations, counts.loops) == (1, 1, 1)


def test_what_remat_computes_again_is_counted():
  def loss(weights, inputs):
    return jnp.sin(jnp.sin(inputs @ weights) @ weights).sum()

  plain, again = (
    _count(jax.grad(function), (4, 4), (4, 4))
    for function in (loss, jax.checkpoint(loss))
  )
  product = 2 * 4**3
  # Forward two; backward two for the weights and one for what is between.
  assert plain.flops == 5 * product
  assert again.flops == plain.flops + 2 * product


@pytest.mark.parametrize(
  ('spec', 'left', 'right', 'flops'),
  [
    # Heads of 32 fill an eighth of 256 rows, 1028 keys take five tiles.
    ('bqd,bkd->bqk', (3, 1028, 32), (3, 1028, 32), 3 * 256 * 1032 * 1280),
    # The other way round: few columns, of which a tile takes 256.
    ('qk,kd->qd', (1028, 1028), (1028, 32), 1280 * 1032 * 256),
    # Eight products of 32 x 32 share a tile; 16 need two.
    ('bqd,bdk->bqk', (16, 512, 32), (16, 32, 32), 2 * 512 * 256 * 256),
    # To load them takes longer than 20 rows that are streamed past them.
    ('bqd,bdk->bqk', (16, 20, 32), (16, 32, 20), 2 * 256 * 256 * 256),
    # What fits wastes nothing.
    ('nd,dw->nw', (4096, 512), (512, 1024), 4096 * 512 * 1024),
  ],
)
def test_products_count_with_what_widths_leave_empty(spec, left, right, flops):
  program = jax.make_jaxpr(lambda x, y: jnp.einsum(spec, x, y))(
    jnp.zeros(left), jnp.zeros(right)
  )
  assert padded_flops(program, 256) == 2 * flops


def test_exponentials_count_as_often_as_they_are_taken():
  def steps(logits):
    return jax.lax.scan(
      lambda total, row: (total + jax.nn.softmax(row), None), logits[0], logits
    )[0]

  program = jax.make_jaxpr(steps)(jnp.zeros((3, 4, 5)))
  assert exponentials(program) == 60
