"""Streams videos through a recurrent network: features frame by frame, live.

    python -m rvmae_jax.stream --checkpoint runs/rvm --video FILE \\
      [--video ...] [--size 256x256] [--dtype bfloat16] \\
      [--out FEATURES] [--tokens]

A video is a file, a folder of images, or what FFmpeg calls a URL: a network
camera (`rtsp://...`), or a camera of this machine (`/dev/video0`). Several are
read side by side, as rows of one batch. Memory does not grow with their length.
For a classifier, features are those of its backbone. Ctrl-C stops it and keeps
the features so far.

With `--out` it leaves one array for each video, FEATURES/<name>.npy: [T, D],
the mean over the tokens of each frame, or with `--tokens` all of them,
[T, 1+h*w, D]. The last line it prints is JSON: milliseconds from a frame to its
features (median and 95th percentile), frames a second, and memory.
"""

import collections
import concurrent.futures
import contextlib
import io
import json
import pathlib
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from rvmae_jax import config_utils, weights
from rvmae_jax.commands import run_command
from rvmae_jax.data.frames import read_frames, read_live
from rvmae_jax.layers.bfloat16_products import (
  bfloat16_kernels,
  bfloat16_products,
)
from rvmae_jax.models import build_model
from rvmae_jax.models.backbone import OnBackbone
from rvmae_jax.training.logging import show_own_lines

_REPORT_EVERY_S = 5.0
# Latencies of this many last frames are kept.
_NUM_LATENCIES = 10_000


class Stream:
  """A recurrent network that is given one frame at a time.

      stream = Stream(model, params, size=(256, 256))
      for frame in camera:
        features = stream(frame[None])  # [1, 1+h*w, D]

  It is compiled at the first frame; later ones take the same time and memory.
  On a CPU a bfloat16 network multiplies bfloat16 and does the rest in float32,
  which is faster and nearer to float32; see `layers.bfloat16_products`.

  Args:
    model: with `init_state` and `step`, such as RVM; of a network that stands
      on another one, such as a classifier, the backbone streams.
    params: its parameters.
    size: (height, width) of the frames.
    num_streams: videos side by side.

  Raises:
    ValueError: the model carries no state, or patches do not tile the frame.
  """

  def __init__(
    self,
    model: Any,
    params: Any,
    size: tuple[int, int],
    num_streams: int = 1,
  ):
    if isinstance(model, OnBackbone):
      model, params = model.backbone, params['backbone']
    if not getattr(model, 'is_recurrent', False):
      raise ValueError(
        f'{type(model).__name__} carries no state from frame to frame, so it '
        'cannot take a stream; `python -m rvmae_jax.tools.extract` gives it '
        'windows of frames.'
      )
    products = contextlib.nullcontext
    if jax.default_backend() == 'cpu' and model.dtype == jnp.bfloat16:
      products = bfloat16_products
      params = bfloat16_kernels(params)  # Once, not at every frame.
      model = model.clone(dtype=jnp.float32)
    self._params = jax.device_put(params)

    def step(params, state, frames):
      variables = {'params': params}
      with products():
        state, features = model.apply(variables, state, frames, method='step')
      return state, features.astype(jnp.float32)

    # The old state's memory is the new one's.
    self._step = jax.jit(step, donate_argnums=1)
    self._shape = (num_streams, *size, 3)
    self._zeros = model.init_state(num_streams, *size)
    self.reset()

  def __call__(self, frames: np.ndarray) -> jax.Array:
    """The next frames: [B, H, W, 3] uint8, RGB -> [B, 1+h*w, D].

    Raises:
      ValueError: frames of another number, size or type.
    """
    dtype = getattr(frames, 'dtype', type(frames).__name__)
    if dtype != np.uint8:
      raise ValueError(
        f'Frames are {dtype}, and a stream takes uint8, from 0 to 255: '
        'convert them.'
      )
    if np.shape(frames) != self._shape:
      raise ValueError(
        f'Frames have shape {np.shape(frames)}, and this stream takes '
        f'{self._shape}, (streams, height, width, 3): resize them, or make a '
        'Stream for them.'
      )
    self._state, features = self._step(self._params, self._state, frames)
    return features

  def reset(self) -> None:
    """Forgets all frames so far."""
    self._state = jnp.copy(self._zeros)


class GrowingArray:
  """A .npy file that grows along its first axis; readable after each row.

  Args:
    path: of the file; one that is there is replaced.
  """

  def __init__(self, path: pathlib.Path):
    self._path = path
    self._file = None
    self._shape, self._length = (), 0

  def append(self, row: np.ndarray) -> None:
    """Adds a row; all have the shape and dtype of the first."""
    if self._file is None:
      self._file = self._path.open('wb')
      self._shape, self._dtype = row.shape, row.dtype
      self._write_header()
    self._file.seek(0, io.SEEK_END)
    self._file.write(np.ascontiguousarray(row).data)
    self._length += 1
    # The header is written after every row: a stream may be killed, and rows
    # that the header does not count are lost. It has room for larger counts.
    self._file.seek(0)
    self._write_header()
    self._file.flush()

  def close(self) -> None:
    """Closes the file."""
    if self._file is not None:
      self._file.close()

  def _write_header(self) -> None:
    np.lib.format.write_array_header_1_0(
      self._file,
      {
        'descr': np.lib.format.dtype_to_descr(self._dtype),
        'fortran_order': False,
        'shape': (self._length, *self._shape),
      },
    )


def side_by_side(
  videos: Sequence[Iterator[np.ndarray]],
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  """Frames of several videos until the longest ends, the next ones read ahead.

  Yields:
    [B, H, W, 3], and [B] bool: which videos still run. One that has ended
    stands still at its last frame, one without any is black.
  """
  threads = concurrent.futures.ThreadPoolExecutor(len(videos))

  def ask():
    return [threads.submit(next, video, None) for video in videos]

  try:
    coming, last = ask(), [None] * len(videos)
    while True:
      frames = [future.result() for future in coming]
      is_running = np.array([frame is not None for frame in frames])
      if not is_running.any():
        return
      coming = ask()
      last = [old if new is None else new for new, old in zip(frames, last)]
      blank = np.zeros_like(next(frame for frame in last if frame is not None))
      yield (
        np.stack([blank if frame is None else frame for frame in last]),
        is_running,
      )
  finally:
    threads.shutdown(wait=False)  # A camera may be silent.


def run(
  stream: Stream,
  videos: Sequence[Iterator[np.ndarray]],
  arrays: Sequence[GrowingArray] = (),
  all_tokens: bool = False,
) -> dict[str, float]:
  """Runs videos through a stream to their ends, or until Ctrl-C.

  Args:
    stream: for as many videos.
    videos: their frames, of the stream's size.
    arrays: where the features of each go; none to drop them.
    all_tokens: whether features are kept for every token.

  Returns:
    `frames`, the number of frames of all videos; `frames_per_s`, timed from the
    second step on; `p50_ms` and `p95_ms`, the time from a frame to its features
    on the host; `memory_mib`, the process's peak memory; and
    `memory_growth_mib`, the growth of that peak after the first 100 steps.
  """
  latencies_ms = collections.deque(maxlen=_NUM_LATENCIES)
  num_steps = num_frames = num_timed = 0
  start_s = end_s = reported_s = time.perf_counter()
  settled_mib = 0.0
  with contextlib.suppress(KeyboardInterrupt):
    for frames, is_running in side_by_side(videos):
      given_s = time.perf_counter()
      features = np.asarray(stream(frames))
      latencies_ms.append(1e3 * (time.perf_counter() - given_s))
      for array, row, runs in zip(arrays, features, is_running):
        if runs:
          array.append(row if all_tokens else row.mean(0))
      num_steps += 1
      num_frames += int(is_running.sum())
      end_s = time.perf_counter()
      if num_steps == 1:  # It was compiled, which is not timed.
        latencies_ms.clear()
        start_s, num_timed = end_s, -num_frames
      if num_steps == 100:
        settled_mib = _peak_mib()
      if end_s - reported_s > _REPORT_EVERY_S:
        reported_s = end_s
        print(f'{num_steps} frames of {len(frames)} videos', file=sys.stderr)
  result = {'frames': num_frames}
  if latencies_ms:
    num_timed += num_frames
    result |= {
      'frames_per_s': num_timed / (end_s - start_s),
      'p50_ms': float(np.percentile(latencies_ms, 50)),
      'p95_ms': float(np.percentile(latencies_ms, 95)),
    }
  if settled_mib:
    result['memory_growth_mib'] = _peak_mib() - settled_mib
  return result | {'memory_mib': _peak_mib()}


def open_video(video: str, size: tuple[int, int]) -> Iterator[np.ndarray]:
  """The frames of a file or folder, else of what FFmpeg opens by that name."""
  path = pathlib.Path(video)
  if path.is_file() or path.is_dir():
    return read_frames(video, size)
  return read_live(video, size)


def _peak_mib() -> float:
  """Of this process, so far."""
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  return peak / (2**20 if sys.platform == 'darwin' else 2**10)


def main(args: flags.FlagValues) -> None:
  """Runs the command."""
  show_own_lines()
  params, config = weights.load(args.checkpoint)
  size = tuple(config.data.crop.size)
  if args.size:
    try:
      size = config_utils.parse_size(args.size)
    except ValueError as error:
      raise app.UsageError(f'--size: {error}') from error
  names = [pathlib.Path(video).stem for video in args.video]
  if args.out and len(set(names)) < len(names):
    raise app.UsageError(
      f'Two videos would be written to one file: {names}. Stream each by '
      'itself, to an --out of its own.'
    )
  fields = dict(config.model)
  if args.dtype:
    fields['dtype'] = args.dtype
  stream = Stream(build_model(fields), params, size, len(names))
  arrays = []
  if args.out:
    out = pathlib.Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    arrays = [GrowingArray(out / f'{name}.npy') for name in names]
  with contextlib.ExitStack() as closing:
    for array in arrays:
      closing.callback(array.close)
    videos = [open_video(video, size) for video in args.video]
    result = run(stream, videos, arrays, args.tokens)
  device = jax.devices()[0].device_kind
  print(json.dumps({'device': device, 'videos': len(names), **result}))


if __name__ == '__main__':
  flags.DEFINE_string(
    'checkpoint', None, 'A run or weights file of a recurrent network.'
  )
  flags.DEFINE_multi_string('video', None, 'File, folder of images, or URL.')
  flags.DEFINE_string(
    'size', '', 'HEIGHTxWIDTH of frames; default: as in training.'
  )
  flags.DEFINE_enum(
    'dtype',
    None,
    ['float32', 'bfloat16'],
    'Type to compute in; default: as in training.',
  )
  flags.DEFINE_string('out', '', 'Folder for the features.')
  flags.DEFINE_bool('tokens', False, 'Keep every token, not their mean.')
  flags.mark_flags_as_required(['checkpoint', 'video'])
  run_command(main)
