"""Shared by the tests of benchmarks."""

import pytest


@pytest.fixture(scope='module')
def quick_steps():
  """Training steps run on one of the simulated devices.

  On eight, which share a core or two, they wait for each other most of the
  time; what they compute is not what benchmarks are tested for.
  """
  import jax

  from rvmae_jax.training import sharding

  mesh = sharding.make_mesh(devices=jax.devices()[:1])
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(sharding, 'make_mesh', lambda **axes: mesh)
    yield
