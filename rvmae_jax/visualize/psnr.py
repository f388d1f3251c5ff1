"""PSNR by how far ahead a frame lies, and by how much of it is hidden."""

import collections
from collections.abc import Mapping
from typing import Any

from rvmae_jax.visualize.style import COLOURS, TEXT, new_figure, styled

# Method -> number on the horizontal axis -> PSNR in dB.
Curves = Mapping[str, Mapping[float, float]]

_NAMES = {
  'model': 'rebuilt',
  'copy_last': 'last frame',
  'copy_time': 'other frames',
  'mean_colour': 'mean colour',
}


def psnr_figures(metrics: Mapping[str, float]) -> dict[str, Any]:
  """The picture of what reconstructions measured at gaps or mask ratios.

  Empty where they measured at one of each.
  """
  by_gap: dict[str, dict[float, float]] = collections.defaultdict(dict)
  by_ratio: dict[str, dict[float, float]] = collections.defaultdict(dict)
  for key, value in metrics.items():
    if not key.endswith('/psnr_hidden'):
      continue
    *where, method, _ = key.split('/')
    found = dict(part.rsplit('_', 1) for part in where)
    label = _NAMES[method]
    if 'ratio' not in found and 'gap' in found:
      by_gap[label][int(found['gap'])] = value
    if 'ratio' in found:
      if 'gap' in found:
        label += f', {found["gap"]} ahead'
      by_ratio[label][float(found['ratio'])] = value
  panels = {'frames ahead': by_gap, 'share hidden': by_ratio}
  panels = {
    title: curves
    for title, curves in panels.items()
    if max(map(len, curves.values()), default=0) > 1
  }
  return {'psnr': draw_psnr(panels)} if panels else {}


@styled
def draw_psnr(panels: Mapping[str, Curves]) -> Any:
  """Panels of curves beside each other.

  Args:
    panels: what the horizontal axis counts -> curves.

  Returns:
    A matplotlib Figure.
  """
  figure = new_figure(4.6 * len(panels), 3)
  all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
  for axes, (title, curves) in zip(all_axes, panels.items()):
    # A method keeps its colour; distances ahead get a line of their own.
    methods = list(dict.fromkeys(label.split(',')[0] for label in curves))
    seen = collections.Counter()
    for label, points in curves.items():
      method = label.split(',')[0]
      axes.plot(
        *zip(*sorted(points.items())),
        color=COLOURS[methods.index(method)],
        linestyle=('-', '--', ':', '-.')[seen[method] % 4],
        marker='.',
        label=label,
      )
      seen[method] += 1
    axes.set_xlabel(title)
    axes.set_ylabel('PSNR on hidden patches, dB')
    axes.grid(axis='y')
    axes.legend(
      loc='center left',
      bbox_to_anchor=(1, 0.5),
      labelcolor=TEXT,
      fontsize=8,
    )
  return figure
