"""How all figures look: plain, and legible on a light and on a dark page."""

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

# Between black and white, so that it reads on either.
TEXT = '#7f7f7f'
# Told apart with any colour vision (after Okabe and Ito).
COLOURS = '#2f86c8', '#e0892b', '#17a17c', '#b46fa3'
LINES = '-', '--', ':', '-.'
DPI = 150  # Of what is saved; reports show it in its own size.

_STYLE = {
  'axes.edgecolor': TEXT,
  'axes.facecolor': 'none',
  'axes.grid.axis': 'y',
  'axes.labelcolor': TEXT,
  'axes.linewidth': 0.6,
  'axes.spines.right': False,
  'axes.spines.top': False,
  'axes.titlecolor': TEXT,
  'axes.titlelocation': 'left',
  'axes.titlesize': 10,
  'figure.facecolor': 'none',
  'font.size': 9,
  'grid.alpha': 0.25,
  'grid.color': TEXT,
  'grid.linewidth': 0.6,
  'legend.fontsize': 9,
  'legend.frameon': False,
  'lines.linewidth': 1.5,
  'text.color': TEXT,
  'xtick.color': TEXT,
  'xtick.labelsize': 8,
  'ytick.color': TEXT,
  'ytick.labelsize': 8,
}


def styled(draw: Callable) -> Callable:
  """Makes a function that draws use this style, and leaves all others alone."""

  @functools.wraps(draw)
  def draw_styled(*args, **kwargs):
    try:
      import matplotlib
    except ImportError as error:
      raise ImportError(
        "Pictures need matplotlib: pip install 'rvmae_jax[vis]'."
      ) from error

    with matplotlib.rc_context(_STYLE):
      return draw(*args, **kwargs)

  return draw_styled


def looks() -> Iterator[tuple[str, str]]:
  """Lines and colours that tell curves apart, without end: 16 different."""
  return itertools.cycle(itertools.product(LINES, COLOURS))


def new_figure(width: float, height: float) -> Any:
  """An empty figure of that size in inches, which needs no display."""
  from matplotlib.figure import Figure

  figure = Figure(figsize=(width, height), layout='constrained')
  figure.get_layout_engine().set(h_pad=0.03, w_pad=0.03, hspace=0, wspace=0)
  return figure


def show(axes: Any, picture: Any, title: str = '', **settings) -> Any:
  """A picture with its pixels as they are and, at most, a line above."""
  axes.set_axis_off()
  axes.set_title(title, fontsize=8, loc='center', pad=3)
  return axes.imshow(picture, interpolation='nearest', **settings)


def shortened(name: str, most: int) -> str:
  """A name without its middle, if it is long: names often differ at the end."""
  half = (most - 1) // 2
  return name if len(name) <= most else f'{name[:half]}…{name[-half:]}'


def name_row(axes: Any, name: str, x: float = -0.08, **settings) -> None:
  """Writes what a row of pictures shows, to the left of `x`.

  Args:
    axes: of the row's first picture.
    name: of the row.
    x: 0 is the left edge of `axes`, 1 the right one.
    **settings: of the text.
  """
  place = {'transform': axes.transAxes, 'ha': 'right', 'va': 'center'}
  axes.text(x, 0.5, name, **place, **{'fontsize': 8.5, **settings})
