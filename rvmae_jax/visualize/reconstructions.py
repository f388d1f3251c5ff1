"""Reconstructions: what the model saw, what it rebuilt and what was true."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rvmae_jax.visualize.psnr import psnr_figures
from rvmae_jax.visualize.style import name_row, new_figure, show, styled

GREY = 0.55
_ROWS = ('input', 'rebuilt', 'true')


def reconstruction_figures(
  arrays: Mapping[str, np.ndarray], metrics: Mapping[str, float]
) -> dict[str, Any]:
  """The pictures of the evaluation `reconstruction`."""
  return {
    'reconstruction': draw_reconstructions(
      arrays['video'],
      arrays['target'],
      arrays['rebuilt'],
      arrays['hidden'],
      arrays['gaps'],
    )
  } | psnr_figures(metrics)


@styled
def draw_reconstructions(
  video: np.ndarray,
  target: np.ndarray,
  rebuilt: np.ndarray,
  hidden: np.ndarray,
  gaps: np.ndarray,
) -> Any:
  """One block for each clip, two beside each other; time runs to the right.

  Rows: the input (source frames, then targets with hidden patches in grey),
  what was rebuilt, what was true. Above what was rebuilt stands its PSNR on
  hidden patches, and in brackets that of copying the last source frame.

  Args:
    video: [n, T, H, W, 3] source frames in [0, 1].
    target: [n, S, H, W, 3] true target frames.
    rebuilt: [n, S, H, W, 3].
    hidden: [n, S, H, W] bool.
    gaps: [S] steps from the last source frame.
  """
  num_clips, num_source = video.shape[:2]
  columns = num_source + len(gaps)
  across = min(num_clips, 2)
  down = -(-num_clips // across)
  aspect = video.shape[2] / video.shape[3]
  width = 10.5
  cell = width / (across * (columns + 0.4))
  figure = new_figure(width, down * (3 * cell * aspect + 0.5))
  blocks = np.ravel(figure.subfigures(down, across, squeeze=False, wspace=0.04))
  for clip, block in enumerate(blocks[:num_clips]):
    axes = block.subplots(3, columns, squeeze=False)
    for ax in axes.flat:
      ax.set_axis_off()
    for t in range(num_source):
      back = num_source - 1 - t
      show(axes[0, t], video[clip, t], f't\u2212{back}' if back else 't')
    for s, gap in enumerate(gaps):
      ours, copied = (
        _psnr(guess - target[clip, s], hidden[clip, s])
        for guess in (rebuilt[clip, s], video[clip, -1])
      )
      column = axes[:, num_source + s]
      masked = np.where(hidden[clip, s, ..., None], GREY, target[clip, s])
      show(column[0], masked, f't+{gap}')
      show(column[1], rebuilt[clip, s], f'{ours:.1f} ({copied:.1f})')
      show(column[2], target[clip, s])
    for row, name in zip(axes[1:], _ROWS[1:]):
      name_row(row[num_source - 1], name, 1)
  return figure


def _psnr(difference: np.ndarray, hidden: np.ndarray) -> float:
  error = np.square(difference).mean(-1)[hidden].mean()
  return -10 * np.log10(max(error, 1e-10))
