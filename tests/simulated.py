"""Processes that tests start, with simulated devices of their own number."""

import os


def with_devices(count: int) -> dict[str, str]:
  """The environment of a process with so many; the last flag counts."""
  flags = os.environ['XLA_FLAGS']
  number = f'--xla_force_host_platform_device_count={count}'
  return {
    **os.environ,
    'JAX_PLATFORMS': 'cpu',
    'XLA_FLAGS': f'{flags} {number}',
  }
