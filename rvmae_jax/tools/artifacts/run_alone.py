"""Runs an artifact where neither this library nor Flax can be imported.

  python -I run_alone.py ARTIFACT FRAMES.npy OUT.npz

FRAMES are [T, H, W, 3] uint8, of one video. A `step` is given them one by one,
any other function all at once. OUT gets `outputs` by name, those of the last
frame of a step, and `wall_ms` and `cpu_ms` of a frame, the median and the mean
after the first call.
"""

import json
import os
import pathlib
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Call = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]

# Calls of a function that takes clips.
NUM_CLIPS = 4


class Times:
  """Milliseconds of calls, by the clock and of the processor."""

  def __init__(self):
    self._wall_ms, self._cpu_ms = [], []

  def measure(self, call: Callable[[], Any]) -> Any:
    """What a call returns."""
    start = time.perf_counter(), time.process_time()
    result = call()
    self._wall_ms.append(1e3 * (time.perf_counter() - start[0]))
    self._cpu_ms.append(1e3 * (time.process_time() - start[1]))
    return result

  def of_a_frame(self, num_frames: int) -> tuple[float, float]:
    """Median by the clock and mean of the processor, after the first call.

    Args:
      num_frames: of each call.
    """
    return (
      statistics.median(self._wall_ms[1:]) / num_frames,
      statistics.mean(self._cpu_ms[1:]) / num_frames,
    )


def stablehlo(path: str, note: dict) -> Call:
  """By JAX."""
  import jax
  import jax.export

  program = jax.export.deserialize(bytearray(pathlib.Path(path).read_bytes()))
  compute = jax.jit(program.call)
  return lambda inputs: compute(*inputs.values())


def onnx(path: str, note: dict) -> Call:
  """By ONNX Runtime."""
  import onnxruntime

  options = onnxruntime.SessionOptions()
  options.intra_op_num_threads = len(os.sched_getaffinity(0))
  options.log_severity_level = 3  # Errors.
  session = onnxruntime.InferenceSession(path, options)
  return lambda inputs: dict(
    zip(note['outputs'], session.run(list(note['outputs']), dict(inputs)))
  )


def saved_model(path: str, note: dict) -> Call:
  """By TensorFlow."""
  import tensorflow as tf

  model = tf.saved_model.load(path)
  compute = model.signatures['serving_default']
  return lambda inputs: compute(
    **{name: tf.constant(array) for name, array in inputs.items()}
  )


def tflite(path: str, note: dict) -> Call:
  """By LiteRT."""
  from ai_edge_litert.interpreter import Interpreter

  interpreter = Interpreter(path, num_threads=len(os.sched_getaffinity(0)))
  runner = interpreter.get_signature_runner()
  return lambda inputs: runner(**inputs)


RUNTIMES = {
  'saved_model': saved_model,
  '.stablehlo': stablehlo,
  '.onnx': onnx,
  '.tflite': tflite,
}


def run(path: str, frames: np.ndarray) -> dict[str, np.ndarray]:
  """What the module's docstring says that OUT gets."""
  note = json.loads(pathlib.Path(f'{path}.json').read_text())
  name = pathlib.Path(path)
  call = RUNTIMES[name.suffix or name.name](path, note)
  times = Times()

  def ask(inputs):
    return {name: np.asarray(array) for name, array in call(inputs).items()}

  if note['function'] == 'step':
    state = np.zeros((1, *note['inputs']['state']['shape'][1:]), np.float32)
    for frame in frames:
      inputs = {'state': state, 'frame': frame[None]}
      outputs = times.measure(lambda i=inputs: ask(i))
      state = outputs['next_state']
  else:
    for _ in range(NUM_CLIPS):
      outputs = times.measure(lambda: ask({'video': frames[None]}))
  wall_ms, cpu_ms = times.of_a_frame(
    1 if note['function'] == 'step' else len(frames)
  )
  return {**outputs, 'wall_ms': wall_ms, 'cpu_ms': cpu_ms}


def main(path: str, frames: str, out: str) -> None:
  """Runs the command."""
  for name in ('rvmae_jax', 'flax'):
    sys.modules[name] = None  # An import of it fails from now on.
  np.savez(out, **run(path, np.load(frames)))


if __name__ == '__main__':
  main(*sys.argv[1:])
