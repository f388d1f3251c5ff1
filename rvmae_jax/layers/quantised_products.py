"""Dense layers with kernels of few bits, in networks that are not trained.

  small, params = quantise('int8', model, params, video, method='encode')
  features = small.apply({'params': params}, video, method='encode')

A kernel becomes whole numbers and a scale for each output channel. Biases,
norms, positions, the products within attention, a recurrent state and its gates
stay float32: rounding of a state would add up from frame to frame.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from rvmae_jax.layers.dense_products import dense_products
from rvmae_jax.registry import check_known

# What kernels and what the tokens that meet them become.
KINDS = {
  'int8': (jnp.int8, None),
  'int4': (jnp.int4, None),
  'dynamic_int8': (jnp.int8, jnp.int8),
}
# Layers of a recurrent core that see the state.
_GATES = ('input_gates', 'state_gates')


@dataclasses.dataclass(frozen=True)
class Quantised:
  """A network whose `apply` takes quantised kernels; else as it was.

  Attributes:
    model: the Flax module.
    token_type: what tokens are rounded to, each with a scale of its own, so
      that products are of whole numbers; None leaves them as they are.
  """

  model: nn.Module
  token_type: Any = None

  def apply(self, variables: Mapping[str, Any], *args: Any, **kwargs: Any):
    """See `nn.Module.apply`."""
    with dense_products(self._multiply):
      return self.model.apply(variables, *args, **kwargs)

  def __getattr__(self, name: str) -> Any:
    return getattr(self.model, name)

  def _multiply(
    self, layer: nn.Module, tokens: jax.Array, kernel: Any, num_summed: int
  ) -> jax.Array | None:
    del layer
    # Gates, and fresh parameters, have kernels as they were.
    if isinstance(kernel, jax.Array | np.ndarray):
      return None
    qwix = _qwix()
    first = tokens.ndim - num_summed
    axes = tuple(range(first, tokens.ndim)), tuple(range(num_summed))
    if self.token_type:
      tokens = qwix.quantize(
        tokens, self.token_type, channelwise_axes=range(first)
      )
    return qwix.dot_general(tokens, kernel, (axes, ((), ())))


def quantise(
  kind: str,
  model: nn.Module,
  params: Mapping[str, Any],
  *args: Any,
  method: str,
) -> tuple[Quantised, dict[str, Any]]:
  """A network and its parameters in fewer bits, for one of its methods.

  Args:
    kind: a key of `KINDS`: kernels of 8 or 4 bits, or 8 with tokens of 8 bits
      as well (`dynamic_int8`).
    model: without `scan_layers`.
    params: its parameters, float32.
    *args: what the method is called with, or shapes of it.
    method: of the network.

  Returns:
    The network, and parameters with quantised kernels where the method has
    products.

  Raises:
    ValueError: an unknown kind, or scanned layers.
    ImportError: names the extra to install.
  """
  check_known('quantisation', KINDS, kind)
  if getattr(getattr(model, 'backbone', model), 'scan_layers', False):
    raise ValueError(
      'Scanned layers share one kernel; take network and parameters of '
      'rvmae_jax.models.build_unrolled.'
    )
  kernel_type, token_type = KINDS[kind]
  num_summed = _products(model, params, args, method)
  qwix = _qwix()

  def small(path, leaf):
    layer = tuple(key.key for key in path[:-1])
    if path[-1].key != 'kernel' or layer not in num_summed:
      return leaf
    channels = range(num_summed[layer], leaf.ndim)
    return qwix.quantize(
      jnp.asarray(leaf), kernel_type, channelwise_axes=channels
    )

  params = jax.tree_util.tree_map_with_path(small, params)
  return Quantised(model, token_type), params


def pack_int4(values: jax.Array) -> jax.Array:
  """Whole numbers of 4 bits, two in a byte: any shape -> [bytes] uint8."""
  low = values.reshape(-1).astype(jnp.int8).astype(jnp.uint8) & 15
  low = jnp.pad(low, (0, low.size % 2)).reshape(-1, 2)
  return low[:, 0] | (low[:, 1] << 4)


def unpack_int4(packed: jax.Array, shape: tuple[int, ...]) -> jax.Array:
  """The inverse of `pack_int4`, as int8, by what any converter knows."""
  packed = packed.astype(jnp.float32)
  high = jnp.floor(packed / 16)
  values = jnp.stack([packed - 16 * high, high], axis=-1).reshape(-1)
  # The highest of the four bits is the sign.
  values = jnp.where(values > 7, values - 16, values).astype(jnp.int8)
  return values[: math.prod(shape)].reshape(shape)


def num_bytes(params: Mapping[str, Any]) -> int:
  """What parameters take, two values of 4 bits in a byte."""
  bits = {jnp.dtype(jnp.int4): 4}
  return sum(
    leaf.size * bits.get(leaf.dtype, 8 * leaf.dtype.itemsize) // 8
    for leaf in jax.tree.leaves(params)
  )


def _products(
  model: nn.Module, params: Mapping[str, Any], args: Any, method: str
) -> dict[tuple[str, ...], int]:
  """Path of each layer that is quantised -> axes that its kernel sums over."""
  found = {}

  def note(layer, tokens, kernel, num_summed):
    del tokens, kernel
    if layer.name not in _GATES:
      found[layer.path] = num_summed

  def apply(params, *args):
    return model.apply({'params': params}, *args, method=method)

  with dense_products(note):
    jax.eval_shape(apply, params, *args)
  return found


def _qwix() -> Any:
  try:
    import qwix
  except ImportError as error:
    raise ImportError(
      "Quantisation needs qwix: pip install 'rvmae_jax[quant]'."
    ) from error
  return qwix
