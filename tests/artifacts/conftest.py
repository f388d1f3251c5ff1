"""A program of one product, and whether TensorFlow can read this JAX."""

import pytest

from rvmae_jax.artifacts import writing
from rvmae_jax.artifacts.program import Array, Program

_DOUBLE = Program(
  'encode',
  lambda video: {'features': 2 * video},
  {'video': Array(('batch', 3), 'float32', 'numbers')},
  {'features': Array(('batch', 3), 'float32', 'twice as much')},
  num_frames=1,
  num_parameters=0,
  kernels='float32',
)


@pytest.fixture(name='program')
def _program():
  """Twice a number."""
  return _DOUBLE


@pytest.fixture(scope='session')
def tensorflow_reads_jax(tmp_path_factory):
  """Skips where TensorFlow is too old for the JAX that is installed."""
  try:
    writing.write(_DOUBLE, tmp_path_factory.mktemp('tf') / 'saved_model', {})
  except ValueError as error:
    pytest.skip(str(error).partition('. ')[0])
