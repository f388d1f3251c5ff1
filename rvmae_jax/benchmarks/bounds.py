"""Estimates how many clips a second a device allows, without having it.

  python -m rvmae_jax.benchmarks bounds \\
    [--config configs/rvm_pretrain.py:variant=S --config ...] \\
    [--devices h200,v6e] [--batch_size 64]

For each recipe: parameters, FLOPs of training on a clip, bytes that a step
moves at least (`rvmae_jax.benchmarks.traffic`), and on each device what
its peak or its memory's bandwidth allows, whichever is less. Nothing is
compiled or run, and no step reaches it: the benchmark `step` shows how near one
comes. The last line is the result as JSON.
"""

import json
from collections.abc import Sequence
from typing import Any

import jax
from absl import flags
from ml_collections import ConfigDict

from rvmae_jax.benchmarks.traffic import step_traffic
from rvmae_jax.commands import run_command
from rvmae_jax.config_utils import load_config
from rvmae_jax.parts import build_parts
from rvmae_jax.training import devices

CONFIGS = (
  *(f'configs/rvm_pretrain.py:variant={size}' for size in 'SBLH'),
  *(f'configs/videomae.py:variant={size}' for size in 'BL'),
)
DEVICES = ('h200', 'h100', 'a100', 'v6e', 'v5p', 'v5e', 'v4')


def estimate_bounds(
  config: ConfigDict, batch_size: int, device_names: Sequence[str] = DEVICES
) -> dict[str, Any]:
  """What devices allow one recipe.

  Args:
    config: a recipe; it is not changed.
    batch_size: clips on one device; the state is moved once for all of them.
    device_names: see `devices.by_name`.

  Returns:
    `parameters`; `flops` and `bytes` of training on a clip; `devices`: name ->
    `clips_per_s` and `limit`, 'compute' or 'memory'.

  Raises:
    ValueError: a model that does not count its FLOPs, or an unknown device.
  """
  config = ConfigDict(config.to_dict())
  config.batch_size, config.accumulation_steps = batch_size, 1
  if 'scan_layers' in config.model:
    config.model.scan_layers = True  # The same figures, traced in no time.
  parts = build_parts(config)
  if not parts.flops_per_clip:
    raise ValueError(
      f'Model {config.model.name!r} does not count its FLOPs, so nothing can '
      'be estimated; give it `flops_per_clip`.'
    )
  num_bytes = sum(step_traffic(parts)) / batch_size
  allowed = {}
  for name in device_names:
    device = devices.by_name(name)
    clips_per_s = {
      'compute': device.flops_per_s / parts.flops_per_clip,
      'memory': device.hbm_bytes_per_s / num_bytes,
    }
    limit = min(clips_per_s, key=clips_per_s.get)
    allowed[name] = {'clips_per_s': clips_per_s[limit], 'limit': limit}
  return {
    'parameters': sum(p.size for p in jax.tree.leaves(parts.shapes.params)),
    'flops': parts.flops_per_clip,
    'bytes': num_bytes,
    'devices': allowed,
  }


def print_table(results: dict[str, dict[str, Any]]) -> None:
  """One row a recipe; `m` marks what memory bounds, not compute."""
  width = max(map(len, results))
  first = next(iter(results.values()))
  titles = ['M param.', 'TFLOP/clip', 'GB/clip', *first['devices']]
  print(' ' * width, *(f'{title:>10}' for title in titles))
  for name, result in results.items():
    cells = [
      f'{result["parameters"] / 1e6:.0f}',
      f'{result["flops"] / 1e12:.3f}',
      f'{result["bytes"] / 1e9:.2f}',
      *(
        f'{found["clips_per_s"]:.0f}' + 'm' * (found['limit'] == 'memory')
        for found in result['devices'].values()
      ),
    ]
    print(f'{name:{width}}', *(f'{cell:>10}' for cell in cells))


def main(args: flags.FlagValues) -> None:
  """Runs the command."""
  results = {
    spec.removeprefix('configs/'): estimate_bounds(
      load_config(spec), args.batch_size, args.devices
    )
    for spec in args.config
  }
  print_table(results)
  print(json.dumps(results))


if __name__ == '__main__':
  flags.DEFINE_multi_string(
    'config', list(CONFIGS), 'A recipe; may be repeated.'
  )
  flags.DEFINE_list('devices', list(DEVICES), 'Names in training/devices.py.')
  flags.DEFINE_integer('batch_size', 64, 'Clips in a step, on one device.')
  run_command(main)
