"""Runs artifacts without this library and compares them with the network.

  python -m rvmae_jax.tools.check_artifact --checkpoint runs/rvm --video FILE \\
    --artifact rvm.stablehlo --artifact rvm.onnx [--frames 200] [--out TABLE]

Each artifact runs over the first frames of a real video, in a process of its
own that can import neither rvmae_jax nor Flax. A `step` is compared with
`Stream` at the last frame, a function of clips with the network's own output.
Artifacts with quantised kernels are compared with the network quantised alike.
Exit code: 0 they are equal, 1 an output differs by more than 1e-5 (with
dynamic_int8: 0.1), 2 they could not be compared. bfloat16 kernels have no bound
unless `--tolerance` sets one. `--out` writes the table as JSON, see
docs/artifacts.md.
"""

import argparse
import itertools
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from rvmae_jax import files, weights
from rvmae_jax.artifacts.writing import note_path
from rvmae_jax.commands import command_line, explains_errors
from rvmae_jax.data.frames import read_frames
from rvmae_jax.data.readers import VideoError
from rvmae_jax.evals import kept_probe
from rvmae_jax.layers.quantised_products import KINDS, quantise
from rvmae_jax.models import build_unrolled
from rvmae_jax.models.classifier import Classifier
from rvmae_jax.stream import Stream
from rvmae_jax.tools.artifacts import run_alone
from rvmae_jax.tools.result_file import format_cell, write_result

TOLERANCES = {
  **dict.fromkeys(('float32', 'int8', 'int4'), 1e-5),
  # Sums in another order round a token to the next whole number here and there.
  'dynamic_int8': 0.1,
}
# Heading -> digits after the point.
COLUMNS = {
  'artifact': None,
  'function': None,
  'kernels': None,
  'MB': 2,
  'ms a frame': 2,
  'CPU ms a frame': 2,
  'ours, ms a frame': 2,
  'ours, CPU ms a frame': 2,
  'largest difference': 1,
}


class Answer(NamedTuple):
  """What a program says of some frames, and how long that takes.

  Attributes:
    outputs: by name; those of the last frame of a step.
    wall_ms, cpu_ms: of a frame, the median and the mean after the first call.
  """

  outputs: dict[str, np.ndarray]
  wall_ms: float
  cpu_ms: float

  def distance(self, other: 'Answer') -> float:
    """The largest difference of any number that both put out."""
    return max(
      float(np.abs(np.float32(array) - np.float32(other.outputs[name])).max())
      for name, array in self.outputs.items()
      if name in other.outputs
    )


def ask_artifact(path: str | pathlib.Path, frames: np.ndarray) -> Answer:
  """An artifact, in a process without this library.

  Args:
    path: with its note beside it.
    frames: [T, H, W, 3] uint8, see `tools.artifacts.run_alone`.

  Raises:
    RuntimeError: it does not run; has what its process said.
  """
  path = pathlib.Path(path).absolute()
  with tempfile.TemporaryDirectory() as folder:
    given, found = pathlib.Path(folder, 'in.npy'), pathlib.Path(folder, 'o.npz')
    np.save(given, frames)
    process = subprocess.run(
      [sys.executable, '-I', run_alone.__file__, path, given, found],
      capture_output=True,
      text=True,
      check=False,
    )
    if process.returncode:
      raise RuntimeError(f'{path} does not run: {process.stderr[-2000:]}')
    with np.load(found) as arrays:
      outputs = dict(arrays)
  return Answer(
    wall_ms=float(outputs.pop('wall_ms')),
    cpu_ms=float(outputs.pop('cpu_ms')),
    outputs=outputs,
  )


def ask_network(
  model: Any,
  params: Any,
  function: str,
  frames: np.ndarray,
  probe: kept_probe.KeptProbe | None = None,
) -> Answer:
  """The network itself: `Stream` for a step, else the clip at once.

  Args:
    model, params: of a checkpoint.
    function: of an artifact.
    frames: [T, H, W, 3] uint8.
    probe: what classifies, where the network does not.
  """
  times = run_alone.Times()
  if function == 'step':
    stream = Stream(model, params, frames.shape[1:3])
    for frame in frames:
      features = times.measure(lambda f=frame: np.asarray(stream(f[None])))
    outputs = {'features': features}
  else:

    def answer(params, video):
      variables = {'params': params}
      if function == 'classify' and not probe:
        return {'logits': model.apply(variables, {'video': video})['logits']}
      features = model.apply(variables, video, method='encode')
      if function != 'classify':
        return {'features': features}
      grid = features[:, :, model.num_prefix_tokens :]
      tubelet_size = video.shape[1] // features.shape[1]
      return {'logits': probe.logits(grid, tubelet_size)}

    answer, params = jax.jit(answer), jax.device_put(params)
    for _ in range(run_alone.NUM_CLIPS):
      outputs = times.measure(
        lambda: jax.device_get(answer(params, frames[None]))
      )
  num_frames = 1 if function == 'step' else len(frames)
  return Answer(outputs, *times.of_a_frame(num_frames))


def _quantised(
  kernels: str, model: Any, params: Any, function: str, frames: np.ndarray
) -> tuple[Any, Any]:
  """A network as an artifact has it."""
  if kernels not in KINDS:
    return model, params
  arguments, method = (frames[None],), 'encode'
  if function == 'step':
    state = model.init_state(1, *frames.shape[1:3])
    arguments, method = (state, frames[:1]), 'step'
  elif function == 'classify' and isinstance(model, Classifier):
    arguments, method = ({'video': frames[None]},), '__call__'
  return quantise(kernels, model, params, *arguments, method=method)


def _first_frames(
  video: str, size: tuple[int, int], num_frames: int
) -> np.ndarray:
  """[T, H, W, 3] uint8; ValueError if the video is shorter."""
  frames = list(itertools.islice(read_frames(video, size), num_frames))
  if len(frames) < num_frames:
    raise ValueError(
      f'{video} has {len(frames)} frames, and {num_frames} are asked for.'
    )
  return np.stack(frames)


@explains_errors('check_artifact', RuntimeError, VideoError)
def main(argv: Sequence[str] | None = None) -> int:
  """The command line; returns the exit code."""
  parser = command_line('rvmae_jax.tools.check_artifact', __doc__)
  add = parser.add_argument
  as_exported = 'as given to rvmae_jax.export'
  add('--checkpoint', required=True, help=as_exported)
  add('--ema', action='store_true', help=as_exported)
  add('--probe', help=as_exported)
  add('--pooling', default='', help=as_exported)
  add(
    '--artifact',
    required=True,
    action='append',
    help='file or folder to check; may be repeated',
  )
  add('--video', required=True, help='video to run on')
  add('--frames', type=int, default=200, help='frames to run a step over')
  add('--tolerance', type=float, help='largest difference to accept; see above')
  add('--out', help='JSON file for the table')
  args = parser.parse_args(argv)
  if args.frames < 2:
    parser.error(f'--frames={args.frames}: 2 at least; the first is not timed.')
  for artifact in args.artifact:
    if not note_path(artifact).exists():
      parser.error(
        f'--artifact={artifact}: there is no {note_path(artifact).name} beside '
        'it, which rvmae_jax.export writes. Keep the two together.'
      )
  failed = _compare(args)
  if failed:
    print(f'Not equal to the network: {"; ".join(failed)}.', file=sys.stderr)
  return int(bool(failed))


def _compare(args: argparse.Namespace) -> list[str]:
  """Prints a row for each artifact; returns what is wrong with some."""
  params, config = weights.load(args.checkpoint, ema=args.ema)
  model, params = build_unrolled(config.model, params, dtype='float32')
  probe = kept_probe.read(args.probe, args.pooling) if args.probe else None
  rows, failed, own = [], [], {}
  for artifact in args.artifact:
    note = files.read_json(note_path(artifact))
    function, kernels = note['function'], note['kernels']
    num_frames = args.frames if function == 'step' else note['num_frames']
    size = tuple(note['size'])
    asked = function, size, num_frames, kernels in KINDS and kernels
    if asked not in own:
      frames = _first_frames(args.video, size, num_frames)
      network = _quantised(kernels, model, params, function, frames)
      own[asked] = frames, ask_network(*network, function, frames, probe)
    frames, network = own[asked]
    answer = ask_artifact(artifact, frames)
    difference = answer.distance(network)
    row = [
      pathlib.Path(artifact).name,
      function,
      kernels,
      sum(f['bytes'] for f in note['files'].values()) / 1e6,
      *(answer.wall_ms, answer.cpu_ms, network.wall_ms, network.cpu_ms),
      difference,
    ]
    rows.append(row)
    cells = [
      f'{k}: {format_cell(v, n)}' for (k, n), v in zip(COLUMNS.items(), row)
    ]
    print(', '.join(cells), flush=True)
    tolerance = args.tolerance
    if tolerance is None:
      tolerance = TOLERANCES.get(kernels)
    if tolerance is not None and not difference <= tolerance:
      failed.append(f'{artifact}: {difference:.1e} > {tolerance}')
  if args.out:
    write_result(args.out, list(COLUMNS), rows, digits=list(COLUMNS.values()))
  return failed


if __name__ == '__main__':
  sys.exit(main())
