"""The device that a program is compiled for, which need not be present.

Layers that suit themselves to a device ask for it while they are traced.
"""

import contextlib
import contextvars
from collections.abc import Iterator

import jax

_DEVICE = contextvars.ContextVar('target_device', default=None)


@contextlib.contextmanager
def compiling_for(device: jax.Device) -> Iterator[None]:
  """Makes `device` the target of all code that is traced inside.

  Use it within a function that is jitted, or as its decorator below `jax.jit`,
  so that it is in force whenever JAX traces the function.

  Args:
    device: one of a mesh, of this machine or of a topology.
  """
  token = _DEVICE.set(device)
  try:
    yield
  finally:
    _DEVICE.reset(token)


def target_device() -> jax.Device:
  """The device of `compiling_for`; outside of it JAX's default device."""
  device = _DEVICE.get() or jax.config.jax_default_device
  if device is None or isinstance(device, str):
    return jax.local_devices(backend=device)[0]
  return device
