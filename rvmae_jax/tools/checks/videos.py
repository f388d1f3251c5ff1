"""Checks a folder of videos for what would spoil a training run."""

import dataclasses
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence

import av
import numpy as np

from rvmae_jax.data.decoding import Reader, VideoError, open_record, probe
from rvmae_jax.data.fingerprints import size_bytes
from rvmae_jax.data.packets import open_container, video_stream
from rvmae_jax.data.readers import video_errors
from rvmae_jax.data.records import NO_LABEL
from rvmae_jax.data.sources.folder import find_videos
from rvmae_jax.data.sources.listing import existing_path, read_rows
from rvmae_jax.data.sources.splits import SPLITS, canonical_split
from rvmae_jax.tools.checks import duplicates
from rvmae_jax.tools.threads import in_threads

REMEDIES = {
  'unreadable': 'Copy or download it again (a cut-off .mp4 has lost its '
  'index), or remove it.',
  'damaged': 'Copy or download it again; clips that touch the damage are '
  'replaced in training and counted in data/bad_videos.',
  'truncated': 'Copy or download it again; what is there can be used.',
  'size changes': 'Re-encode it at one size, or cut it where it changes.',
  'short': 'Remove it, or sample shorter clips; clips play it back and forth.',
  'small': 'Remove it: it is no larger than a patch.',
  'missing': 'Correct the listing, or put the video in its place.',
  'leakage': 'Put all of them in one split, or keep one.',
  'duplicate': 'Keep one.',
  'near-duplicate': 'Look at them; keep one if they are the same.',
  'metadata': 'Nothing: it is read well here. Other programs may refuse it.',
  'slow': 'Nothing: it is read well, but slowly. Shards (tools/prepare) are '
  'fast.',
  'pixel aspect': 'Nothing, if shapes may be stretched: frames are read as '
  'they are stored. Else: ffmpeg -i IN -vf "scale=iw*sar:ih,setsar=1" OUT.',
}
# Worth knowing, but training is none the worse.
NOTES = ('near-duplicate', 'metadata', 'slow', 'pixel aspect')
# Players stretch by less than that without anybody seeing it.
_VISIBLE_STRETCH = 0.03


@dataclasses.dataclass(frozen=True)
class Problem:
  """One thing that is wrong.

  Attributes:
    kind: a key of REMEDIES.
    paths: of the videos concerned, relative to the folder.
    reason: what was found.
  """

  kind: str
  paths: tuple[str, ...]
  reason: str

  @property
  def remedy(self) -> str:
    return REMEDIES[self.kind]

  @property
  def is_note(self) -> bool:
    return self.kind in NOTES


@dataclasses.dataclass
class VideoReport:
  """One video; one that cannot be read has a path, a split and a size only.

  Attributes:
    path: relative to the folder.
    split: from the listing or the top folder, '' if neither tells.
    size_bytes: of the file, or of all images of a folder.
    num_frames: that come out of a full decode, damaged ones too; with `quick`
      those that the container lists.
    variable_rate: whether some interval is 25 % off the usual one.
    The others: see `data.encoded.VideoInfo`.
  """

  path: str
  split: str = ''
  size_bytes: int = 0
  container: str = ''
  codec: str = ''
  pixel_format: str = ''
  width: int = 0
  height: int = 0
  fps: float = 0.0
  num_frames: int = 0
  duration_s: float = 0.0
  start_s: float = 0.0
  rotation_degrees: int = 0
  is_mirrored: bool = False
  pixel_aspect: float = 1.0
  variable_rate: bool = False


@dataclasses.dataclass(frozen=True)
class FolderReport:
  """All videos of a folder, and all that is wrong with them."""

  videos: list[VideoReport]
  problems: list[Problem]


def check_videos(
  folder: str,
  listing: str = '',
  num_workers: int = 0,
  quick: bool = False,
  min_frames: int = 8,
  min_size: int = 16,
) -> FolderReport:
  """Checks all videos below a folder.

  Args:
    folder: holds video files and folders of images, however deep.
    listing: a CSV, JSON or JSONL file as the `listing` source reads it; tells
      the splits, and which videos should be there.
    num_workers: threads; 0 means one for each CPU core.
    quick: decode a few frames of each video, and so miss some damage.
    min_frames: fewer are a problem.
    min_size: a smaller width or height is a problem, in pixels.

  Raises:
    FileNotFoundError: no such folder, no video in it, or no such listing.
    ValueError: the listing cannot be understood.
  """
  names = find_videos(folder)
  split_of = {name: _folder_split(name) for name in names}
  problems = []
  if listing:
    listed = _listed_splits(listing, folder)
    # A list without splits leaves those of the folders.
    split_of |= {
      name: ' '.join(found)
      for name, found in listed.items()
      if found or name not in split_of
    }
    problems += [
      Problem('leakage', (name,), f'parts of it are in {" and ".join(found)}')
      for name, found in listed.items()
      if len(found) > 1
    ]
    problems += [
      Problem('missing', (name,), f'{listing} names it; it is not there')
      for name in listed
      if not os.path.exists(os.path.join(folder, name))
    ]

  def check(name):
    return _check_video(folder, name, quick, min_frames, min_size)

  videos, signatures = [], {}
  for video, found, signature in in_threads(check, names, num_workers):
    video.split = split_of[video.path]
    videos.append(video)
    problems += found
    if signature is not None:
      signatures[video.path] = signature
  # Empty files are all alike, and yet not the same video.
  comparable = [
    video.path
    for video in videos
    if video.size_bytes and os.access(os.path.join(folder, video.path), os.R_OK)
  ]
  problems += _find_duplicates(folder, split_of, comparable, signatures)
  return FolderReport(videos, problems)


def _check_video(folder, name, quick, min_frames, min_size):
  """(VideoReport, problems, signature or None) of one video."""
  path = os.path.join(folder, name)
  video, found, signature = VideoReport(name), {}, None
  try:
    video.size_bytes = size_bytes(path)
    with open_record({'path': path, 'label': NO_LABEL}) as reader:
      _describe(video, path, reader)
      if not quick and os.path.isdir(path):
        found |= _decode_images(reader)
      elif not quick:
        found |= _decode_file(video, path)
      if video.num_frames < min_frames:
        found['short'] = f'frames: {video.num_frames}, less than {min_frames}'
      if min(video.width, video.height) < min_size:
        found['small'] = f'{video.width} x {video.height} pixels'
      if abs(video.pixel_aspect - 1) > _VISIBLE_STRETCH:
        shown = round(video.width * video.pixel_aspect)
        found['pixel aspect'] = (
          f'its pixels are {video.pixel_aspect:.3g} times as wide as high: '
          f'players show {shown} x {video.height}'
        )
      signature = duplicates.signature_of(reader)
      # Known by now: frames far apart have been read.
      if reader.slow_because:
        found['slow'] = reader.slow_because
  except (VideoError, OSError) as error:
    # A full decode has said more about the damage than one frame can.
    if not {'damaged', 'truncated', 'size changes'} & found.keys():
      kind = 'damaged' if video.num_frames else 'unreadable'
      found[kind] = getattr(error, 'reason', str(error))
  problems = [Problem(kind, (name,), reason) for kind, reason in found.items()]
  return video, problems, signature


def _describe(video: VideoReport, path: str, reader: Reader) -> None:
  """Fills in what the container and the first frame say."""
  if os.path.isdir(path):
    video.container = 'images'
    video.height, video.width = reader.read([0]).shape[1:3]
    video.num_frames = reader.num_frames
  else:
    for key, value in dataclasses.asdict(probe(path)).items():
      setattr(video, key, value)
    intervals = np.diff(reader.timestamps_s)
    if intervals.size:
      usual = np.median(intervals)
      off = np.abs(intervals - usual).max()
      video.variable_rate = bool(off > 0.25 * usual)


def _decode_images(reader: Reader) -> dict[str, str]:
  """Reads all images of a folder; returns reasons by kind of problem."""
  sizes = {reader.read([i]).shape[1:3] for i in range(reader.num_frames)}
  return _size_problem(sizes)


def _decode_file(video: VideoReport, path: str) -> dict[str, str]:
  """Decodes a whole file; returns reasons by kind of problem.

  Unlike a reader it goes on after damage, to count all of it.
  """
  found = {}
  num_frames = num_damaged = num_failed = num_hidden = num_lost = 0
  sizes = set()
  with video_errors(path), open_container(path) as container:
    if _is_metadata_broken(container):
      found['metadata'] = 'some of the metadata are not valid UTF-8'
    stream = video_stream(container)
    for packet in container.demux(stream):
      num_hidden += packet.is_discard and packet.size > 0
      try:
        frames = packet.decode()
      except av.FFmpegError:
        # What comes before the first frame lacks a key frame that was cut off.
        num_failed += num_frames > 0
        num_lost += num_frames == 0
        continue
      num_frames += len(frames)
      num_damaged += sum(frame.is_corrupt for frame in frames)
      sizes |= {(frame.height, frame.width) for frame in frames}
    # Other containers count otherwise, or not at all.
    stated = stream.frames if 'mp4' in container.format.name else 0
  video.num_frames = num_frames
  if num_frames + num_failed + num_hidden + num_lost < stated:
    found['truncated'] = (
      f'it has {num_frames} frames, but announces {stated - num_hidden}'
    )
  elif num_damaged + num_failed:
    found['damaged'] = (
      f'{num_damaged} of {num_frames} frames are damaged, and {num_failed} '
      'packets do not decode'
    )
  return found | _size_problem(sizes)


def _is_metadata_broken(container: av.container.InputContainer) -> bool:
  """Whether there are bytes that are no text; they are read as surrogates."""
  tags = [container.metadata, *(s.metadata for s in container.streams)]
  texts = itertools.chain.from_iterable(tag.values() for tag in tags)
  return any('\udc80' <= char <= '\udcff' for char in ''.join(texts))


def _size_problem(sizes: set[tuple[int, int]]) -> dict[str, str]:
  if len(sizes) < 2:
    return {}
  shown = ', '.join(f'{width} x {height}' for height, width in sorted(sizes))
  return {'size changes': f'its frames are {shown} pixels'}


def _find_duplicates(
  folder: str,
  split_of: Mapping[str, str],
  names: Sequence[str],
  signatures: Mapping[str, np.ndarray],
) -> Iterator[Problem]:
  """Videos that are there twice; leakage where the splits differ."""
  path_of = {os.path.join(folder, name): name for name in names}
  exact = [
    tuple(path_of[path] for path in group)
    for group in duplicates.exact_duplicates(path_of)
  ]
  for group in exact:
    yield _duplicate('duplicate', group, split_of, 'the same content')
  copies = {name for group in exact for name in group[1:]}
  distinct = [name for name in signatures if name not in copies]
  if not distinct:
    return
  looks = np.stack([signatures[name] for name in distinct])
  for near in duplicates.near_duplicates(looks):
    group = tuple(distinct[i] for i in near)
    yield _duplicate('near-duplicate', group, split_of, 'they look the same')


def _duplicate(kind, group, split_of, reason) -> Problem:
  splits = sorted({split_of[name] for name in group} - {''})
  if len(splits) > 1:
    return Problem('leakage', group, f'{reason}, in {" and ".join(splits)}')
  return Problem(kind, group, reason)


def _folder_split(name: str) -> str:
  folders = map(canonical_split, name.split(os.sep)[:-1][:2])
  return next((folder for folder in folders if folder in SPLITS), '')


def _listed_splits(listing: str, folder: str) -> dict[str, list[str]]:
  """Splits by path relative to `folder`: parts of a video may have several."""
  root = os.path.dirname(os.path.abspath(listing))
  splits = {}
  for row in read_rows(listing):
    path = os.path.join(root, row['path'])
    name = os.path.relpath(existing_path(path) or path, folder)
    found = splits.setdefault(name, [])
    if row.get('split') and str(row['split']) not in found:
      found.append(str(row['split']))
  return splits
