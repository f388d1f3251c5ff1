"""How fast the devices of a mesh multiply matrices at best."""

import functools
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from rvmae_jax.training import devices, sharding

_TIMES = 5


class Peak(NamedTuple):
  """The best that a mesh can do.

  Attributes:
    flops_per_s: of matrix products, all devices together.
    is_measured: here and now; else it is the maker's figure.
  """

  flops_per_s: float
  is_measured: bool


def peak_of(mesh: Mesh, dtype: str) -> Peak:
  """The maker's figure where it is known, else a measurement.

  Args:
    mesh: of devices of one kind.
    dtype: of the products; makers' figures here are those of bfloat16.
  """
  device = devices.of_kind(mesh.devices.flat[0].device_kind)
  if device and dtype == 'bfloat16':
    return Peak(device.flops_per_s * mesh.size, is_measured=False)
  return Peak(measured_flops_per_s(mesh, dtype), is_measured=True)


@functools.cache
def measured_flops_per_s(mesh: Mesh, dtype: str) -> float:
  """The best of a few products of large matrices, one on each device at once.

  At once, because simulated devices share the cores of one CPU. Sums are
  float32. Entries are random: chips take less power, and so go faster, on
  zeros.
  """
  size = 1024 if mesh.devices.flat[0].platform == 'cpu' else 8192
  place = sharding.batch_sharding(mesh)

  def draw():
    shape = (mesh.size, size, size)
    return jax.random.normal(jax.random.key(0), shape, jnp.dtype(dtype))

  matrices = jax.block_until_ready(jax.jit(draw, out_shardings=place)())
  product = functools.partial(jnp.matmul, preferred_element_type=jnp.float32)
  multiply = jax.jit(lambda a: product(a, a), out_shardings=place)
  jax.block_until_ready(multiply(matrices))  # Compiles.
  seconds = []
  for _ in range(_TIMES):
    start = time.perf_counter()
    jax.block_until_ready(multiply(matrices))
    seconds.append(time.perf_counter() - start)
  return mesh.size * 2 * size**3 / min(seconds)
