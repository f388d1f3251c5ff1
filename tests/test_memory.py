"""What XLA plans for a program, against a sum of its arrays."""

import platform

import jax
import numpy as np
import pytest

from rvmae_jax.evals.watched_encoder import resident_mib
from rvmae_jax.memory import free_memory, give_back, planned_bytes


@pytest.mark.parametrize(('donated', 'num_arrays'), [((), 2), ((0,), 1)])
def test_a_donated_argument_shares_its_memory(donated, num_arrays):
  shape = jax.ShapeDtypeStruct((1000,), np.float32)
  program = jax.jit(lambda x: x + 1, donate_argnums=donated)
  assert planned_bytes(program.lower(shape).compile()) == 4000 * num_arrays


def test_some_memory_is_free():
  assert free_memory() > 2**20


@pytest.mark.skipif(
  platform.libc_ver()[0] != 'glibc', reason='only glibc keeps'
)
def test_what_was_freed_goes_back():
  arrays = [np.ones(512) for _ in range(25_000)]  # 4 KiB each, 98 MiB in all.
  last = np.ones(512)  # Keeps the end of the heap where it is.
  arrays.clear()
  before = resident_mib()
  give_back()
  assert before - resident_mib() > 80
  assert last.all()
