"""Probes: accuracies of a network beside those of its baselines."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rvmae_jax.visualize.confusion import confusion_figures
from rvmae_jax.visualize.strata import strata_figures
from rvmae_jax.visualize.style import COLOURS, TEXT, new_figure, styled

ENCODER_NAMES = {
  'trained': 'trained',
  'random': 'random weights',
  'per_frame': 'per-frame features',
  'pixels': 'raw pixels',
}
# Poolings that are not listed go by their name.
POOLING_NAMES = {
  'mean': 'mean of all frames',
  'mean_2': 'mean of the last 2',
  'mean_std_8': 'mean and std, last 8',
  'change_2': 'change over 2 frames',
  'attentive': 'all tokens',
}
_COLOUR = dict(zip(ENCODER_NAMES, COLOURS))


def probe_figures(
  arrays: Mapping[str, np.ndarray], metrics: Mapping[str, float]
) -> dict[str, Any]:
  """The pictures of a probe on frozen features."""
  accuracies = {
    tuple(parts[:2]): value
    for key, value in metrics.items()
    if len(parts := key.split('/')) == 3 and parts[2] == 'top1'
  }
  deviations = {
    name: metrics['/'.join(name) + '/top1_std']
    for name in accuracies
    if '/'.join(name) + '/top1_std' in metrics
  }
  figure = draw_accuracies(accuracies, metrics['chance'], deviations)
  return (
    {'accuracies': figure} | confusion_figures(arrays) | strata_figures(metrics)
  )


@styled
def draw_accuracies(
  accuracies: Mapping[tuple[str, str], float],
  chance: float,
  deviations: Mapping[tuple[str, str], float] | None = None,
) -> Any:
  """Grouped bars, one group for each pooling, and a line at chance.

  Args:
    accuracies: (encoder, pooling) -> accuracy in [0, 1].
    chance: accuracy of always giving one class.
    deviations: of those accuracies, over seeds.
  """
  encoders = _ordered(accuracies, 0)
  poolings = _ordered(accuracies, 1)
  figure = new_figure(8.5, 3)
  axes = figure.subplots()
  width = 0.8 / len(encoders)

  def errors(encoder):
    if not deviations:
      return None
    return [100 * deviations[encoder, pooling] for pooling in poolings]

  for number, encoder in enumerate(encoders):
    heights = [100 * accuracies[encoder, pooling] for pooling in poolings]
    at = np.arange(len(poolings)) + (number - (len(encoders) - 1) / 2) * width
    bars = axes.bar(
      at,
      heights,
      width * 0.92,
      color=_COLOUR[encoder],
      label=ENCODER_NAMES[encoder],
      yerr=errors(encoder),
      error_kw={'elinewidth': 1, 'ecolor': TEXT},
    )
    axes.bar_label(bars, fmt='%.0f', fontsize=8, padding=2, color=TEXT)
  axes.axhline(100 * chance, color=TEXT, linewidth=1, linestyle=(0, (4, 3)))
  axes.annotate(
    f'chance {100 * chance:.0f}',
    (1, 100 * chance),
    xycoords=('axes fraction', 'data'),
    xytext=(3, 0),
    textcoords='offset points',
    va='center',
    fontsize=8,
  )
  axes.set_xticks(
    range(len(poolings)), [POOLING_NAMES.get(name, name) for name in poolings]
  )
  axes.tick_params(axis='x', length=0, labelsize=9)
  axes.set_ylabel('accuracy, %')
  # Room for bars of errors and numbers above the highest, even at 100.
  ends = [a + (deviations or {}).get(key, 0) for key, a in accuracies.items()]
  axes.set_ylim(0, 112 * max(*ends, chance))
  axes.grid(axis='y')
  axes.set_axisbelow(True)
  axes.legend(
    ncols=len(encoders),
    loc='lower left',
    bbox_to_anchor=(-0.01, 1),
    borderpad=0,
  )
  return figure


def _ordered(
  accuracies: Mapping[tuple[str, str], float], part: int
) -> Sequence[str]:
  """The encoders or poolings in the order in which they came."""
  return list(dict.fromkeys(key[part] for key in accuracies))
