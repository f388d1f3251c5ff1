"""Dense layers that multiply in another way than they were built to."""

import functools
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import flax.linen as nn
import jax
import numpy as np

# (layer, tokens, kernel, number of summed axes) -> outputs. The sum is over the
# last axes of the tokens and the first axes of the kernel. If it returns None,
# the layer computes its outputs as usual.
Multiply = Callable[[nn.Module, jax.Array, Any, int], jax.Array | None]


def dense_products(multiply: Multiply) -> AbstractContextManager[None]:
  """A context in which dense layers multiply by `multiply`, then add biases."""
  return nn.intercept_methods(functools.partial(_intercept, multiply))


def _intercept(
  multiply: Multiply,
  call: Callable[..., Any],
  args: tuple[Any, ...],
  kwargs: Mapping[str, Any],
  context: nn.module.InterceptorContext,
) -> Any:
  layer = context.module
  is_dense = isinstance(layer, nn.Dense | nn.DenseGeneral)
  if not is_dense or context.method_name != '__call__':
    return call(*args, **kwargs)
  (tokens,) = args
  params = layer.variables['params']
  kernel = params['kernel']
  num_summed = kernel.ndim - np.size(layer.features)
  outputs = multiply(layer, tokens, kernel, num_summed)
  if outputs is None:
    return call(*args, **kwargs)
  if layer.use_bias:
    outputs += params['bias']
  return outputs.astype(layer.dtype or outputs.dtype)
