"""Building networks of named sizes."""

import numbers
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from rvmae_jax.layers.attention import Heads
from rvmae_jax.registry import check_known

DTYPES = ('bfloat16', 'float16', 'float32')


def size(
  width: int, decoder_width: int, **stacks: tuple[int, int, int]
) -> dict[str, int]:
  """Fields of a size; a stack is its blocks, heads and hidden width (MLP)."""
  return {'width': width, 'decoder_width': decoder_width} | {
    f'{stack}_{name}': number
    for stack, numbers_of in stacks.items()
    for name, number in zip(('blocks', 'heads', 'mlp_dim'), numbers_of)
  }


def builder(
  network: type[nn.Module],
  variants: Mapping[str, Mapping[str, Any]],
  usual: str,
) -> Callable[..., nn.Module]:
  """What builds a network of a named size, `usual` unless another is named."""

  def build(*, variant: str = usual, **fields: Any) -> nn.Module:
    """The network; `fields` override the size's or add options.

    Raises:
      ValueError: an unknown variant or field; near names are shown.
    """
    kind = network.__name__
    check_known(f'{kind} variant', variants, variant)
    types = {
      field: known.type
      for field, known in network.__dataclass_fields__.items()
      if field not in ('parent', 'name')
    }
    check_known(f'{kind} field', types, *fields)
    fields = {**variants[variant], **fields}
    for field, value in fields.items():
      _check_field(kind, field, value, types[field])
    if 'dtype' in fields:
      if isinstance(fields['dtype'], str):
        check_known(f'{kind} dtype', DTYPES, fields['dtype'])
      fields['dtype'] = jnp.dtype(fields['dtype'])
    return network(**fields)

  return build


# A larger number is a typing error; such a network would take days to build.
_MOST_BLOCKS = 1000
_TYPES = {
  int: numbers.Integral,
  float: numbers.Real,
  str: str,
  bool: bool,
}


def _check_field(kind: str, field: str, value: Any, wanted: Any) -> None:
  """ValueError unless a field is of the type that the network declares."""
  if wanted is Heads:
    is_pair = isinstance(value, list | tuple) and len(value) == 2
    for part in value if is_pair else (value,):
      _check_field(kind, field, part, int)
  if wanted not in _TYPES:
    return
  is_bool = isinstance(value, bool)
  if not isinstance(value, _TYPES[wanted]) or is_bool != (wanted is bool):
    raise ValueError(
      f'{kind}: {field}={value!r:.80} is not of type {wanted.__name__}.'
    )
  if wanted is int and not 0 <= value < 2**31:
    raise ValueError(f'{kind}: {field}={value!r:.80} is negative or too large.')
  if field.endswith('_blocks') and value > _MOST_BLOCKS:
    raise ValueError(f'{kind}: {field}={value}; {_MOST_BLOCKS} at most.')
