"""How many directions features use, and how far they spread in each."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rvmae_jax.visualize.style import COLOURS, new_figure, styled

_KINDS = ('videos', 'tokens')


def feature_quality_figures(
  arrays: Mapping[str, np.ndarray], metrics: Mapping[str, float]
) -> dict[str, Any]:
  """The picture of the evaluation `feature_quality`."""
  return {
    'spectrum': draw_spectrum(
      {kind: arrays[f'{kind}_spectrum'] for kind in _KINDS},
      {kind: arrays[f'{kind}_std'] for kind in _KINDS},
      {kind: metrics[f'{kind}/rank'] for kind in _KINDS},
    )
  }


@styled
def draw_spectrum(
  spectra: Mapping[str, np.ndarray],
  deviations: Mapping[str, np.ndarray],
  ranks: Mapping[str, float],
) -> Any:
  """Singular values on the left, deviations of dimensions on the right.

  Args:
    spectra: kind of features -> singular values, falling, the first is 1.
    deviations: kind -> of each dimension, falling; 1 fills all directions.
    ranks: kind -> effective rank, for the legend.
  """
  figure = new_figure(8.5, 3)
  left, right = figure.subplots(1, 2)
  for (kind, values), colour in zip(spectra.items(), COLOURS):
    label = f'{kind}: effective rank {ranks[kind]:.1f} of {len(values)}'
    shown = np.where(values > 0, values, np.nan)
    left.plot(range(1, 1 + len(values)), shown, color=colour, label=label)
    right.plot(
      range(1, 1 + len(deviations[kind])), deviations[kind], color=colour
    )
  left.set_yscale('log')
  left.set_title('singular values, the first is 1')
  left.legend()
  right.set_title('deviation of unit features, times \u221aD')
  right.set_ylim(bottom=0)
  for axes, what in ((left, 'direction'), (right, 'dimension')):
    axes.set_xlabel(f'{what}, in falling order')
    axes.grid(axis='y')
  return figure
