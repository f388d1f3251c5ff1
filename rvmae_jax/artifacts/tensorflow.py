"""TensorFlow's SavedModel, and LiteRT's .tflite made of it."""

import pathlib
import tempfile
import types
from typing import Any

import jax
import numpy as np

from rvmae_jax.artifacts.program import Program
from rvmae_jax.artifacts.stablehlo import PLATFORMS

CALL_SAVED_MODEL = """\
import tensorflow as tf
model = tf.saved_model.load({path!r})
outputs = model.signatures['serving_default']({arguments})  # A dict of tensors.
"""
CALL_TFLITE = """\
from ai_edge_litert.interpreter import Interpreter
runner = Interpreter({path!r}).get_signature_runner()
outputs = runner({arguments})  # A dict.
"""


def write_saved_model(program: Program, path: pathlib.Path) -> dict[str, Any]:
  """Writes a folder; returns `platforms`, versions and how to `call` it.

  Raises:
    ImportError: TensorFlow is not installed.
    ValueError: TensorFlow is too old for what JAX writes.
  """
  tf = _save(program, path, program.specs(), PLATFORMS)
  return {
    'platforms': list(PLATFORMS),
    'converters': {'tensorflow': tf.__version__},
    'call': _call(CALL_SAVED_MODEL, program, path),
  }


def write_tflite(program: Program, path: pathlib.Path) -> dict[str, Any]:
  """Writes a file of built-in operations alone, for one row at a time.

  Returns:
    `shapes_fixed_at` what is free in other artifacts, versions, and how to
    `call` it.

  Raises:
    ImportError: TensorFlow is not installed.
    ValueError: LiteRT has no operation for something in the program, or
      TensorFlow is too old for what JAX writes.
  """
  with tempfile.TemporaryDirectory() as folder:
    tf = _save(program, folder, program.specs(is_fixed=True), ('cpu',))
    converter = tf.lite.TFLiteConverter.from_saved_model(folder)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    try:
      content = converter.convert()
    except Exception as error:
      raise ValueError(
        f'{path.name}: TensorFlow cannot make a .tflite of this '
        f'{program.function} ({error!s:.500}). Export another kind of '
        'artifact, such as .onnx.'
      ) from error
  path.write_bytes(content)
  return {
    'shapes_fixed_at': {'batch': 1, 'time': program.num_frames},
    'converters': {'tensorflow': tf.__version__},
    'call': _call(CALL_TFLITE, program, path),
  }


def _call(text: str, program: Program, path: pathlib.Path) -> str:
  arguments = ', '.join(f'{name}={name}' for name in program.inputs)
  return text.format(path=path.name, arguments=arguments)


def _save(
  program: Program,
  folder: str | pathlib.Path,
  specs: list[jax.ShapeDtypeStruct],
  platforms: tuple[str, ...],
) -> types.ModuleType:
  """Writes a SavedModel; returns TensorFlow."""
  try:
    import tensorflow as tf
  except ImportError as error:
    raise ImportError(
      'Writing a SavedModel or a .tflite needs TensorFlow: '
      "pip install 'rvmae_jax[tensorflow]'."
    ) from error
  from jax.experimental import jax2tf

  for kind in ('GPU', 'TPU'):  # They are JAX's.
    tf.config.set_visible_devices([], kind)
  compute = jax2tf.convert(
    program.compute,
    polymorphic_shapes=[f'({", ".join(map(str, s.shape))})' for s in specs],
    with_gradient=False,
    native_serialization_platforms=platforms,
  )
  function = tf.function(
    compute,
    autograph=False,
    input_signature=[
      tf.TensorSpec(
        [n if isinstance(n, int) else None for n in spec.shape],
        spec.dtype,
        name,
      )
      for name, spec in zip(program.inputs, specs)
    ],
  )
  # What TensorFlow cannot read fails when it is called, not when it is saved.
  zeros = [
    np.zeros([n if isinstance(n, int) else 1 for n in spec.shape], spec.dtype)
    for spec in specs
  ]
  try:
    function(*zeros)
  except tf.errors.InvalidArgumentError as error:
    raise ValueError(
      f'TensorFlow {tf.__version__} cannot read what JAX {jax.__version__} '
      'writes. Install a newer TensorFlow or an older JAX (TensorFlow 2.21 '
      'reads JAX 0.10.2), or export to .stablehlo or .onnx. TensorFlow says: '
      f'{str(error)[:500]}'
    ) from error
  # An attribute of the module, too, would hold all weights a second time.
  tf.saved_model.save(
    tf.Module(), str(folder), signatures=function.get_concrete_function()
  )
  return tf
