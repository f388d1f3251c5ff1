"""Videos of a folder tree: the class is the folder."""

import collections
import os
from collections.abc import Iterator, Sequence

from rvmae_jax.data.classes import clean_label
from rvmae_jax.data.decoding import IMAGE_SUFFIXES
from rvmae_jax.data.notices import warn_once
from rvmae_jax.data.records import NO_LABEL, Record
from rvmae_jax.data.sources.splits import (
  SHARES,
  SPLITS,
  assign_splits,
  canonical_split,
)
from rvmae_jax.registry import some_names

VIDEO_SUFFIXES = (
  *('.mp4', '.m4v', '.mov', '.avi', '.mkv', '.webm', '.gif', '.mpg', '.mpeg'),
  *('.wmv', '.flv', '.ts', '.mts', '.m2ts', '.3gp', '.ogv', '.ogg', '.vob'),
  *('.asf', '.m2v', '.h264', '.264', '.hevc', '.h265', '.265'),
)


class Folder:
  """All videos below a folder.

  Layouts, told apart by looking:

      path/train/wave/a.mp4   folders `train`, `val`, `test` on top
      path/wave/train/a.mp4   the same below the classes
      path/wave/a.mp4         no such folders: each class is divided by `shares`
      path/a.mp4              the same, without labels

  Splits may be written `Training` or `validation`. The class is the first other
  folder, however deep in it a video lies. A folder with images and no video
  files is itself one video, its frames in order of name.

  Args:
    path: the folder.
    split: 'train', 'val', 'test' or 'all'.
    shares: of train, val and test where no folders tell; see splits.py.

  Attributes:
    class_names: the class folders of all splits, sorted.
    splits: those that have videos.

  Raises:
    FileNotFoundError: no such folder, no video in it, or none in this split;
      the message says what was looked for and what was found.
    ValueError: an unknown split, or videos beside the split folders.
  """

  def __init__(
    self, path: str, split: str = 'train', shares: Sequence[float] = SHARES
  ):
    split = canonical_split(split)
    if split not in (*SPLITS, 'all'):
      raise ValueError(
        f'folder: split={split!r} is not one of {SPLITS} or all.'
      )
    self._path = os.path.abspath(path)
    names = find_videos(self._path)
    classes, splits = read_folders(names, path)
    splits = splits or assign_splits(names, classes, shares)
    self.class_names = sorted({*classes} - {''})
    self.splits = sorted({*splits})
    self._videos = [
      (name, self.class_names.index(c) if c else NO_LABEL)
      for name, c, s in zip(names, classes, splits)
      if split in (s, 'all')
    ]
    if not self._videos:
      raise FileNotFoundError(
        f'folder: no videos of split {split!r} in {path!r}, which has '
        f'{dict(collections.Counter(splits))}. Name another split or "all".'
      )

  def __len__(self) -> int:
    return len(self._videos)

  def __getitem__(self, index: int) -> Record:
    name, label = self._videos[index]
    return {'path': os.path.join(self._path, name), 'label': label}


def read_folders(
  names: Sequence[str], path: str = ''
) -> tuple[list[str], list[str] | None]:
  """Classes and splits that the folders of some videos tell.

  Args:
    names: of the videos, relative to `path`.
    path: for messages.

  Returns:
    The class of each, '' for none; and the split of each, or None where no
    folder tells.

  Raises:
    ValueError: some videos lie in a folder of a split and others do not.
  """
  # Folders between `path` and the video: 'train/wave/a.mp4' has two.
  folders = [name.split(os.sep)[:-1] for name in names]
  for level in (0, 1):
    found = [''.join(parts[level : level + 1]) for parts in folders]
    splits = [canonical_split(folder) for folder in found]
    if not {*splits} & {*SPLITS}:
      continue
    strays = [name for name, s in zip(names, splits) if s not in SPLITS]
    if strays:
      of_splits = sorted(f for f in {*found} if canonical_split(f) in SPLITS)
      raise ValueError(
        f'folder: {path!r} has folders {of_splits} '
        f'{"inside of others" if level else "on top"}, but {len(strays)} '
        f'videos lie outside of them, such as {strays[0]!r}. Move them into '
        f'{"/".join(SPLITS)} or elsewhere; or, if {of_splits[0]!r} is no '
        'split, give it another name.'
      )
    return [_class(parts[1 - level : 2 - level]) for parts in folders], splits
  return [_class(parts[:1]) for parts in folders], None


def _class(folder: Sequence[str]) -> str:
  return clean_label(''.join(folder))


def find_videos(path: str) -> list[str]:
  """Video files and folders of images below a folder, hidden ones left out.

  Links to folders are followed; a folder that is met twice, as after a link to
  one above, is looked at once, and the log says so.

  Args:
    path: the folder.

  Returns:
    Their names relative to `path`, sorted.

  Raises:
    FileNotFoundError: no such folder, or no video in it.
  """
  if not os.path.isdir(path):
    raise FileNotFoundError(f'No folder {path!r} to look for videos in.')
  names, others = [], collections.Counter()
  for folder, files in _walk(path):
    suffixes = {
      name: os.path.splitext(name)[1].lower()
      for name in files
      if not name.startswith('.')
    }
    videos = [n for n, suffix in suffixes.items() if suffix in VIDEO_SUFFIXES]
    names += [os.path.relpath(os.path.join(folder, n), path) for n in videos]
    if not videos and any(s in IMAGE_SUFFIXES for s in suffixes.values()):
      names.append(os.path.relpath(folder, path))
    others.update(suffixes.values())
  if not names:
    raise FileNotFoundError(
      f'No videos below {path!r}. Looked for files that end in '
      f'{" ".join(VIDEO_SUFFIXES)} and for folders of images '
      f'({" ".join(IMAGE_SUFFIXES)}). Found '
      f'{dict(others) or "no files at all"}.'
    )
  return sorted(names)


def _walk(path: str) -> Iterator[tuple[str, list[str]]]:
  """(folder, names of its files) of each folder below `path`, each once."""
  # Links come last, so that a folder goes by its own name where it has one.
  waiting, known, repeated = collections.deque([path]), {}, []
  while waiting:
    top = waiting.popleft()
    for folder, subfolders, files in os.walk(top):
      real = os.path.realpath(folder)
      if real in known:
        repeated.append(f'{folder!r} is {known[real]!r}')
        subfolders.clear()
        continue
      known[real] = folder
      subfolders[:] = sorted(n for n in subfolders if not n.startswith('.'))
      paths = [os.path.join(folder, name) for name in subfolders]
      waiting.extend(filter(os.path.islink, paths))
      yield folder, files
  if repeated:
    warn_once(
      f'Folders below {path!r} that are others by another name are left out: '
      f'{some_names(repeated, 5)}.'
    )
