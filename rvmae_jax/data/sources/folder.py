"""Videos of a folder tree: the class is the folder."""

import collections
import os
from collections.abc import Sequence

from rvmae_jax.data.decoding import IMAGE_SUFFIXES
from rvmae_jax.data.records import NO_LABEL, Record
from rvmae_jax.data.sources.splits import SHARES, SPLITS, assign_splits

VIDEO_SUFFIXES = (
  *('.mp4', '.m4v', '.mov', '.avi', '.mkv', '.webm', '.gif', '.mpg', '.mpeg'),
  *('.wmv', '.flv', '.ts', '.mts', '.m2ts', '.3gp', '.ogv', '.ogg', '.vob'),
  *('.asf', '.m2v', '.h264', '.264', '.hevc', '.h265', '.265'),
)


class Folder:
  """All videos below a folder.

  Three layouts, told apart by looking:

    path/train/wave/a.mp4   folders `train`, `val`, `test` on top
    path/wave/a.mp4         no such folders: each class is divided by `shares`
    path/a.mp4              the same, without labels

  The class is the first folder, however deep in it a video lies. A folder with
  images and no video files is itself one video, its frames in order of name.

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
    if split not in (*SPLITS, 'all'):
      raise ValueError(f'folder: split={split!r} is none of {SPLITS} or all.')
    self._path = os.path.abspath(path)
    names = find_videos(self._path)
    # Folders between `path` and the video: 'train/wave/a.mp4' has two.
    folders = [name.split(os.sep)[:-1] for name in names]
    tops = [''.join(parts[:1]) for parts in folders]
    if {*tops} & {*SPLITS}:
      _check_split_folders(path, names, tops)
      splits = tops
      classes = [''.join(parts[1:2]) for parts in folders]
    else:
      classes = tops
      splits = assign_splits(names, classes, shares)
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


def find_videos(path: str) -> list[str]:
  """Video files and folders of images below a folder, hidden ones left out.

  Args:
    path: the folder; links are followed.

  Returns:
    Their names relative to `path`, sorted.

  Raises:
    FileNotFoundError: no such folder, or no video in it.
  """
  if not os.path.isdir(path):
    raise FileNotFoundError(f'No folder {path!r} to look for videos in.')
  names, others = [], collections.Counter()
  for folder, subfolders, files in os.walk(path, followlinks=True):
    subfolders[:] = [name for name in subfolders if not name.startswith('.')]
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


def _check_split_folders(
  path: str, names: Sequence[str], splits: Sequence[str]
) -> None:
  """ValueError if some videos lie in a split folder and others do not."""
  strays = [name for name, s in zip(names, splits) if s not in SPLITS]
  if strays:
    raise ValueError(
      f'folder: {path!r} has folders {sorted({*splits} & {*SPLITS})} on top, '
      f'but {len(strays)} videos lie outside of them, such as {strays[0]!r}. '
      f'Move them into {"/".join(SPLITS)} or elsewhere.'
    )
