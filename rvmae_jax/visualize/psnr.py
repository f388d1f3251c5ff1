"""PSNR by how far ahead a frame lies, and by how much of it is hidden."""

import collections
from collections.abc import Mapping
from typing import Any

from rvmae_jax.visualize.style import COLOURS, LINES, TEXT, new_figure, styled

# (method, which frames) -> number on the horizontal axis -> PSNR in dB.
Curves = Mapping[tuple[str, str], Mapping[float, float]]

METHODS = {
  'model': 'rebuilt',
  'copy_last': 'last frame',
  'copy_time': 'other frames',
  'mean_colour': 'mean colour',
  'patch_mean': 'true patch means',
}


def psnr_figures(metrics: Mapping[str, float]) -> dict[str, Any]:
  """The picture of what reconstructions measured at gaps or mask ratios.

  Empty where they measured at one of each.
  """
  by_gap: dict[tuple, dict[float, float]] = collections.defaultdict(dict)
  by_ratio: dict[tuple, dict[float, float]] = collections.defaultdict(dict)
  for key, value in metrics.items():
    if not key.endswith('/psnr_hidden'):
      continue
    *where, method, _ = key.split('/')
    found = dict(part.rsplit('_', 1) for part in where)
    frames = f'{found["gap"]} ahead' if 'gap' in found else ''
    if 'ratio' not in found and frames:
      by_gap[METHODS[method], ''][int(found['gap'])] = value
    # That of targets hardly depends on what of them is hidden.
    if 'ratio' in found and not (frames and method == 'mean_colour'):
      by_ratio[METHODS[method], frames][float(found['ratio'])] = value
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

  Colours tell methods apart. Where curves are of different frames, colours tell
  the frames apart, and line styles the methods.

  Args:
    panels: what the horizontal axis counts -> curves.
  """
  figure = new_figure(4.9 * len(panels), 2.8)
  all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
  for axes, (title, curves) in zip(all_axes, panels.items()):
    methods = list(dict.fromkeys(method for method, _ in curves))
    frames = list(dict.fromkeys(frames for _, frames in curves))
    for (method, of_frames), points in curves.items():
      place = methods.index(method)
      colour = frames.index(of_frames) if of_frames else place
      axes.plot(
        *zip(*sorted(points.items())),
        color=COLOURS[colour % len(COLOURS)],
        linestyle=LINES[place] if of_frames else '-',
        marker='.',
        label=f'{method}, {of_frames}' if of_frames else method,
      )
    axes.set_xticks(sorted({at for points in curves.values() for at in points}))
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
