"""The tab Track: points that were clicked, or a mask that was painted."""

import functools
from collections.abc import Iterator, Sequence

import numpy as np

from rvmae_jax.data.records import NO_LABEL
from rvmae_jax.data.tracking.videos import TrackedVideo
from rvmae_jax.evals.dense import DenseEncoder, filled
from rvmae_jax.evals.readouts import in_chunks
from rvmae_jax.evals.tracking.labels import resize_mask
from rvmae_jax.evals.tracking.points import track_points
from rvmae_jax.evals.tracking.propagation import Propagation
from rvmae_jax.evals.tracking.tracker import Tracker
from rvmae_jax.tools.explorer.networks import Network, functions_of_size
from rvmae_jax.visualize.scenes import point_frames
from rvmae_jax.visualize.tracks import LABEL_COLOURS, overlay

# What a mask may be painted with; each is an object of its own.
NUM_COLOURS = 4
_POINTS_AT_ONCE, _FRAMES_AT_ONCE = 8, 16


def follow_points(
  video: np.ndarray, features: np.ndarray, points: Sequence[tuple[float, float]]
) -> np.ndarray:
  """Points of the first frame, followed: dots with trails.

  Args:
    video: [T, H, W, 3] uint8.
    features: [T, h, w, D].
    points: x and y, as shares of the frame.

  Returns:
    [T, H', W', 3] uint8, larger where frames are small; a hollow ring is a
    point that is not seen.
  """
  queries = np.array([(0, y, x) for x, y in points]).reshape(-1, 3)
  if not len(queries):
    return point_frames(
      video, np.zeros((0, len(video), 2)), np.zeros((0, len(video)), bool)
    )
  # Filled up, so that few programs serve all numbers of frames and points.
  length = len(features)
  features = filled(features, -(-length // _FRAMES_AT_ONCE) * _FRAMES_AT_ONCE)
  follow = functools.partial(track_points, features)
  found = in_chunks(follow, queries, _POINTS_AT_ONCE)
  return point_frames(video, *(rows[:, :length] for rows in found))


def painted_mask(
  layers: Sequence[np.ndarray], size: tuple[int, int]
) -> np.ndarray:
  """The objects that were painted.

  Args:
    layers: [h, w, 4] uint8, transparent where nothing was painted.
    size: (height, width) of the frames.

  Returns:
    [H, W] uint8, 0 is background, an object has the number of its colour in
    `visualize.tracks.LABEL_COLOURS`, from 1.

  Raises:
    ValueError: nothing was painted that is as large as a pixel of the frames.
  """
  mask = np.zeros(size, np.uint8)
  colours = LABEL_COLOURS[:NUM_COLOURS].astype(int)
  for layer in layers:
    distance = np.abs(layer[..., None, :3] - colours).sum(-1)  # [h, w, colours]
    number = np.where(layer[..., 3] > 127, distance.argmin(-1) + 1, 0)
    number = resize_mask(number.astype(np.uint8), size)
    mask = np.where(number > 0, number, mask)
  if not mask.any():
    raise ValueError('Nothing is painted: paint an object on the first frame.')
  return mask


def follow_mask(
  network: Network,
  video: np.ndarray,
  mask: np.ndarray,
  warm_up: int = 0,
) -> Iterator[np.ndarray]:
  """The objects of the first frame, followed: one frame after the other.

  Args:
    network: whose features hand the labels on.
    video: [T, H, W, 3] uint8.
    mask: [H, W] uint8 of the first frame.
    warm_up: times that a recurrent network is shown the first frame before.

  Yields:
    [H, W, 3] uint8, objects in colour.
  """
  size = video.shape[1:3]
  encode = DenseEncoder(
    functions_of_size(network, *size),
    window=network.window,
    warm_up=warm_up,
  )
  track = Tracker(encode, Propagation(), size, network.patch_size)
  record = {'path': 'video', 'label': NO_LABEL, 'frames': video}
  for frame, label in track(TrackedVideo('video', record, {0: mask})):
    yield overlay(frame, label)
