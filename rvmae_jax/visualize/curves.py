"""Curves of a run, from its metrics.jsonl."""

import contextlib
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from etils import epath

from rvmae_jax.visualize.style import looks, new_figure, styled

# name -> (steps [n], values [n])
History = Mapping[str, tuple[np.ndarray, np.ndarray]]


def read_lines(path: epath.PathLike) -> Iterator[dict[str, float]]:
  """The scalars of each line of a metrics.jsonl; NaN where it has null.

  A line that is cut short is left out.
  """
  for line in epath.Path(path).read_text().splitlines():
    # It is cut short while the run is writing it.
    with contextlib.suppress(json.JSONDecodeError):
      scalars = json.loads(line)
      yield {k: math.nan if v is None else v for k, v in scalars.items()}


def read_history(path: epath.PathLike) -> History:
  """All scalars of a metrics.jsonl, by name."""
  points: dict[str, list[tuple[int, float]]] = {}
  for scalars in read_lines(path):
    step = scalars.pop('step')
    for name, value in scalars.items():
      points.setdefault(name, []).append((int(step), float(value)))
  return {
    name: tuple(np.array(column) for column in zip(*pairs))
    for name, pairs in points.items()
  }


@styled
def draw_curves(
  history: History, panels: Mapping[str, Mapping[str, str]]
) -> Any:
  """One panel for each group of curves, side by side, over steps.

  Where a curve has many points it is drawn faintly, and its running mean over
  1/25 of the run on top.

  Args:
    history: from `read_history`.
    panels: title -> {label: name in the history}. Curves that the history
      lacks are left out, and so are panels without any.

  Raises:
    ValueError: nothing is left to draw.
  """
  panels = {
    title: present
    for title, curves in panels.items()
    if (present := {k: v for k, v in curves.items() if v in history})
  }
  if not panels:
    raise ValueError(f'No curve to draw; there are: {", ".join(history)}.')
  figure = new_figure(10.5, 2.7)
  for axes, (title, curves) in zip(
    figure.subplots(1, len(panels), squeeze=False)[0], panels.items()
  ):
    for (label, name), (line, colour) in zip(curves.items(), looks()):
      steps, values = history[name]
      faint = len(steps) >= 100
      if faint:
        axes.plot(steps, values, color=colour, alpha=0.25, linewidth=0.7)
        steps, values = _running_mean(steps, values, len(steps) // 25)
      axes.plot(
        steps,
        values,
        line,
        color=colour,
        label=label,
        marker='.' if len(steps) <= 20 else None,
      )
    axes.set_title(title)
    axes.set_xlabel('step')
    axes.grid(axis='y')
    axes.margins(x=0.02)
    if len(curves) > 1:
      axes.legend()
  return figure


def _running_mean(
  steps: np.ndarray, values: np.ndarray, length: int
) -> tuple[np.ndarray, np.ndarray]:
  kernel = np.ones(length) / length
  return tuple(np.convolve(v, kernel, mode='valid') for v in (steps, values))
