"""What a training step has to read and write in a device's memory at least.

Counted from the traced program, so that it holds for every network and no
accelerator is needed. XLA's own figure (`bytes accessed`) counts the body of a
loop once, and what a program happens to do besides.
"""

import math
from typing import Any, NamedTuple

import jax

from rvmae_jax.benchmarks.program import walk
from rvmae_jax.parts import Parts


class StepTraffic(NamedTuple):
  """Bytes of one step, over all devices.

  Attributes:
    state: parameters are read in the forward and the backward pass, gradients
      written once and read once, parameters, optimizer state and running mean
      read and written by the update. With AdamW in float32 that is 40 bytes a
      parameter, however large the batch.
    activations: what dense layers read and write, once forward and twice
      backward, as their FLOPs are counted. All that lies between two of them
      (norms, activation functions, attention) is taken to be fused and free;
      per block these are the activations of arXiv 2205.05198, without those of
      dropout and of the logits.
  """

  state: int
  activations: int


def step_traffic(parts: Parts) -> StepTraffic:
  """The traffic of a step on a batch of `parts.spec`; traces, runs nothing."""
  state = parts.shapes
  forward = jax.make_jaxpr(parts.loss_fn)(
    state.params,
    parts.spec,
    jax.eval_shape(lambda: jax.random.key(0)),
    *parts.frozen,
  )
  dense = sum(
    times * (_num_bytes(equation.invars[0]) + _num_bytes(equation.outvars[0]))
    for equation, times in walk(forward)
    if _is_dense(equation)
  )
  return StepTraffic(
    state=6 * _tree_bytes(state.params)
    + 2 * _tree_bytes((state.opt_state, state.ema_params)),
    activations=3 * dense,
  )


def _is_dense(equation: Any) -> bool:
  """Whether it multiplies tokens by one matrix; attention has one for each."""
  if equation.primitive.name != 'dot_general':
    return False
  _, (batch_axes, _) = equation.params['dimension_numbers']
  return not batch_axes


def _num_bytes(variable: Any) -> int:
  aval = variable.aval
  return math.prod(aval.shape) * aval.dtype.itemsize


def _tree_bytes(tree: Any) -> int:
  return sum(
    math.prod(leaf.shape) * leaf.dtype.itemsize
    for leaf in jax.tree.leaves(tree)
  )
