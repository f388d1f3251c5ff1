"""What readers of published datasets share: official lists, videos somewhere.

Archives are unpacked in many ways, so a video is looked for by its name alone,
however deep below the folder, in whatever container, or as a folder of frames.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from absl import logging

from rvmae_jax.data.records import Record
from rvmae_jax.data.sources.folder import VIDEO_SUFFIXES, find_videos

_SHOWN = 10


class Published:
  """The videos that the official list of a split names.

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
    shown = ', '.join(self.missing[:_SHOWN])
    report = (
      f'{dataset}: {len(self.missing)} of the {len(rows)} videos in the list '
      f'are not below {folder!r}: {shown}'
      f'{", ..." if len(self.missing) > _SHOWN else ""}.'
    )
    if len(self.missing) > max_missing * len(rows):
      raise FileNotFoundError(
        f'{report} There are {len(names)} videos, such as {names[0]!r}. '
        'Fetch the others, or go on without them: '
        f'max_missing={len(self.missing) / len(rows):.3f} (it is '
        f'{max_missing}).'
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


def find_part(
  dataset: str, root: str, what: str, candidates: Iterable[str]
) -> str:
  """The first of some names that exists in a folder.

  Args:
    dataset: its name, for the message.
    root: the folder of the dataset.
    what: is looked for, for the message.
    candidates: paths relative to `root`, or absolute; empty ones are skipped.

  Raises:
    FileNotFoundError: none; it says what was looked for and what was found.
  """
  candidates = [c for c in candidates if c]
  for candidate in candidates:
    path = os.path.join(root, candidate)
    if os.path.exists(path):
      return path
  raise FileNotFoundError(
    f'{dataset}: no {what} in {root!r}. Looked for {", ".join(candidates)}. '
    f'Found {_contents(root)}.'
  )


def list_finder(
  dataset: str, root: str, lists: str, usual: Sequence[str]
) -> Callable[..., str]:
  """How to find official lists: a function (what, *names) -> path.

  Args:
    dataset: its name, for messages.
    root: the folder of the dataset.
    lists: the one folder to look in; '' looks in the usual ones.
    usual: relative to `root`.
  """

  def find(what, *names):
    folders = [lists] if lists else usual
    candidates = [f'{folder}/{name}' for folder in folders for name in names]
    return find_part(dataset, root, what, candidates)

  return find


def check_choice(
  dataset: str, setting: str, value: Any, choices: Iterable[Any]
) -> None:
  """Checks a setting that is one of a few, such as `split`.

  Raises:
    ValueError: it is none of them.
  """
  choices = list(choices)
  if value not in choices:
    raise ValueError(
      f'{dataset}: {setting}={value!r} is none of '
      f'{", ".join(map(str, choices))}.'
    )


def read_lines(path: str) -> list[str]:
  """The lines of a text file that are not empty, stripped."""
  with open(path, encoding='utf-8-sig') as file:
    return [line.strip() for line in file if line.strip()]


def _contents(folder: str) -> str:
  """What a folder holds, as text for a message."""
  if not os.path.isdir(folder):
    return 'no such folder'
  names = sorted(
    name + '/' * os.path.isdir(os.path.join(folder, name))
    for name in os.listdir(folder)
  )
  more = f' and {len(names) - _SHOWN} more' if len(names) > _SHOWN else ''
  return (', '.join(names[:_SHOWN]) + more) or 'an empty folder'
