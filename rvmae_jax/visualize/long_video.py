"""Curves by the number of frames that were read."""

import collections
from collections.abc import Mapping
from typing import Any

import numpy as np

from rvmae_jax.visualize.style import COLOURS, TEXT, new_figure, styled

_PANELS = {
  'drift': 'drift from a fresh run',
  'state_norm': 'norm of the state',
  'J': 'J of tracked objects',
  'resident_mib': 'memory of the process, MiB',
}
# Measure -> what is read and by length: run -> length -> value.
Courses = Mapping[str, Mapping[str, Mapping[int, float]]]


def long_video_figures(
  arrays: Mapping[str, np.ndarray], metrics: Mapping[str, float]
) -> dict[str, Any]:
  """The picture of the evaluation `long_video`."""
  del arrays
  courses = collections.defaultdict(lambda: collections.defaultdict(dict))
  for key, value in metrics.items():
    if '/length_' in key:
      run, length, measure = key.split('/')
      courses[measure][run][int(length.removeprefix('length_'))] = value
  return {'lengths': draw_courses(courses)}


@styled
def draw_courses(courses: Courses) -> Any:
  """A panel for each measure and a curve for each run, over frames read.

  Args:
    courses: measure -> run -> length -> value; `copy` is a dashed line.
  """
  panels = [measure for measure in _PANELS if measure in courses]
  figure = new_figure(2.8 * len(panels), 2.9)
  # The same colours in all panels, whatever runs they have.
  runs = dict.fromkeys(run for name in panels for run in courses[name])
  looks = dict(zip(runs, COLOURS))
  for axes, measure in zip(
    figure.subplots(1, len(panels), squeeze=False)[0], panels
  ):
    for run, course in courses[measure].items():
      axes.plot(
        list(course),
        list(course.values()),
        color=TEXT if run == 'copy' else looks[run],
        linestyle='--' if run == 'copy' else '-',
        marker='.',
        label=run.replace('_', ' '),
      )
    lengths = sorted(
      {length for run in courses[measure].values() for length in run}
    )
    axes.set_xscale('log', base=2)
    axes.set_xticks(lengths[::2], lengths[::2], minor=False)
    axes.minorticks_off()
    axes.set_title(_PANELS[measure])
    axes.set_xlabel('frames')
    highest = max(max(run.values()) for run in courses[measure].values())
    axes.set_ylim(0, 1.1 * highest or 1)
    axes.grid(axis='y')
  shown = {}
  for axes in figure.axes:
    handles, names = axes.get_legend_handles_labels()
    shown |= dict(zip(names, handles))
  figure.legend(
    shown.values(), shown, loc='outside upper left', ncols=len(shown)
  )
  return figure
