"""Temporal coherence: whether a rebuilt video changes as the true one does."""

import numpy as np


def difference_error(pred: np.ndarray, true: np.ndarray) -> np.ndarray:
  """Squared error of frame-to-frame differences, averaged over the colours.

  What is wrong in the same way in both frames cancels out. A still picture has
  the energy of the true change, so a method has to be below that.

  Args:
    pred, true: [..., T, H, W, C], values in [0, 1].

  Returns:
    [..., T - 1, H, W], of each frame but the first.
  """
  # The difference of differences is that of errors.
  return np.square(np.diff(pred - true, axis=-4)).mean(-1)


def warped_error(video: np.ndarray, flow: np.ndarray) -> np.ndarray:
  """Squared difference of each frame to the one before, moved by flow.

  Lai et al., "Learning blind video temporal consistency", arXiv 1808.00449,
  equation 9, before the mean. A picture of one colour has no such error: read
  it beside an error against the truth.

  Args:
    video: [..., T, H, W, C], values in [0, 1].
    flow: [..., T - 1, H, W, 2], from each frame but the first to the one
      before, see `warp`.

  Returns:
    [..., T - 1, H, W], averaged over the colours.
  """
  before, after = video[..., :-1, :, :, :], video[..., 1:, :, :, :]
  return np.square(after - warp(before, flow)).mean(-1)


def warp(frames: np.ndarray, flow: np.ndarray) -> np.ndarray:
  """Frames where flow leads to, bilinear; beyond the edge, what is at the edge.

  Args:
    frames: [..., H, W, C].
    flow: [..., H, W, 2], vectors (right, down) in pixels.

  Returns:
    [..., H, W, C]; the pixel at x is that of `frames` at x + flow(x).
  """
  *lead, height, width, channels = frames.shape
  x, y = _ends(flow)
  x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
  left, top = x.astype(int), y.astype(int)
  right, bottom = (
    np.minimum(left + 1, width - 1),
    np.minimum(top + 1, height - 1),
  )
  pixels = frames.reshape(*lead, height * width, channels)

  def at(rows, columns):
    places = (rows * width + columns).reshape(*lead, height * width, 1)
    return np.take_along_axis(pixels, places, axis=-2).reshape(frames.shape)

  to_right, to_bottom = (x - left)[..., None], (y - top)[..., None]
  upper = (1 - to_right) * at(top, left) + to_right * at(top, right)
  lower = (1 - to_right) * at(bottom, left) + to_right * at(bottom, right)
  return (1 - to_bottom) * upper + to_bottom * lower


def is_followed(flow: np.ndarray, back: np.ndarray) -> np.ndarray:
  """Which pixels the other frame shows too: neither covered nor outside it.

  Flow has to lead into the frame, and flow from there back to about where it
  started. Sundaram et al., "Dense point trajectories by GPU-accelerated large
  displacement optical flow", 2010, equation 5.

  Args:
    flow: [..., H, W, 2], to the other frame.
    back: [..., H, W, 2], from the other frame.

  Returns:
    [..., H, W] bool.
  """
  height, width = flow.shape[-3:-1]
  x, y = _ends(flow)
  is_inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
  back = warp(back, flow)
  length = np.square(flow).sum(-1) + np.square(back).sum(-1)
  return is_inside & (np.square(flow + back).sum(-1) < 0.01 * length + 0.5)


def mean_where(
  values: np.ndarray, where: np.ndarray, axes: tuple[int, ...]
) -> np.ma.MaskedArray:
  """Means of values over what `where` selects; masked where it selects nothing.

  Args:
    values: any shape.
    where: bool, of the same shape.
    axes: that the mean is over.
  """
  count = where.sum(axes)
  total = np.where(where, values, 0).sum(axes)
  return np.ma.array(total / np.maximum(count, 1), mask=count == 0)


def _ends(flow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Columns and rows that flow [..., H, W, 2] leads to, [..., H, W] each."""
  rows, columns = np.indices(flow.shape[-3:-1], np.float32)
  return columns + flow[..., 0], rows + flow[..., 1]
