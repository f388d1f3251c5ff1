"""Building networks of named sizes."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from rvmae_jax.registry import check_known, near_names


def build_variant(
  network: type[nn.Module],
  variants: Mapping[str, Mapping[str, Any]],
  variant: str,
  fields: Mapping[str, Any],
) -> nn.Module:
  """A network of a named size; `fields` override the size's or add options.

  Raises:
    ValueError: an unknown variant or field; near names are shown.
  """
  kind = network.__name__
  check_known(f'{kind} variant', variants, variant)
  known = set(network.__dataclass_fields__) - {'parent', 'name'}
  for field in fields:
    if field not in known:
      raise ValueError(
        f'{kind} has no field {field!r}. {near_names(field, known)}'
      )
  fields = {**variants[variant], **fields}
  if 'dtype' in fields:
    fields['dtype'] = jnp.dtype(fields['dtype'])
  return network(**fields)
