"""Latency, throughput and memory of networks side by side."""

import collections
from collections.abc import Mapping
from typing import Any

from rvmae_jax.visualize.lines import draw_panels


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
  batches, lengths = sorted(batches), sorted(lengths)
  least, longest = batches[0], lengths[-1]

  def panel(across, title, points, streams=False):
    """What is measured at each of `points`: number -> name."""
    lines = []
    for network, numbers in found.items():
      at = [number for number, name in points.items() if name in numbers]
      values = [numbers[points[number]] for number in at]
      if at:
        lines.append({'name': network, 'x': at, 'y': values})
      step = numbers.get(f'step/batch_{least}/p50_ms')
      if streams and step is not None:
        name = f'{network}, next frame'
        lines.append({'name': name, 'x': [1], 'y': [step]})
    return {'title': title, 'x': across, 'y': '', 'log': 'xy', 'lines': lines}

  def by_length(figure):
    return {t: f'encode/batch_{least}/frames_{t}/{figure}' for t in lengths}

  clips = 'one clip' if least == 1 else f'{least} clips'
  panels = [
    panel('frames', f'ms for {clips}', by_length('p50_ms'), streams=True),
    panel(
      'clips at once',
      f'clips/s of {longest} frames',
      {b: f'encode/batch_{b}/frames_{longest}/per_s' for b in batches},
    ),
    panel('frames', f'MiB for {clips}', by_length('mib')),
  ]
  return {'cost': draw_panels({'panels': panels})}
