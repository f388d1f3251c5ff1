"""Measures how fast libraries read the frames of a clip from video files.

  taskset -c 0 python -m rvmae_jax.benchmarks decoders --videos DIR \\
    [--seconds 30]

Each reads the same frames of the same files in turn, one file after the other,
round after round, since machines drift: four frames in a row and four of the 48
after them, as RVM is trained on, at the size of the file. `ours` is what the
pipeline uses; `pyav` is PyAV used in the simplest way, decoding from the start
to the last frame that is wanted. Decord and TorchCodec take part where they are
installed (`pip install decord torch torchcodec`). One thread each. The last
line is the result as JSON.
"""

import json
import os
import time
from collections.abc import Callable, Sequence

import numpy as np
from absl import app, flags

from rvmae_jax.commands import run_command
from rvmae_jax.data.decoding import VideoError, open_record
from rvmae_jax.data.packets import open_container
from rvmae_jax.data.records import NO_LABEL
from rvmae_jax.data.sources.folder import find_videos

# (path, sorted frame indices) -> [n, H, W, 3] uint8.
Read = Callable[[str, Sequence[int]], np.ndarray]

_NUM_SOURCE, _NUM_TARGET, _MAX_GAP = 4, 4, 48
_SAME = 3  # Mean difference of two conversions of one frame, at most.


def read_ours(path: str, indices: Sequence[int]) -> np.ndarray:
  """As the pipeline reads: key frames looked up, no frame in vain."""
  with open_record({'path': path, 'label': NO_LABEL}) as reader:
    return reader.read(indices)


def read_pyav(path: str, indices: Sequence[int]) -> np.ndarray:
  """From the first frame of the file to the last of `indices`."""
  wanted, frames = set(indices), []
  with open_container(path) as container:
    stream = container.streams.video[0]
    stream.codec_context.thread_count = 1
    for number, frame in enumerate(container.decode(stream)):
      if number in wanted:
        frames.append(frame.to_ndarray(format='rgb24'))
      if len(frames) == len(wanted):
        break
  return np.stack(frames)


def read_decord(path: str, indices: Sequence[int]) -> np.ndarray:
  """Decord's reader of batches."""
  import decord

  return decord.VideoReader(path, num_threads=1).get_batch(indices).asnumpy()


def read_torchcodec(path: str, indices: Sequence[int]) -> np.ndarray:
  """TorchCodec's, with frames counted exactly, as ours are."""
  from torchcodec.decoders import VideoDecoder

  decoder = VideoDecoder(
    path, dimension_order='NHWC', num_ffmpeg_threads=1, seek_mode='exact'
  )
  return decoder.get_frames_at(list(indices)).data.numpy()


DECODERS: dict[str, Read] = {
  'ours': read_ours,
  'pyav': read_pyav,
  'decord': read_decord,
  'torchcodec': read_torchcodec,
}


def benchmark_decoders(
  clips: Sequence[tuple[str, Sequence[int]]],
  decoders: dict[str, Read],
  seconds: float,
) -> dict[str, dict[str, float]]:
  """Measures decoders in turn.

  Args:
    clips: file and frames, as `draw_clips` gives them.
    decoders: name -> function; the first is the one compared with.
    seconds: of measuring in all; each clip is read once at least.

  Returns:
    Name -> `clips_per_s`, `ratio` to the first's, and `different`: the share of
    clips whose frames differ by more than 3 of 255 in the mean: conversions
    of colours differ by less, other frames of a moving video by more.
  """
  taken_s = dict.fromkeys(decoders, 0.0)
  different = dict.fromkeys(decoders, 0)
  num_clips, start = 0, time.perf_counter()
  while num_clips < len(clips) or time.perf_counter() - start < seconds:
    path, indices = clips[num_clips % len(clips)]
    num_clips += 1
    first = None
    for name, read in decoders.items():
      began = time.perf_counter()
      frames = read(path, indices)
      taken_s[name] += time.perf_counter() - began
      first = frames if first is None else first
      different[name] += _differ(frames, first)
  first_s = next(iter(taken_s.values()))
  return {
    name: {
      'clips_per_s': num_clips / taken_s[name],
      'ratio': first_s / taken_s[name],
      'different': different[name] / num_clips,
    }
    for name in decoders
  }


def draw_clips(folder: str) -> list[tuple[str, list[int]]]:
  """One clip of each file that can be opened and is long enough."""
  rng = np.random.default_rng(0)
  clips = []
  for name in find_videos(folder):
    path = os.path.join(folder, name)
    if not os.path.isfile(path):
      continue
    try:
      with open_record({'path': path, 'label': NO_LABEL}) as reader:
        num_frames = reader.num_frames
    except VideoError:
      continue
    span = min(num_frames, _NUM_SOURCE + _MAX_GAP)
    if span < _NUM_SOURCE + _NUM_TARGET:
      continue
    start = int(rng.integers(num_frames - span + 1))
    later = rng.choice(np.arange(_NUM_SOURCE, span), _NUM_TARGET, replace=False)
    clips.append(
      (path, [start + int(i) for i in [*range(_NUM_SOURCE), *sorted(later)]])
    )
  return clips


def usable(path: str, indices: Sequence[int]) -> dict[str, Read]:
  """The decoders that read a clip here; the others are named with a reason."""
  decoders = {}
  for name, read in DECODERS.items():
    try:
      read(path, indices)
      decoders[name] = read
    except Exception as error:  # Whatever a missing library raises.
      reason = str(error).strip().splitlines() or ['']
      print(f'{name} left out: {type(error).__name__}: {reason[0]}')
  return decoders


def _differ(frames: np.ndarray, first: np.ndarray) -> bool:
  if frames.shape != first.shape:
    return True
  return bool(np.abs(frames.astype(np.int16) - first).mean() > _SAME)


def main(args: flags.FlagValues) -> None:
  """Runs the command."""
  clips = draw_clips(args.videos)
  if not clips:
    raise app.UsageError(
      f'No video under {args.videos} is readable and has '
      f'{_NUM_SOURCE + _NUM_TARGET} frames.'
    )
  results = benchmark_decoders(clips, usable(*clips[0]), args.seconds)
  print(f'{len(clips)} files, {len(os.sched_getaffinity(0))} cores')
  print(f'{"":12} {"clips/s":>8} {"ratio":>6} {"different":>9}')
  for name, row in results.items():
    print(
      f'{name:12} {row["clips_per_s"]:8.2f} {row["ratio"]:6.2f} '
      f'{row["different"]:9.1%}'
    )
  print(json.dumps({'videos': len(clips), **results}))


if __name__ == '__main__':
  flags.DEFINE_string('videos', None, 'Folder of video files.')
  flags.DEFINE_float('seconds', 30, 'Seconds to measure for, in total.')
  flags.mark_flag_as_required('videos')
  run_command(main)
