"""THUMOS14's annotations: one text file for each class and subset."""

import collections
import os
import pathlib

from rvmae_jax.data.layout import check_choice
from rvmae_jax.data.localization import untrimmed
from rvmae_jax.data.text import numbered_lines, read_lines

# A subset's name here -> how the names of its annotation files end.
SUBSETS = {'validation': 'val', 'test': 'test'}
_AMBIGUOUS = 'Ambiguous'


def thumos14(
  path: str,
  subset: str = 'validation',
  videos: str = '',
  allow_missing: bool = False,
) -> untrimmed.LocalizationSet:
  """The 20 classes of the detection task, as they are published:

    .../annotation/detclasslist.txt       lines `7 BaseballPitch`
    .../annotation/BaseballPitch_val.txt  lines `video_validation_0000266 72.8
                                          76.4`, times in seconds
    .../annotation/Ambiguous_val.txt      the same; see `metrics.localization`

  Training is done on the validation videos, as everywhere: the training videos
  are trimmed. Where the class list is not there, the files name the classes.

  Args:
    path: the folder, or one above it.
    subset: 'validation' or 'test'.
    videos: the folder with `video_validation_0000266.mp4` and so on, at any
      depth; '' means `path`.
    allow_missing: leave out videos without a file.

  Raises:
    FileNotFoundError: no annotations, or videos without a file; the message
      says what was looked for and what was found.
    ValueError: an unknown subset, or a line that is no annotation.
  """
  check_choice('thumos14', 'subset', subset, SUBSETS)
  files = _find_annotations(path, SUBSETS[subset])
  class_names = _class_names(path)
  instances = collections.defaultdict(list)
  for name, file in files.items():
    if name in class_names:
      label = class_names.index(name)
    elif name == _AMBIGUOUS:
      label = untrimmed.AMBIGUOUS
    else:
      raise ValueError(
        f'thumos14: {str(file)!r} is of no class in detclasslist.txt, which '
        f'has {", ".join(class_names)}.'
      )
    for video, start_s, end_s in _read_times(file):
      instances[video].append((start_s, end_s, label))
  paths = untrimmed.find_files(
    'thumos14', sorted(instances), videos or path, allow_missing=allow_missing
  )
  return untrimmed.LocalizationSet(
    untrimmed.build_videos(instances, paths), class_names
  )


def _find_annotations(path: str, ending: str) -> dict[str, pathlib.Path]:
  """Class -> its file below `path`."""
  pattern = f'*_{ending}.txt'
  if not os.path.isdir(path):
    raise FileNotFoundError(
      f'thumos14: no folder {path!r} to look for {pattern} in.'
    )
  files = sorted(pathlib.Path(path).rglob(pattern))
  if not files:
    found = sorted(file.name for file in pathlib.Path(path).iterdir())
    raise FileNotFoundError(
      f'thumos14: looked for {pattern} (as BaseballPitch_{ending}.txt) at any '
      f'depth below {path!r}; found there: {", ".join(found[:8]) or "nothing"}.'
    )
  return {file.name.removesuffix(pattern[1:]): file for file in files}


def _class_names(path: str) -> list[str]:
  """From detclasslist.txt if it is there, or else from both subsets' files."""
  for file in sorted(pathlib.Path(path).rglob('detclasslist.txt')):
    return [line.split()[-1] for line in read_lines(str(file))]
  files = [
    file.stem.removesuffix(f'_{ending}')
    for ending in SUBSETS.values()
    for file in pathlib.Path(path).rglob(f'*_{ending}.txt')
  ]
  return sorted({*files} - {_AMBIGUOUS})


def _read_times(file: pathlib.Path) -> list[tuple[str, float, float]]:
  rows = []
  for number, line in numbered_lines(str(file)):
    try:
      video, start_s, end_s = line.split()
      start_s, end_s = float(start_s), float(end_s)
      if not end_s >= start_s:
        raise ValueError
      rows.append((video, start_s, end_s))
    except ValueError:
      raise ValueError(
        f'thumos14: line {number} of {str(file)!r} should be a video, its '
        f'start and its end after that, in seconds; found {line!r}.'
      ) from None
  return rows
