"""An evaluation in words, before it is run: what it reads, pools and trains."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from rvmae_jax.data.decoding import VideoError
from rvmae_jax.evals import EVALS, Evaluation
from rvmae_jax.evals.pooling import Pooling
from rvmae_jax.evals.videos import Videos

_MAX_FRAMES = 24


def describe(alias: str, evaluation: Evaluation) -> str:
  """What an evaluation does, line by line; opens its first video.

  Args:
    alias: its name in the config.
    evaluation: see `rvmae_jax.evals`.
  """
  names = [field.name for field in dataclasses.fields(evaluation)]
  settings = {name: getattr(evaluation, name) for name in names}
  lines = [*_of_first(evaluation)]
  if not lines and (files := evaluation.test_files()):
    lines = [f'  {len(files)} files, the first {files[0]}']
  lines.insert(0, f'{alias}: {EVALS.name_of(type(evaluation))}')
  sides = evaluation.videos_by_side()
  if not sides and 'size' not in settings:
    lines.append('  pixels: {} x {}'.format(*evaluation.videos.size))
  for side, videos in sides.items():
    lines += _of_videos(side, videos)
  for name in settings.get('poolings', ()):
    *_, videos = sides.values()
    num_frames = videos.num_frames // settings.get('num_clips', 1)
    text = Pooling.named(name).describe(num_frames, videos.tubelet_size)
    lines.append(f'  pooled {name}: {text}')
  if evaluation.trivial_name:
    lines.append(f'  answer that ignores the video: {evaluation.trivial_name}')
  lines.append(f'  trainings: {evaluation.num_trainings}')
  lines += [
    f'  {name}: {value}'
    for name, value in settings.items()
    if not isinstance(value, Videos)
  ]
  return '\n'.join(lines)


def _of_videos(side: str, videos: Videos) -> Iterator[str]:
  yield f'  {side}: {videos.num_videos} videos'
  for alias, source in videos.sources.items():
    yield f'    {alias}: {_settings(source)}'
  if videos.crop:
    height, width = videos.size
    yield f'    pixels: {height} x {width}'
  if videos.mask:
    yield f'    hidden: {_settings(videos.mask)}'
  if not videos.clip:
    yield '    frames: all'
    return
  yield f'    clip: {_settings(videos.clip)}'
  yield from _of_first(videos)


def _of_first(reader: Evaluation | Videos) -> Iterator[str]:
  """Its `first_frames` and their times, if it reads any."""
  try:
    first = reader.first_frames()
  except VideoError as error:
    yield f'    the first cannot be read: {error}'
    return
  if first is None:
    return
  path, frames = first
  yield f'    of the first, {path}:'
  for key, (indices, times_s) in frames.items():
    pairs = [f'{i} ({t:.3f} s)' for i, t in zip(indices, times_s)]
    if len(pairs) > _MAX_FRAMES:
      half = _MAX_FRAMES // 2
      pairs = [*pairs[:half], '...', *pairs[-half:]]
    yield f'      {key}: frames {" ".join(pairs)}'


def _settings(settings: dict[str, Any]) -> str:
  others = [f'{k}={v!r}' for k, v in settings.items() if k != 'name']
  return f'{settings["name"]}({", ".join(others)})'
