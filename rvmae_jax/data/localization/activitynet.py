"""Annotations in ActivityNet's JSON."""

import collections
import json
import os
from typing import Any

from rvmae_jax.data.localization import untrimmed
from rvmae_jax.data.text import read_json


def activitynet(
  path: str,
  subset: str = 'training',
  videos: str = '',
  allow_missing: bool = False,
) -> untrimmed.LocalizationSet:
  """Videos of a subset of `activity_net.v1-3.min.json`, or of a file like it:

    {"database": {"sJsUNWJ1nn8": {"subset": "training", "annotations": [
      {"segment": [6.7, 31.2], "label": "Zumba"}, ...]}, ...}}

  Args:
    path: the JSON file.
    subset: ActivityNet has 'training', 'validation' and 'testing'.
    videos: the folder with the files, `NAME.mp4` or `v_NAME.mp4` at any depth
      and with any suffix; '' means the folder of `path`.
    allow_missing: leave out videos without a file.

  Raises:
    FileNotFoundError: no such file, or videos without a file.
    ValueError: a file of another layout, or a subset without videos.
  """
  database = _read_database(path)
  subsets = collections.Counter(v['subset'] for v in database.values())
  if subset not in subsets:
    raise ValueError(
      f'activitynet: no video of subset {subset!r} in {path!r}, which has '
      f'{dict(subsets)}.'
    )
  class_names = sorted(
    {a['label'] for v in database.values() for a in v['annotations']}
  )
  labels = {name: label for label, name in enumerate(class_names)}
  instances = {
    name: [(*a['segment'], labels[a['label']]) for a in video['annotations']]
    for name, video in database.items()
    if video['subset'] == subset
  }
  paths = untrimmed.find_files(
    'activitynet',
    list(instances),
    videos or os.path.dirname(os.path.abspath(path)),
    prefixes=('', 'v_'),
    allow_missing=allow_missing,
  )
  return untrimmed.LocalizationSet(
    untrimmed.build_videos(instances, paths), class_names
  )


def _read_database(path: str) -> dict[str, dict[str, Any]]:
  """The videos by name, each sure to have a subset and whole annotations."""
  content = read_json(path)
  database = content.get('database') if isinstance(content, dict) else None
  if not isinstance(database, dict) or not database:
    found = sorted(content) if isinstance(content, dict) else type(content)
    raise ValueError(
      f'activitynet: {path!r} needs a "database" of videos by name; found '
      f'{found}.'
    )
  for name, video in database.items():
    try:
      video['subset']
      # Test videos are published without annotations.
      for annotation in video.setdefault('annotations', []):
        if not isinstance(annotation['label'], str):
          raise TypeError('a label is a text')
        start, end = map(float, annotation['segment'])
        if not end >= start:
          raise ValueError(f'{end} is not after {start}')
    except (AttributeError, KeyError, TypeError, ValueError) as error:
      raise ValueError(
        f'activitynet: video {name!r} of {path!r} needs a "subset", and '
        '"annotations" with a "label" and a "segment" [start, end] each; found '
        f'{json.dumps(video)[:200]} ({type(error).__name__}: {error}).'
      ) from error
  return database
