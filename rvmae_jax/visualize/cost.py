"""Latency, throughput and memory of networks side by side."""

import collections
from collections.abc import Mapping
from typing import Any

from rvmae_jax.visualize.style import COLOURS, new_figure, styled

# Network -> number on the horizontal axis -> value.
Curves = Mapping[str, Mapping[int, float]]


def cost_figures(
  arrays: Mapping[str, Any], metrics: Mapping[str, float]
) -> dict[str, Any]:
  """The picture of the evaluation `cost`."""
  del arrays
  found = collections.defaultdict(dict)
  for key, value in metrics.items():
    network, _, rest = key.partition('/')
    found['this network' if network == 'this' else network][rest] = value
  batches, lengths = set(), set()
  for numbers in found.values():
    for name in numbers:
      kind, *parts = name.split('/')
      if kind == 'encode':
        batches.add(int(parts[0].removeprefix('batch_')))
        lengths.add(int(parts[1].removeprefix('frames_')))
  least, longest = min(batches), max(lengths)

  def curves(points):
    return {
      network: {
        at: numbers[name] for at, name in points.items() if name in numbers
      }
      for network, numbers in found.items()
    }

  def by_length(figure):
    return curves(
      {t: f'encode/batch_{least}/frames_{t}/{figure}' for t in sorted(lengths)}
    )

  clips = 'one clip' if least == 1 else f'{least} clips'
  panels = {
    ('frames', f'ms for {clips}'): by_length('p50_ms'),
    ('clips at once', f'clips/s of {longest} frames'): curves(
      {b: f'encode/batch_{b}/frames_{longest}/per_s' for b in sorted(batches)}
    ),
    ('frames', f'MiB for {clips}'): by_length('mib'),
  }
  streams = {
    f'{network}, next frame': {1: numbers[f'step/batch_{least}/p50_ms']}
    for network, numbers in found.items()
    if f'step/batch_{least}/p50_ms' in numbers
  }
  first = next(iter(panels))
  panels[first] = panels[first] | streams
  return {'cost': draw_cost(panels)}


@styled
def draw_cost(panels: Mapping[tuple[str, str], Curves]) -> Any:
  """Panels of curves beside each other, both axes logarithmic.

  Args:
    panels: (horizontal axis, vertical axis) -> curves.
  """
  from matplotlib.ticker import LogLocator

  figure = new_figure(10.5, 3)
  all_axes = figure.subplots(1, len(panels))
  names = list(
    dict.fromkeys(name.split(',')[0] for c in panels.values() for name in c)
  )
  for axes, ((across, title), curves) in zip(all_axes, panels.items()):
    ticks = set()
    for name, points in curves.items():
      if not points:
        continue
      ticks |= set(points)
      is_network = name in names
      axes.plot(
        *zip(*points.items()),
        color=COLOURS[names.index(name.split(',')[0]) % len(COLOURS)],
        marker='o' if is_network else '*',
        markersize=4 if is_network else 9,
        linestyle='-' if is_network else '',
        label=name,
      )
    axes.set_xscale('log', base=2)
    axes.set_yscale('log')
    axes.set_xticks(sorted(ticks), sorted(ticks))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter('{x:g}')
    axes.minorticks_off()
    axes.set_xlabel(across)
    axes.set_title(title)
    axes.grid(axis='y')
  all_axes[0].legend(fontsize=8)
  return figure
