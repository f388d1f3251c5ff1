"""Pictures as functions of arrays; matplotlib is imported when one is drawn.

What begins with `draw_` gives a matplotlib Figure unless it says otherwise.
How an evaluation's results are drawn is one line in `FIGURES`: its name -> a
function `(arrays, metrics) -> {picture name: matplotlib Figure or Film}`.
"""

import importlib.util
from collections.abc import Mapping
from typing import Any

from absl import logging
from etils import epath

from rvmae_jax.registry import Registry
from rvmae_jax.visualize.film import Film
from rvmae_jax.visualize.style import DPI

FIGURES = Registry(
  'figure',
  {
    'accuracy': 'rvmae_jax.visualize.confusion:accuracy_figures',
    'attentive_probe': 'rvmae_jax.visualize.probes:probe_figures',
    'box_tracking': 'rvmae_jax.visualize.readouts:box_figures',
    'clip_reconstruction': (
      'rvmae_jax.visualize.clip_reconstructions:clip_reconstruction_figures'
    ),
    'cost': 'rvmae_jax.visualize.cost:cost_figures',
    'depth': 'rvmae_jax.visualize.readouts:depth_figures',
    'feature_quality': (
      'rvmae_jax.visualize.feature_quality:feature_quality_figures'
    ),
    'knn': 'rvmae_jax.visualize.probes:probe_figures',
    'label_propagation': 'rvmae_jax.visualize.tracks:tracking_figures',
    'linear_probe': 'rvmae_jax.visualize.probes:probe_figures',
    'localization': 'rvmae_jax.visualize.localization:localization_figures',
    'long_video': 'rvmae_jax.visualize.long_video:long_video_figures',
    'point_tracking': 'rvmae_jax.visualize.readouts:point_figures',
    'reconstruction': (
      'rvmae_jax.visualize.reconstructions:reconstruction_figures'
    ),
    'recurrence': 'rvmae_jax.visualize.recurrence:recurrence_figures',
    'retrieval': 'rvmae_jax.visualize.retrieval:retrieval_figures',
    'robustness': 'rvmae_jax.visualize.robustness:robustness_figures',
    'uncertainty': 'rvmae_jax.visualize.uncertainty:uncertainty_figures',
  },
)


def can_draw() -> bool:
  """Whether matplotlib is installed; the log says so once where it is not."""
  found = importlib.util.find_spec('matplotlib') is not None
  if not found:
    logging.log_first_n(
      logging.WARNING,
      "No pictures, which need matplotlib: pip install 'rvmae_jax[vis]'.",
      1,
    )
  return found


def draw(
  name: str,
  arrays: Mapping[str, Any],
  metrics: Mapping[str, float],
  folder: epath.PathLike,
) -> list[epath.Path]:
  """Writes the pictures of one evaluation as .png, its films as .mp4 files.

  Args:
    name: of the evaluation; one without an entry in `FIGURES` has no pictures.
    arrays: what it left in `arrays`.
    metrics: what its `run` returned.
    folder: made if needed; files are named after the pictures.

  Returns:
    The files written; none where matplotlib is not installed.
  """
  if name not in FIGURES or not metrics or not can_draw():
    return []
  folder = epath.Path(folder)
  folder.mkdir(parents=True, exist_ok=True)
  paths = []
  for picture, figure in FIGURES.get(name)(arrays, metrics).items():
    if isinstance(figure, Film):
      paths.append(folder / f'{picture}.mp4')
      paths[-1].write_bytes(figure.encode())
    else:
      paths.append(folder / f'{picture}.png')
      save_figure(figure, paths[-1])
  return paths


def save_figure(figure: Any, path: epath.Path) -> None:
  """Writes a matplotlib figure as PNG, wherever the path leads."""
  with path.open('wb') as file:
    figure.savefig(file, format='png', dpi=DPI)
