"""GPUs that need not be there, as XLA's compiler wants them described.

Figures are those that XLA itself has of each card
(github.com/openxla/xla, xla/backends/gpu/target_config/specs).
"""

import collections
import json
import re
from typing import Any

import jax

from rvmae_jax.tools.planning.program import lines_as_run

# Without a card nothing can be tried out, and XLA's own kernels for products
# want to be tried.
COMPILER_OPTIONS = {
  'xla_gpu_autotune_level': 0,
  'xla_gpu_enable_triton_gemm': False,
}
# By `devices.Device.name`: what differs between cards.
_HOPPER = {
  'shared_memory_per_core': 233472,
  'shared_memory_per_block_optin': 232448,
  'core_count': 132,
  'fpus_per_core': 128,
  'l2_cache_size': 52428800,
  'clock_rate_ghz': 1.98,
  'cuda_compute_capability': {'major': 9},
}
CARDS = {
  'h100': {
    **_HOPPER,
    'memory_bandwidth': 3352320000000,
    'device_memory_size': 84942979072,
  },
  'h200': {
    **_HOPPER,
    'memory_bandwidth': 4800000000000,
    'device_memory_size': 151397597184,
  },
  'a100': {
    'shared_memory_per_core': 167936,
    'shared_memory_per_block_optin': 166912,
    'core_count': 108,
    'fpus_per_core': 64,
    'l2_cache_size': 41943040,
    'clock_rate_ghz': 1.41,
    'cuda_compute_capability': {'major': 8},
    'memory_bandwidth': 2039040000000,
    'device_memory_size': 85100068864,
  },
}
_ALL_CARDS = {
  'threads_per_block_limit': 1024,
  'threads_per_warp': 32,
  'shared_memory_per_block': 49152,
  'threads_per_core_limit': 2048,
  'block_dim_limit_x': 2147483647,
  'block_dim_limit_y': 65535,
  'block_dim_limit_z': 65535,
  'registers_per_core_limit': 65536,
  'registers_per_block_limit': 65536,
}
_ATTENTION = re.compile(r'custom_call_target="(__cudnn\$fmha\w*)"')


def find_gpus(name: str, shape: tuple[int, ...]) -> list[Any]:
  """Devices of cards that XLA compiles for; no GPU is looked at.

  Args:
    name: of `devices.DEVICES`.
    shape: of machines and cards in each, or of cards alone.

  Raises:
    ImportError: the compiler for GPUs is not installed.
    ValueError: XLA is not told enough of such cards, or they are no machines.
  """
  if name not in CARDS:
    raise ValueError(
      f'Nothing is known of {name!r} that its compiler needs; '
      f'known are {", ".join(CARDS)}.'
    )
  if len(shape) > 2:
    raise ValueError(
      f'GPUs of shape {shape}: write h100:8, or h100:4x8 for 4 machines of 8.'
    )
  try:
    import jax_cuda12_plugin  # noqa: F401
  except ImportError as error:
    raise ImportError(
      'Compiling for GPUs needs their compiler, not a GPU: pip install '
      "'rvmae_jax[cuda]'."
    ) from error
  from jax.experimental import topologies

  # Else JAX looks for cards here as well.
  jax.config.update('jax_platforms', 'cpu')
  machines, cards = (1, *shape)[-2:]
  target = {
    'gpu_device_info': _ALL_CARDS | CARDS[name],
    'platform_name': 'CUDA',
    'dnn_version_info': {'major': 9, 'minor': 10},
    'runtime_version': {'major': 12, 'minor': 8},
    'device_description_str': f'NVIDIA {name.upper()}',
  }
  found = topologies.get_topology_desc(
    platform='cuda',
    topology_name='',
    target_config=as_proto(target),
    topology=f'1x{machines}x{cards}',
  )
  return list(found.devices)


def attention_calls(program: str) -> dict[str, int]:
  """How often a compiled program calls cuDNN's attention, each way."""
  calls = collections.Counter()
  for line in lines_as_run(program):
    found = _ATTENTION.search(line.text)
    if found:
      way = 'backward' if found[1].endswith('Backward') else 'forward'
      calls[way] += line.times
  return dict(calls)


def as_proto(fields: dict[str, Any]) -> str:
  """Fields as protobuf's text."""
  parts = []
  for key, value in fields.items():
    if isinstance(value, dict):
      parts.append(f'{key} {{ {as_proto(value)} }}')
    else:
      parts.append(f'{key}: {json.dumps(value)}')
  return ' '.join(parts)
