"""Videos that an official list names, wherever they are.

Archives are unpacked in many ways, so a video is looked for by its name alone,
however deep below the folder, in whatever container, or as a folder of frames.
"""

import math
import os
from collections.abc import Sequence

from absl import logging

from rvmae_jax.data.records import Record
from rvmae_jax.data.sources.folder import VIDEO_SUFFIXES, find_videos
from rvmae_jax.registry import some_names


class Published:
  """The videos that the official list of a split names.

  What is made of it takes `lists`, the folder of the lists if they do not lie
  beside the videos.

  Args:
    dataset: its name, for messages.
    folder: holds the videos, however deep.
    rows: (name without folder and suffix, label) of each video in the list.
    class_names: by label.
    max_missing: greatest share of the list that may have no video.

  Attributes:
    class_names: by label.
    missing: names in the list that have no video; the log counts them.

  Raises:
    FileNotFoundError: no folder, no video in it, or too many are missing; the
      message says what was looked for and what was found.
  """

  def __init__(
    self,
    dataset: str,
    folder: str,
    rows: Sequence[tuple[str, int]],
    class_names: Sequence[str],
    max_missing: float,
  ):
    if not rows:
      raise ValueError(
        f'{dataset}: the list of this split names no video; copy or download '
        'it again.'
      )
    self.class_names = list(class_names)
    self._folder = os.path.abspath(folder)
    names = find_videos(self._folder)
    name_of = {video_stem(name): name for name in reversed(names)}
    self._videos = [
      (name_of[stem], label) for stem, label in rows if stem in name_of
    ]
    self.missing = [stem for stem, _ in rows if stem not in name_of]
    if not self.missing:
      return
    report = (
      f'{dataset}: {len(self.missing)} of the {len(rows)} videos in the list '
      f'are not below {folder!r}: {some_names(self.missing)}.'
    )
    if len(self.missing) / len(rows) > max_missing:
      # Rounded up: what is advised must pass.
      share = math.ceil(1000 * len(self.missing) / len(rows)) / 1000
      raise FileNotFoundError(
        f'{report} There are {len(names)} videos, such as {names[0]!r}. '
        f'Fetch the others, or continue without them: max_missing={share} (it '
        f'is {max_missing}).'
      )
    logging.warning(
      '%s They are left out (max_missing=%s).', report, max_missing
    )

  def __len__(self) -> int:
    return len(self._videos)

  def __getitem__(self, index: int) -> Record:
    name, label = self._videos[index]
    return {'path': os.path.join(self._folder, name), 'label': label}


def video_stem(name: str) -> str:
  """The name of a video without folders and suffix: 'a/v_01.avi' -> 'v_01'.

  Dots that begin no suffix of a video stay, as in names of image folders.
  """
  stem, suffix = os.path.splitext(os.path.basename(name))
  return stem if suffix.lower() in VIDEO_SUFFIXES else stem + suffix
