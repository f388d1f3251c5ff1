"""Curves by the number of frames that were read."""

import collections
from collections.abc import Mapping
from typing import Any

import numpy as np

from rvmae_jax.visualize.lines import draw_panels

_PANELS = {
  'drift': 'drift from a new stream',
  'state_norm': 'norm of the state',
  'J': 'J of tracked objects',
  'resident_mib': 'memory of the process, MiB',
}


def long_video_figures(
  arrays: Mapping[str, np.ndarray], metrics: Mapping[str, float]
) -> dict[str, Any]:
  """The picture of the evaluation `long_video`."""
  del arrays
  # Measure -> what is read -> frames and values.
  courses = collections.defaultdict(lambda: collections.defaultdict(dict))
  for key, value in metrics.items():
    if '/length_' in key:
      run, length, measure = key.split('/')
      courses[measure][run][int(length.removeprefix('length_'))] = value
  panels = [
    {
      'title': title,
      'x': 'frames',
      'y': '',
      'log': 'x',
      'y_from': 0,
      'lines': [
        {'name': run.replace('_', ' '), 'x': [*course], 'y': [*course.values()]}
        for run, course in courses[measure].items()
      ],
    }
    for measure, title in _PANELS.items()
    if measure in courses
  ]
  return {'lengths': draw_panels({'panels': panels})}
