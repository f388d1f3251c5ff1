"""Dense layers that multiply bfloat16 and do all else in float32, on CPUs.

Many CPUs have instructions for products of bfloat16 that are summed in float32.
XLA takes them where it is asked for float32 sums; else it first turns the
factors into float32, whole kernels each time, and rounds after every operation
between products. For networks that are not trained any more:

  model, params = model.clone(dtype=jnp.float32), bfloat16_kernels(params)
  with bfloat16_products():
    features = model.apply({'params': params}, video, method='encode')

gives what a bfloat16 network gives, nearer to float32 and in less time.
"""

import contextlib
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from rvmae_jax.layers.dense_products import dense_products


def bfloat16_kernels(params: Mapping[str, Any]) -> Mapping[str, Any]:
  """The same parameters with the kernels of dense layers in bfloat16."""

  def round_kernel(path, leaf):
    is_kernel = path[-1] == jax.tree_util.DictKey('kernel')
    return leaf.astype(jnp.bfloat16) if is_kernel else leaf

  return jax.tree_util.tree_map_with_path(round_kernel, params)


def bfloat16_products() -> contextlib.AbstractContextManager[None]:
  """Where dense layers take bfloat16 factors and give float32.

  Attention keeps the network's dtype: float32 logits are asked for anyway.
  """
  return dense_products(_multiply)


def _multiply(
  layer: nn.Module, tokens: jax.Array, kernel: jax.Array, num_summed: int
) -> jax.Array:
  del layer
  return jnp.tensordot(
    tokens.astype(jnp.bfloat16),
    kernel.astype(jnp.bfloat16),
    axes=num_summed,
    preferred_element_type=jnp.float32,
  )
