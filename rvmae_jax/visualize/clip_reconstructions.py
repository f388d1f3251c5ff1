"""Rebuilt clips: what the model saw, what it rebuilt and what was true."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rvmae_jax.visualize.psnr import psnr_figures
from rvmae_jax.visualize.reconstructions import GREY
from rvmae_jax.visualize.style import name_row, new_figure, show, styled

_DARK = 0.2
_MOST_FRAMES = 8


def clip_reconstruction_figures(
  arrays: Mapping[str, np.ndarray], metrics: Mapping[str, float]
) -> dict[str, Any]:
  """The pictures of the evaluation `clip_reconstruction`."""
  keys = ('video', 'rebuilt', 'visible', 'hidden')
  return {
    'clip_reconstruction': draw_clip_reconstructions(
      *(arrays[key] for key in keys)
    )
  } | psnr_figures(metrics)


@styled
def draw_clip_reconstructions(
  video: np.ndarray,
  rebuilt: np.ndarray,
  visible: np.ndarray,
  hidden: np.ndarray,
) -> Any:
  """Three rows for each clip; time runs to the right.

  Rows: the input (what is to be rebuilt in grey, what is neither seen nor
  rebuilt in a darker one), what was rebuilt beside what was seen, the truth.

  Args:
    video: [n, T, H, W, 3] in [0, 1].
    rebuilt: [n, T, H, W, 3].
    visible: [n, T, H, W] bool.
    hidden: [n, T, H, W] bool, to be rebuilt.
  """
  num_clips, num_frames, height, width, _ = video.shape
  frames = np.linspace(0, num_frames - 1, min(num_frames, _MOST_FRAMES))
  frames = frames.round().astype(int)
  empty = np.where(hidden, GREY, _DARK)[..., None]
  seen = np.where(visible[..., None], video, empty)
  rebuilt = np.where(hidden[..., None], rebuilt, seen)
  rows = {'input': seen, 'rebuilt': rebuilt, 'true': video}
  cell = 10.5 / len(frames)
  figure = new_figure(10.5, num_clips * (3 * cell * height / width + 0.3))
  all_axes = figure.subplots(3 * num_clips, len(frames), squeeze=False)
  for number, row_axes in enumerate(all_axes):
    clip, name = number // 3, list(rows)[number % 3]
    for axes, t in zip(row_axes, frames):
      title = f'frame {t}' if name == 'input' else ''
      show(axes, rows[name][clip, t], title)
    name_row(row_axes[0], name, -0.05, rotation='vertical')
  return figure
