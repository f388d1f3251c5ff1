"""Dense layers that multiply in another way than they were built to."""

import functools
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import flax.linen as nn
import jax
import numpy as np

# Of a layer, its tokens, its kernel, and how many axes of each are summed over:
# the last ones of the tokens, the first ones of the kernel. None leaves the
# layer as it is.
Multiply = Callable[[nn.Module, jax.Array, Any, int], jax.Array | None]


def dense_products(multiply: Multiply) -> AbstractContextManager[None]:
  """Where dense layers take their products from `multiply`, and add biases."""
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
