"""Artifacts: functions of a network as files that run without this library.

What a file computes is a `program.Program`; each kind of file is one module
here and one line in `WRITERS`; `writing.write` puts a note beside the file that
says what goes in, what comes out and how to call it.
"""

import pathlib

from rvmae_jax.layers.quantised_products import KINDS
from rvmae_jax.registry import Registry

FUNCTIONS = ('step', 'encode', 'classify')
# What kernels are kept in; the others are made by --quantise.
DTYPES = ('float32', 'bfloat16')
KERNELS = (*DTYPES, *KINDS)
SAVED_MODEL = 'saved_model'

WRITERS = Registry(
  'kind of artifact',
  {
    '.stablehlo': 'rvmae_jax.artifacts.stablehlo:write',
    '.onnx': 'rvmae_jax.artifacts.onnx:write',
    '.tflite': 'rvmae_jax.artifacts.tensorflow:write_tflite',
    SAVED_MODEL: 'rvmae_jax.artifacts.tensorflow:write_saved_model',
  },
)


def kind_of(path: str | pathlib.Path) -> str:
  """The kind of artifact that a path names, a key of `WRITERS`; '' if none."""
  path = pathlib.Path(path)
  kind = SAVED_MODEL if path.name == SAVED_MODEL else path.suffix
  return kind if kind in WRITERS else ''
