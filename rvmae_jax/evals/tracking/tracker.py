"""Tracks labels through one video after the other."""

import collections
import time
from collections.abc import Iterable, Iterator

import numpy as np

from rvmae_jax.data.frames import read_frames
from rvmae_jax.data.tracking.videos import TrackedVideo
from rvmae_jax.evals.dense import Encode
from rvmae_jax.evals.tracking.labels import KeypointLabels, MaskLabels
from rvmae_jax.evals.tracking.propagation import Propagation, compiled_step
from rvmae_jax.memory import planned_bytes


class Tracker:
  """Labels every frame of a video, given the label of the first.

  Args:
    encode: makes the features; None leaves the first label where it is.
    propagation: how labels are handed on.
    size: (height, width) of the frames that are encoded.
    patch_size: of the network.

  Attributes:
    seconds: for every frame, with reading and encoding.
    memory_bytes: of the largest step so far, see `rvmae_jax.memory`.
  """

  def __init__(
    self,
    encode: Encode | None,
    propagation: Propagation,
    size: tuple[int, int],
    patch_size: int,
  ):
    self._encode, self._propagation = encode, propagation
    self._size = size
    self._grid = tuple(side // patch_size for side in size)
    self.seconds: list[float] = []
    self.memory_bytes = 0

  def __call__(
    self, video: TrackedVideo
  ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields each frame [H, W, 3], as it was encoded, and its label.

    Labels are as the dataset has them: masks [H, W] uint8 or keypoints [K, 2].
    No more frames are held than are encoded at once.
    """
    images = read_frames(video.video, self._size)
    first = video.label(0)
    if self._encode is None:
      for image in images:
        yield image, first
      return
    kept = collections.deque()
    parts = self._predict(self._encode(_kept(images, kept)), video, first)
    began = time.perf_counter()
    for part in parts:
      self.seconds += [(time.perf_counter() - began) / len(part)] * len(part)
      for label in part:
        yield kept.popleft(), label
      began = time.perf_counter()

  def _predict(
    self, features: Iterable[np.ndarray], video: TrackedVideo, first: np.ndarray
  ) -> Iterator[list[np.ndarray]]:
    """The labels of as many frames at a time as are encoded at once."""
    if first.dtype == np.uint8:
      labels = MaskLabels(first, self._size, self._grid)
    else:
      labels = KeypointLabels(first, video.frame_size(), self._grid)
    context = None
    for part in features:
      found = []
      for places in part:  # [h*w, D]
        if context is None:
          context = self._propagation.start(places, labels.soft)
          step = compiled_step(
            self._propagation, self._grid, places.shape[1], labels.soft.shape[1]
          )
          self.memory_bytes = max(self.memory_bytes, planned_bytes(step))
          found.append(first)
        else:
          context, soft = step(context, places)
          found.append(labels.read(soft))
      yield found


def _kept(
  frames: Iterable[np.ndarray], kept: collections.deque
) -> Iterator[np.ndarray]:
  """Hands frames on, and keeps them until they are taken out of `kept`."""
  for frame in frames:
    kept.append(frame)
    yield frame
