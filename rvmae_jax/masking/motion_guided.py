"""The mask of MGMAE: visible places travel with the motion."""

import numpy as np

from rvmae_jax.batch import MaskLayout, Slots
from rvmae_jax.masking.tokens import count_visible, split_slots


class MotionGuidedMask:
  """Shows what is around a few random points, which optical flow carries on.

  A base map of Gaussians lies on the middle frame; from there it is warped from
  frame to frame in both directions. Each slot shows the tokens where most of
  the map is. Source: MGMAE (2308.10794); unlike its public code, frames before
  the middle one are warped with their own flow, not that of their neighbours.

  Args:
    grid: (slots, rows, columns) of tokens.
    ratio: share of each slot's tokens to hide, rounded down.
    flow: estimator of `data/flow.py` whose flow the clip holds.

  Raises:
    ValueError: the ratio leaves no visible or no hidden token in a slot.
  """

  layout = MaskLayout(slots=Slots.EVEN)

  def __init__(
    self,
    grid: tuple[int, int, int],
    ratio: float = 0.9,
    flow: str = 'dense_inverse_search',
  ):
    self.grid = grid
    self.num_keep = count_visible(grid[1] * grid[2], ratio, round_down='hidden')
    self.flow = flow

  def __call__(self, clip: dict, rng: np.random.Generator) -> dict:
    """Adds `ids_keep` [t*K] and `ids_mask` [t*M]; takes `flow` out.

    Args:
      clip: `flow` [T,H,W,2] of each frame to its neighbour towards the middle.
      rng: draws the points.
    """
    flow = clip['flow']
    base = draw_base_map(flow.shape[1:3], self.grid[1:], self.num_keep, rng)
    scores = sum_cubes(warp_from_middle(base, flow), self.grid)
    ids_keep, ids_mask = split_slots(-scores, self.num_keep)
    rest = {key: value for key, value in clip.items() if key != 'flow'}
    return {**rest, 'ids_keep': ids_keep, 'ids_mask': ids_mask}


def draw_base_map(
  size: tuple[int, int],
  grid: tuple[int, int],
  num_points: int,
  rng: np.random.Generator,
) -> np.ndarray:
  """The greatest of the Gaussians around the centres of random tokens.

  They fall to 1/e at a distance of one patch.

  Args:
    size: (height, width) of a frame in pixels.
    grid: (rows, columns) of tokens.
    num_points: how many tokens to draw.
    rng: draws them.

  Returns:
    [H,W] float32, at most 1.
  """
  tokens = rng.permutation(grid[0] * grid[1])[:num_points]
  gaussians = []
  for place, num_pixels, count in zip(np.divmod(tokens, grid[1]), size, grid):
    # In patches: [K, pixels], the factor of one axis.
    pixels = (
      (np.arange(num_pixels, dtype=np.float32) + 0.5) * count / num_pixels
    )
    distance = pixels - (place[:, None] + np.float32(0.5))
    gaussians.append(np.exp(-np.square(distance)))
  rows, columns = gaussians
  base = (rows[:, :, None] * columns[:, None, :]).max(axis=0)
  return base / base.max()


def warp_from_middle(base: np.ndarray, flow: np.ndarray) -> np.ndarray:
  """Carries a map of the middle frame to all frames.

  Where nothing arrives, because it lay outside of the frame, the base map
  steps in.

  Args:
    base: [H,W].
    flow: [T,H,W,2] of each frame to its neighbour towards the middle.

  Returns:
    [T,H,W].
  """
  middle = len(flow) // 2
  maps = np.empty((*flow.shape[:-1],), np.float32)
  maps[middle] = base
  outwards = [*range(middle - 1, -1, -1), *range(middle + 1, len(flow))]
  for i in outwards:
    neighbour = maps[i + np.sign(middle - i)]
    warped = warp(neighbour, flow[i])
    maps[i] = np.where(warped == 0, base, warped)
  return maps


def warp(values: np.ndarray, flow: np.ndarray) -> np.ndarray:
  """`values` [H,W] at x + flow(x) for each x: bilinear, 0 outside."""
  height, width = values.shape
  padded = np.pad(values, 1)
  y, x = np.indices((height, width), np.float32)
  # What lies outside by more than a pixel is as far out as the padding.
  x = np.clip(x + flow[..., 0] + 1, 0, width + 1)
  y = np.clip(y + flow[..., 1] + 1, 0, height + 1)
  left = np.minimum(x.astype(int), width)
  top = np.minimum(y.astype(int), height)
  x, y = x - left, y - top
  above = padded[top, left] * (1 - x) + padded[top, left + 1] * x
  below = padded[top + 1, left] * (1 - x) + padded[top + 1, left + 1] * x
  return above * (1 - y) + below * y


def sum_cubes(maps: np.ndarray, grid: tuple[int, int, int]) -> np.ndarray:
  """Sums maps [T,H,W] over the pixels of every token: [slots, places]."""
  (t, h, w), (frames, height, width) = grid, maps.shape
  # [T,H,W] -> [t, T/t, h, H/h, w, W/w]
  cubes = maps.reshape(t, frames // t, h, height // h, w, width // w)
  # -> [t, h*w]
  return cubes.sum(axis=(1, 3, 5)).reshape(t, h * w)
