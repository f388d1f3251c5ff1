"""Pictures of a run while it trains."""

from typing import Any

import jax
import numpy as np
from etils import epath

from rvmae_jax.visualize import draw, save_figure
from rvmae_jax.visualize.batch import draw_batch


class TrainingPictures:
  """Draws the first batch, and how the same few clips are rebuilt.

  Process 0 draws, which needs matplotlib.

  Args:
    folder: where the pictures go.
    every_steps: between two reconstructions; 0 draws nothing at all.
    patch_size: of the model.
    tubelet_size: of the model.
    reconstruction: name of the evaluation that rebuilds the clips, and the
      evaluation; None where nothing is rebuilt.
  """

  def __init__(
    self,
    folder: epath.Path,
    *,
    every_steps: int,
    patch_size: int,
    tubelet_size: int = 1,
    reconstruction: tuple[str, Any] | None = None,
  ):
    self._folder, self._every_steps = folder, every_steps
    self._token_size = {'patch_size': patch_size, 'tubelet_size': tubelet_size}
    self._reconstruction = reconstruction

  def is_due(self, step: int) -> bool:
    """Whether reconstructions belong after this step."""
    is_on = self._every_steps and self._reconstruction
    return bool(is_on) and step % self._every_steps == 0

  def draw_batch(self, batch: dict[str, jax.Array], step: int) -> None:
    """Draws the clips on this process's first device, with their masks."""
    if not self._every_steps or jax.process_index():
      return
    rows = {
      key: np.asarray(value.addressable_shards[0].data)
      for key, value in batch.items()
    }
    self._folder.mkdir(parents=True, exist_ok=True)
    figure = draw_batch(rows, **self._token_size)
    save_figure(figure, self._folder / f'batch_{step:07d}.png')

  def rebuild(self, functions: Any) -> Any:
    """Metrics and arrays of the evaluation; all processes take part.

    Args:
      functions: the network as evaluations see it.
    """
    _, evaluation = self._reconstruction
    return evaluation.run(functions)

  def draw_reconstructions(self, rebuilt: Any, step: int) -> None:
    """Draws what `rebuild` gave, in a folder named after the step."""
    if jax.process_index() == 0:
      metrics, arrays = rebuilt
      name, _ = self._reconstruction
      folder = self._folder / f'step_{step:07d}'
      draw(name, arrays, metrics, folder)
