"""ONNX by jax2onnx, an extra."""

import importlib.metadata
import pathlib
from typing import Any

import jax
import jax.extend
import jax.numpy as jnp

from rvmae_jax.artifacts.program import Program

OPSET = 23
CALL = """\
import onnxruntime
session = onnxruntime.InferenceSession({path!r})
outputs = session.run(None, {{{arguments}}})  # A list: {outputs}.
"""


def write(program: Program, path: pathlib.Path) -> dict[str, Any]:
  """Writes a program; returns `opset`, versions, and how to `call` it.

  Raises:
    ImportError: jax2onnx is not installed.
    ValueError: products of whole numbers.
  """
  if program.kernels == 'dynamic_int8':
    raise ValueError(
      'ONNX Runtime cannot run the integer matrix products that jax2onnx '
      'writes. Use --quantise int8 or int4, or another kind of artifact.'
    )
  try:
    import jax2onnx
  except ImportError as error:
    raise ImportError(
      "Writing .onnx needs the package jax2onnx: pip install 'rvmae_jax[onnx]'."
    ) from error
  specs = program.specs()

  def compute(*inputs):
    found = program.compute(*inputs)
    # The state is also the features; in ONNX a value has one name.
    return [jnp.copy(found[name]) for name in program.outputs]

  # Traced here: while jax2onnx traces, it puts its own functions in place of
  # JAX's and Flax's, which do not all take shapes like `batch * time`.
  traced = jax.extend.core.jaxpr_as_fun(jax.make_jaxpr(compute)(*specs))
  jax2onnx.to_onnx(
    traced,
    specs,
    model_name=program.function,
    opset=OPSET,
    return_mode='file',
    output_path=path,
    export_mode='web',  # All in one file.
    input_names=list(program.inputs),
    output_names=list(program.outputs),
  )
  return {
    'opset': OPSET,
    'converters': {
      name: importlib.metadata.version(name) for name in ('jax2onnx', 'onnx')
    },
    'call': CALL.format(
      path=path.name,
      arguments=', '.join(f'{name!r}: {name}' for name in program.inputs),
      outputs=', '.join(program.outputs),
    ),
  }
