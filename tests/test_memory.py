"""What XLA plans for a program, against a sum of its arrays."""

import jax
import numpy as np
import pytest

from rvmae_jax.memory import free_memory, planned_bytes


@pytest.mark.parametrize(('donated', 'num_arrays'), [((), 2), ((0,), 1)])
def test_a_donated_argument_shares_its_memory(donated, num_arrays):
  shape = jax.ShapeDtypeStruct((1000,), np.float32)
  program = jax.jit(lambda x: x + 1, donate_argnums=donated)
  assert planned_bytes(program.lower(shape).compile()) == 4000 * num_arrays


def test_some_memory_is_free():
  assert free_memory() > 2**20
