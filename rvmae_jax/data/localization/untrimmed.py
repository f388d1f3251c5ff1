"""Untrimmed videos, and finding their files."""

import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from absl import logging

from rvmae_jax.data.frames import Video, frame_times_s, read_frames
from rvmae_jax.data.sources.folder import find_videos
from rvmae_jax.registry import some_names

# The label of what annotators were not sure about.
AMBIGUOUS = -1


@dataclasses.dataclass(frozen=True)
class UntrimmedVideo:
  """One long video and what happens in it.

  Attributes:
    name: as the annotations call it.
    parts: what is shown one after the other, mostly a single file; each is what
      `frames.read_frames` takes.
    segments_s: [n, 2] float64, start and end in seconds.
    labels: [n] int32, places in the set's `class_names`, or AMBIGUOUS.
  """

  name: str
  parts: Sequence[Video]
  segments_s: np.ndarray
  labels: np.ndarray

  def read(self, size: tuple[int, int], fps: float = 0) -> Iterator[np.ndarray]:
    """Yields frames [H, W, 3] uint8 in order.

    Args:
      size: (height, width) that they are resized to.
      fps: about so many a second: of each part every n-th frame, n whole; 0
        takes all.
    """
    for part in self.parts:
      yield from read_frames(part, size, _stride(frame_times_s(part), fps))

  def times_s(self, fps: float = 0) -> np.ndarray:
    """When the frames of `read` begin, and the last one ends: [n + 1]."""
    times, end = [], 0.0
    for part in self.parts:
      of_part = frame_times_s(part)
      times.append(end + of_part[:: _stride(of_part, fps)])
      # The last frame is shown for as long as most are.
      end += of_part[-1] + _period(of_part)
    return np.append(np.concatenate(times), end)


def _period(times_s: np.ndarray) -> float:
  """Seconds that most frames are shown for; 1 for a single one."""
  return float(np.median(np.diff(times_s))) if len(times_s) > 1 else 1.0


def _stride(times_s: np.ndarray, fps: float) -> int:
  return max(round(1 / (fps * _period(times_s))), 1) if fps else 1


@dataclasses.dataclass(frozen=True)
class LocalizationSet:
  """The videos of one subset.

  Attributes:
    videos: in order of name.
    class_names: of all subsets, by label.
  """

  videos: Sequence[UntrimmedVideo]
  class_names: Sequence[str]


def build_videos(
  instances: dict[str, list[tuple[float, float, int]]], paths: dict[str, str]
) -> list[UntrimmedVideo]:
  """Videos from their (start, end, label), in seconds, and their paths."""
  videos = []
  for name in sorted(paths):
    times = np.array([row[:2] for row in instances[name]], np.float64)
    labels = np.array([row[2] for row in instances[name]], np.int32)
    # An empty list has no columns yet: [0] -> [0, 2]
    times = times.reshape(-1, 2)
    videos.append(UntrimmedVideo(name, [paths[name]], times, labels))
  return videos


def find_files(
  reader: str,
  names: Sequence[str],
  folder: str,
  prefixes: Sequence[str] = ('',),
  allow_missing: bool = False,
) -> dict[str, str]:
  """The file of each video, anywhere below a folder.

  Args:
    reader: who asks, for messages.
    names: of the videos, without a suffix.
    folder: where to look.
    prefixes: what files may have before the name.
    allow_missing: leave videos out whose file is not there, with a line in the
      log, as long as there is one; datasets of the web lose some every year.

  Returns:
    Name -> path.

  Raises:
    FileNotFoundError: videos without a file; the message says what was looked
      for and what was found.
  """
  found = {}
  for file in find_videos(folder):
    path = os.path.join(folder, file)
    # A folder of images is a video too, and may have a dot in its name.
    stem = file if os.path.isdir(path) else os.path.splitext(file)[0]
    found[os.path.basename(stem)] = path
  paths = {
    name: found[prefix + name]
    for name in names
    for prefix in prefixes
    if prefix + name in found
  }
  if len(paths) == len(names):
    return paths
  missing = sorted(set(names) - set(paths))
  message = (
    f'{reader}: {len(missing)} of {len(names)} videos have no file below '
    f'{folder!r}. Looked for {_some([p + missing[0] for p in prefixes])} with '
    f"any video's suffix (or a folder of images of that name), and so on for "
    f'{_some(missing)}; found {len(found)} videos: {_some(sorted(found))}.'
  )
  if not (allow_missing and paths):
    raise FileNotFoundError(
      f'{message} Set `videos` to their folder, or `allow_missing` to '
      'continue with those that are there.'
    )
  logging.warning('%s Continuing without them.', message)
  return paths


def _some(names: Iterable[str]) -> str:
  return some_names(map(repr, names), most=4)
