"""Learning rates that differ from layer to layer, and frozen parameters."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax


def scale_by_layer(
  layer_decay: float = 1.0, frozen: Sequence[str] = ()
) -> optax.GradientTransformation:
  """Multiplies each update, weight decay included, by `rate_factors`."""

  def update(updates, params=None):
    del params
    factors = rate_factors(updates, layer_decay, frozen)
    return jax.tree.map(jnp.multiply, updates, factors)

  return optax.stateless(update)


def rate_factors(
  params: Any, layer_decay: float = 1.0, frozen: Sequence[str] = ()
) -> Any:
  """The share of the learning rate that each array of a network gets.

  With d the decay and an encoder of n blocks: what comes after the blocks (a
  norm, a recurrent core, the head) gets 1, block i (from 0) d^(n - i), and what
  comes before (patch embedding, CLS token, positions) d^(n + 1). Numbers are
  read off the paths: `encoder/blocks/block_03/..`, or the leading axis of
  scanned blocks. Source: BEiT (arXiv 2106.08254), as VideoMAE fine-tunes.

  Args:
    params: nested dict of arrays, or of anything with a `shape`.
    layer_decay: d, above 0 and at most 1; 1 gives all the same.
    frozen: names of modules, anywhere in a path, that get 0.

  Returns:
    The same tree of numbers, or of arrays [n, 1, ..] for scanned blocks.

  Raises:
    ValueError: the network has no encoder blocks to count, no module of a name
      in `frozen`, or the decay is out of range.
  """
  if not 0 < layer_decay <= 1:
    raise ValueError(
      f'config.optimizer.layer_decay={layer_decay} must be above 0 and at most '
      '1, which is off.'
    )
  leaves, structure = jax.tree_util.tree_flatten_with_path(params)
  paths = [tuple(key.key for key in path) for path, _ in leaves]
  for name in frozen:
    if not any(name in path for path in paths):
      raise ValueError(
        f'config.optimizer.frozen names {name!r}, but no module of the network '
        'is called so; --dry_run lists them.'
      )
  if layer_decay == 1:
    factors = [1.0] * len(paths)
  else:
    shapes = [leaf.shape for _, leaf in leaves]
    levels, top = _levels(paths, shapes)
    factors = [layer_decay ** (top - level) for level in levels]
  for i, path in enumerate(paths):
    if set(frozen) & set(path):
      factors[i] = 0.0
  return jax.tree_util.tree_unflatten(structure, factors)


def _levels(
  paths: Sequence[tuple[str, ...]], shapes: Sequence[tuple[int, ...]]
) -> tuple[list[Any], int]:
  """The depth of each array, 0 below the encoder's blocks, and the top's."""
  below = {'patch_embedding', 'cls_token', 'positions'}
  levels, num_blocks = [], 0
  for path, shape in zip(paths, shapes):
    stack = path.index('blocks') if 'blocks' in path else len(path)
    in_encoder = 'encoder' in path[:stack] and stack < len(path)
    block = path[stack + 1] if in_encoder else ''
    if block == 'block':  # Scanned.
      num_blocks = shape[0]
      level = 1 + np.arange(num_blocks).reshape(-1, *[1] * (len(shape) - 1))
    elif block.startswith('block_'):
      level = 1 + int(block.removeprefix('block_'))
      num_blocks = max(num_blocks, level)
    else:
      level = 0 if below & set(path) else None
    levels.append(level)
  if not num_blocks:
    raise ValueError(
      'config.optimizer.layer_decay needs a network with blocks named '
      'encoder/blocks/block_00 and so on; set it to 1.'
    )
  top = num_blocks + 1
  return [top if level is None else level for level in levels], top
