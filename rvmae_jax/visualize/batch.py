"""A batch as the model gets it: frames, targets, and what is left visible."""

from typing import Any

import numpy as np

from rvmae_jax.visualize.style import new_figure, show, styled

_HIDDEN, _UNUSED = 128, 50  # grey: to be rebuilt, and neither seen nor rebuilt
_COLUMN_INCHES, _TITLE_INCHES = 1.3, 0.3


def hide_patches(
  frames: np.ndarray, ids_keep: np.ndarray, patch_size: int
) -> np.ndarray:
  """Greys out all patches but the visible ones.

  Args:
    frames: [..., H, W, 3] uint8.
    ids_keep: [..., K] visible tokens of each frame, in grid order.
    patch_size: side of a patch in pixels.
  """
  *lead, height, width, _ = frames.shape
  grid = (height // patch_size, width // patch_size)
  visible = np.zeros((*lead, grid[0] * grid[1]), bool)
  np.put_along_axis(visible, ids_keep, True, axis=-1)
  visible = visible.reshape(*lead, *grid)  # [..., N] -> [..., h, w]
  for axis in (-2, -1):  # [..., h, w] -> [..., H, W]
    visible = np.repeat(visible, patch_size, axis=axis)
  return np.where(visible[..., None], frames, np.uint8(_HIDDEN))


def hide_tubelets(
  video: np.ndarray,
  ids_keep: np.ndarray,
  ids_mask: np.ndarray,
  patch_size: int,
  tubelet_size: int,
) -> np.ndarray:
  """Greys out all tubelets but the visible ones.

  Those that are not to be rebuilt either get a darker grey.

  Args:
    video: [T, H, W, 3] uint8.
    ids_keep, ids_mask: visible and hidden tokens of the clip.
    patch_size: side of a token in pixels.
    tubelet_size: frames of a token.
  """
  size = np.array([tubelet_size, patch_size, patch_size])
  values = np.full(np.array(video.shape[:3]) // size, _UNUSED, np.uint8)
  values.reshape(-1)[ids_mask.ravel()] = _HIDDEN
  visible = np.zeros(values.shape, bool)
  visible.reshape(-1)[ids_keep.ravel()] = True
  for axis, times in enumerate(size):  # [t, h, w] -> [T, H, W]
    values = np.repeat(values, times, axis)
    visible = np.repeat(visible, times, axis)
  return np.where(visible[..., None], video, values[..., None])


@styled
def draw_batch(
  batch: dict[str, np.ndarray],
  patch_size: int,
  tubelet_size: int = 1,
  num_rows: int = 4,
) -> Any:
  """A figure of the first clips of a batch, one below the other.

  Source frames, a second view, then target frames with their distance from the
  first source frame, then the targets with all but their visible patches greyed
  out. Where `video` itself is masked, a second row shows what is seen of it.

  Args:
    batch: `video` and, if there are any, `view2`, `target`, `target_delta`,
      `ids_keep` and `label`; arrays that obey `rvmae_jax.batch`.
    patch_size: side of a patch in pixels.
    tubelet_size: frames of a token of `video`.
    num_rows: how many clips to draw, or fewer if the batch holds fewer.

  Returns:
    A matplotlib figure.
  """
  num_rows = min(num_rows, len(batch['video']))
  rows = []
  for row in range(num_rows):
    rows.append(_columns(batch, row, patch_size))
    if 'ids_keep' in batch and 'target' not in batch:
      ids = (batch[key][row] for key in ('ids_keep', 'ids_mask'))
      seen = hide_tubelets(batch['video'][row], *ids, patch_size, tubelet_size)
      rows.append([(f'{t} seen', frame) for t, frame in enumerate(seen)])
  height, width = batch['video'].shape[2:4]
  figure = new_figure(
    _COLUMN_INCHES * len(rows[0]),
    (_COLUMN_INCHES * height / width + _TITLE_INCHES) * len(rows),
  )
  all_axes = figure.subplots(len(rows), len(rows[0]), squeeze=False)
  for columns, row_axes in zip(rows, all_axes):
    for (title, frame), axes in zip(columns, row_axes):
      show(axes, frame, title)
    for axes in row_axes[len(columns) :]:
      axes.remove()
  return figure


def _columns(
  batch: dict[str, np.ndarray], row: int, patch_size: int
) -> list[tuple[str, np.ndarray]]:
  """(title, frame) of each column of a row."""
  video = batch['video'][row]
  titles = [f'{t}' for t in range(len(video))]
  if 'label' in batch and batch['label'][row] >= 0:
    titles[0] += f' (class {batch["label"][row]})'
  columns = list(zip(titles, video))
  if 'view2' in batch:
    view2 = batch['view2'][row]
    columns += zip([f'view 2: {t}' for t in range(len(view2))], view2)
  if 'target' in batch:
    target = batch['target'][row]
    titles = [f'+{delta}' for delta in batch['target_delta'][row]]
    columns += zip(titles, target)
    if 'ids_keep' in batch:
      seen = hide_patches(target, batch['ids_keep'][row], patch_size)
      columns += zip([f'{title} seen' for title in titles], seen)
  return columns
