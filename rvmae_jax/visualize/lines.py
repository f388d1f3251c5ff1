"""Lines over a common axis, drawn from numbers that JSON holds."""

import hashlib
import json
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from rvmae_jax.visualize.style import looks, new_figure, styled

_MOST_MARKS = 6  # On a doubling axis; more values get powers of two.
_DIGEST = 'Description'  # A name that PNG knows for text.


@styled
def draw_panels(picture: Mapping[str, Any]) -> Any:
  """Panels of lines, side by side.

  Args:
    picture: `panels`, a list of {`title`, `x`, `y`: what the axes show,
      `lines`: a list of {`name`, `x`, `y`: numbers, `spread`: numbers or
      absent, drawn as a band}, `log`: 'x', 'xy' or absent, the axes that double
      from mark to mark, `y_from`: least value shown, or absent}; `width` and
      `height` in inches if other than usual. A name has the same colour in all
      panels.
  """
  panels = picture['panels']
  names = dict.fromkeys(
    line['name'] for panel in panels for line in panel['lines']
  )
  styles = dict(zip(names, looks()))
  figure = new_figure(
    picture.get('width', 1 + 3.2 * len(panels)), picture.get('height', 3)
  )
  axes_of = figure.subplots(1, len(panels), squeeze=False)[0]
  for axes, panel in zip(axes_of, panels):
    for line in panel['lines']:
      look, colour = styles[line['name']]
      axes.plot(
        line['x'],
        line['y'],
        look,
        color=colour,
        label=line['name'],
        marker='.' if len(line['x']) <= 20 else None,
      )
      if 'spread' in line:
        low, high = zip(
          *((y - s, y + s) for y, s in zip(line['y'], line['spread']))
        )
        axes.fill_between(line['x'], low, high, color=colour, alpha=0.2, lw=0)
    axes.set_title(panel.get('title', ''))
    axes.set_xlabel(panel['x'])
    axes.set_ylabel(panel['y'])
    axes.grid(axis='y')
    if 'y_from' in panel:
      axes.set_ylim(bottom=panel['y_from'])
    for axis in panel.get('log', ''):
      scale = axes.set_xscale if axis == 'x' else axes.set_yscale
      scale('log', base=2)
      getattr(axes, f'{axis}axis').set_major_formatter('{x:g}')
      axes.minorticks_off()
    marks = sorted({x for line in panel['lines'] for x in line['x']})
    if 'x' in panel.get('log', '') and len(marks) <= _MOST_MARKS:
      axes.set_xticks(marks)
    if 'y' in panel.get('log', ''):
      axes.set_ylim(*_between_powers(panel['lines']))
  handles = {}
  for axes in axes_of:
    for handle, name in zip(*axes.get_legend_handles_labels()):
      handles.setdefault(name, handle)
  figure.legend(
    handles.values(),
    handles.keys(),
    # Two names are as wide as a panel.
    ncols=min(4, 2 * len(axes_of)),
    loc='outside upper center',
  )
  return figure


def _between_powers(lines: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
  """The powers of two around all numbers: the ends of an axis with marks."""
  exponents = [math.log2(y) for line in lines for y in line['y'] if y > 0]
  low = math.floor(min(exponents, default=0))
  return 2.0**low, 2.0 ** max(math.ceil(max(exponents, default=0)), low + 1)


def draw_lines(picture: Mapping[str, Any], path: pathlib.Path) -> None:
  """Writes `draw_panels` as a PNG that knows what it was drawn from."""
  draw_panels(picture).savefig(
    path, dpi=110, format='png', metadata={_DIGEST: _digest(picture)}
  )


def drawn_from(picture: Mapping[str, Any], path: pathlib.Path) -> bool:
  """Whether a PNG was drawn from these numbers."""
  if not path.exists():
    return False
  from PIL import Image

  with Image.open(path) as image:
    return image.info.get(_DIGEST) == _digest(picture)


def _digest(picture: Mapping[str, Any]) -> str:
  text = json.dumps(picture, sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()
