"""Makes a trained recurrent network smaller, and trains it a little more.

  python -m rvmae_jax.tools.prune --checkpoint runs/quickstart \\
    --share 0.25 --workdir runs/pruned [--steps 600]

Removes `--share` of the attention heads and hidden units in every block of the
encoder and of the core, and `--share` of the core's blocks: those that matter
least to the loss on training clips. The decoder stays whole, since nobody needs
it after training. `--sparsity` instead sets the smallest values of each kernel
to zero and keeps them there; layers keep their sizes.

The workdir becomes a run like any other, with a checkpoint of the pruned
network at step 0 and, after `--steps` of training, one of the recovered
network. Run the same command again to resume.

A head or a unit matters by the expected square of the first-order change of the
loss when it is removed (Molchanov et al., arXiv 1906.10771), a block of the
core by the loss without it.
"""

import contextlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags, logging
from etils import epath
from ml_collections import ConfigDict

from rvmae_jax import config_utils, weights
from rvmae_jax.commands import run_command
from rvmae_jax.data.locking import FolderLock
from rvmae_jax.layers.attention import split_heads
from rvmae_jax.layers.transformer import unstack_blocks
from rvmae_jax.models import build_model
from rvmae_jax.models.recurrent import RecurrentAutoencoder
from rvmae_jax.parts import build_parts
from rvmae_jax.tools.batches import training_batches
from rvmae_jax.train import train
from rvmae_jax.training.checkpointing import Checkpointer
from rvmae_jax.training.environment import typed_command
from rvmae_jax.training.logging import show_own_lines

# Where the blocks of each part that is pruned lie, in nested parameters.
_STACKS = {'encoder': ('encoder',), 'core': ('core', 'transformer')}
# Flags that the pruned run depends on; its config keeps them.
_ASKED = ('checkpoint', 'share', 'sparsity', 'steps', 'lr_scale', 'batches')
# Hidden units stay a multiple of this: processors work on as many at once.
_UNITS = 8

# Where heads and hidden units lie in the arrays of an attention and of an MLP.
_HEAD_AXES = {
  'attention': {
    ('qkv', 'kernel'): 2,
    ('qkv', 'bias'): 1,
    ('out', 'kernel'): 0,
  },
  'cross_attention': {
    ('query', 'kernel'): 1,
    ('query', 'bias'): 0,
    ('out', 'kernel'): 0,
  },
}
_UNIT_AXES = {
  ('dense_in', 'kernel'): 1,
  ('dense_in', 'bias'): 0,
  ('dense_out', 'kernel'): 0,
}

# Path in nested parameters -> array.
Flat = dict[tuple[str, ...], np.ndarray]
Batches = Sequence[Mapping[str, np.ndarray]]


def prune(
  params: Mapping[str, Any], config: ConfigDict, share: float, batches: Batches
) -> tuple[dict[str, Any], ConfigDict]:
  """A smaller network with the most important parts of another.

  Args:
    params: of the network of `config`.
    config: of its run.
    share: of heads, hidden units and core blocks to take away; at least one of
      each stays.
    batches: of training, to measure on.

  Returns:
    The parameters that are left, in blocks that are apart (no `scan_layers`),
    and the config of the network that has them.

  Raises:
    ValueError: a network without a recurrent core, or a share that is none.
  """
  if not 0 < share < 1:
    raise ValueError(f'share={share} must lie between 0 and 1.')
  model = build_model(config.model)
  if not isinstance(model, RecurrentAutoencoder) or not model.is_recurrent:
    raise ValueError(
      f'{config.model.name} has no recurrent core; only RVM and R-VMAE, with '
      'recurrence, can be pruned.'
    )
  flat = flax.traverse_util.flatten_dict(unstack_blocks(params))
  flat = {path: np.asarray(leaf) for path, leaf in flat.items()}
  config = config_utils.merged(config, {'model': {'scan_layers': False}})
  num_blocks = _left(model.core_blocks, share)
  flat, config = _drop_core_blocks(flat, config, num_blocks, batches)
  importance = _importance(flat, config, batches)
  sizes = {}
  for stack, path in _STACKS.items():
    heads, head_width = split_heads(
      model.width, getattr(model, f'{stack}_heads')
    )
    mlp_dim = getattr(model, f'{stack}_mlp_dim')
    num_heads = _left(heads, share)
    num_units = min(_UNITS * _left(mlp_dim / _UNITS, share), mlp_dim)
    _prune_stack(flat, path, importance, num_heads, num_units)
    sizes[f'{stack}_heads'] = (num_heads, head_width)
    sizes[f'{stack}_mlp_dim'] = num_units
  config = config_utils.merged(config, {'model': sizes})
  return flax.traverse_util.unflatten_dict(flat), config


def sparsify(params: Mapping[str, Any], share: float) -> dict[str, Any]:
  """The same parameters with the smallest values of each kernel set to 0.

  Args:
    params: nested dict of arrays.
    share: of the values of each kernel.

  Raises:
    ValueError: a share that is none.
  """
  if not 0 < share < 1:
    raise ValueError(f'sparsity={share} must lie between 0 and 1.')

  def zeroed(path, leaf):
    if path[-1].key != 'kernel':
      return leaf
    size = np.abs(leaf)
    # Scanned layers have the kernels of all blocks in one array.
    first = int(any(part.key == 'block' for part in path))
    axes = tuple(range(first, size.ndim))
    limit = np.quantile(size, share, axis=axes, keepdims=True)
    return np.where(size < limit, 0, leaf)

  return jax.tree_util.tree_map_with_path(zeroed, params)


def _left(count: float, share: float) -> int:
  return max(round(count * (1 - share)), 1)


def _loss_fn(config: ConfigDict) -> Callable[..., tuple[jax.Array, Any]]:
  """(params, batch) -> (loss, metrics); the same random numbers each time."""
  parts = build_parts(config)

  def loss_fn(params, batch):
    return parts.loss_fn(params, batch, jax.random.key(0), *parts.frozen)

  return loss_fn


def _drop_core_blocks(
  flat: Flat, config: ConfigDict, num_left: int, batches: Batches
) -> tuple[Flat, ConfigDict]:
  """Takes core blocks away one by one, always the one that is missed least."""
  prefix = _STACKS['core']
  while len(names := _block_names(flat, prefix)) > num_left:
    config = config_utils.merged(
      config, {'model': {'core_blocks': len(names) - 1}}
    )
    loss_fn = jax.jit(_loss_fn(config))
    candidates = [_without_block(flat, prefix, name) for name in names]
    losses = []
    for candidate in candidates:
      params = flax.traverse_util.unflatten_dict(candidate)
      losses.append(np.mean([loss_fn(params, batch)[0] for batch in batches]))
    least = int(np.argmin(losses))
    logging.info('The loss without each core block: %s', np.round(losses, 5))
    flat = candidates[least]
  return flat, config


def _block_names(flat: Flat, prefix: tuple[str, ...]) -> list[str]:
  depth = len(prefix)
  return sorted(
    {p[depth + 1] for p in flat if p[: depth + 1] == (*prefix, 'blocks')}
  )


def _without_block(flat: Flat, prefix: tuple[str, ...], name: str) -> Flat:
  """A stack without one of its blocks; the others get new numbers."""
  names = _block_names(flat, prefix)
  number, depth = names.index(name), len(prefix) + 1
  renamed = dict(zip((n for n in names if n != name), names))
  found = {}
  for path, leaf in flat.items():
    if path[:depth] == (*prefix, 'blocks'):
      if path[depth] == name:
        continue
      path = (*path[:depth], renamed[path[depth]], *path[depth + 1 :])
    elif path[:depth] == (*prefix, 'keys_values'):
      # [D, blocks, 2, heads, d], and biases without the first axis.
      leaf = np.delete(leaf, number, axis=leaf.ndim - 4)
    found[path] = leaf
  return found


def _importance(flat: Flat, config: ConfigDict, batches: Batches) -> Flat:
  """Path of an attention or MLP -> how important its heads or units are.

  Without a head or unit, the loss changes by about the sum of gradient times
  value over its part of the output kernel.
  """
  gradient = jax.jit(jax.grad(_loss_fn(config), has_aux=True))
  params = flax.traverse_util.unflatten_dict(flat)
  found = {}
  for batch in batches:
    by_path = flax.traverse_util.flatten_dict(gradient(params, batch)[0])
    for path, slope in by_path.items():
      if path[-2:] in (('out', 'kernel'), ('dense_out', 'kernel')):
        change = flat[path] * np.asarray(slope)
        change = change.sum(tuple(range(1, change.ndim)))
        found[path[:-2]] = found.get(path[:-2], 0) + change**2
  return found


def _prune_stack(
  flat: Flat,
  prefix: tuple[str, ...],
  importance: Flat,
  num_heads: int,
  num_units: int,
) -> None:
  """Keeps the most important heads and units of each block, in place."""

  def take(axes, part, count):
    kept = np.sort(np.argsort(-importance[part], kind='stable')[:count])
    for (layer, leaf), axis in axes.items():
      path = (*part, layer, leaf)
      flat[path] = np.take(flat[path], kept, axis)
    return kept

  kept_heads = []
  for name in _block_names(flat, prefix):
    block = (*prefix, 'blocks', name)
    take(_HEAD_AXES['attention'], (*block, 'attention'), num_heads)
    take(_UNIT_AXES, (*block, 'mlp'), num_units)
    crossing = (*block, 'cross_attention')
    if crossing in importance:
      kept_heads.append(
        take(_HEAD_AXES['cross_attention'], crossing, num_heads)
      )
  if kept_heads:
    for leaf in ('kernel', 'bias'):
      path = (*prefix, 'keys_values', leaf)
      # [..., blocks, 2, heads, d]: each block keeps heads of its own.
      blocks = np.moveaxis(flat[path], -4, 0)
      blocks = [np.take(b, kept, -2) for b, kept in zip(blocks, kept_heads)]
      flat[path] = np.stack(blocks, axis=-4)


def recovery(
  config: ConfigDict, origin: str, num_steps: int, lr_scale: float
) -> ConfigDict:
  """The config that trains a pruned network a little more.

  Args:
    config: of the pruned network.
    origin: the run it comes from; the manifest names its videos, too.
    num_steps: of training.
    lr_scale: the peak of the learning rate as a share of the run's.
  """
  rate = config.optimizer.lr_per_256 * lr_scale
  return config_utils.merged(
    config,
    {
      'total_steps': num_steps,
      'optimizer': {'lr_per_256': rate},
      'schedule': {'warmup_steps': num_steps // 20},
      'checkpoint': {'init_from': origin},
    },
  )


def _batches(config: ConfigDict, count: int) -> list[dict[str, np.ndarray]]:
  with contextlib.closing(training_batches(config)) as batches:
    return list(itertools.islice(batches, count))


def _save(
  params: Mapping[str, Any], config: ConfigDict, workdir: epath.Path
) -> None:
  """The checkpoint of step 0, from which training goes on."""
  state = jax.jit(build_parts(config).init)()
  state = state.replace(params=jax.tree.map(jnp.asarray, params))
  if state.ema_params is not None:
    state = state.replace(ema_params=jax.tree.map(jnp.copy, state.params))
  with FolderLock(workdir, 'prune'), Checkpointer(workdir, config) as saver:
    saver.save(0, state, {'next_record': 0})


def _pruned_config(workdir: epath.Path) -> ConfigDict | None:
  """The config of the run in a workdir; None if its first save was cut off."""
  try:
    return weights.load(workdir)[1]
  except FileNotFoundError:
    return None


def main(args: flags.FlagValues) -> None:
  """Runs the command."""
  show_own_lines()
  if bool(args.share) == bool(args.sparsity):
    raise app.UsageError('Give one of --share and --sparsity.')
  workdir = epath.Path(args.workdir)
  asked = {name: getattr(args, name) for name in _ASKED}
  config = _pruned_config(workdir)
  if config is None:
    params, config = weights.load(args.checkpoint)
    if args.share:
      batches = _batches(config, args.batches)
      params, config = prune(params, config, args.share, batches)
    else:
      params = sparsify(params, args.sparsity)
      config = config_utils.merged(config, {'optimizer': {'keep_zeros': True}})
    config = recovery(config, args.checkpoint, args.steps, args.lr_scale)
    config = config_utils.merged(config, {'prune': asked})
    _save(params, config, workdir)
  elif (made := config.get('prune', ConfigDict()).to_dict()) != asked:
    raise app.UsageError(
      f'{workdir} holds a run that was made with {made or "no pruning"}, not '
      f'with {asked}. Name another --workdir, or resume with the same command.'
    )
  train(config, workdir, typed_command('rvmae_jax.tools.prune'))


if __name__ == '__main__':
  flags.DEFINE_string('checkpoint', None, 'The run to prune.')
  flags.DEFINE_string('workdir', None, 'Folder for the pruned run.')
  flags.DEFINE_float('share', 0, 'Share of heads, units and core blocks.')
  flags.DEFINE_float('sparsity', 0, 'Share of zeros in each kernel.')
  flags.DEFINE_integer(
    'steps', 600, 'Steps of training afterwards.', lower_bound=1
  )
  flags.DEFINE_float('lr_scale', 0.3, 'Peak learning rate / that of the run.')
  flags.DEFINE_integer(
    'batches', 16, 'Batches to measure importance on.', lower_bound=1
  )
  flags.mark_flags_as_required(['checkpoint', 'workdir'])
  run_command(main)
