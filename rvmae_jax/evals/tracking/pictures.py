"""What pictures and films of propagated labels need, kept small."""

import collections

import numpy as np
from PIL import Image

from rvmae_jax.data.tracking.videos import TrackedVideo
from rvmae_jax.evals.tracking.labels import resize_mask

# Of what is kept, at most.
_HEIGHT = 240
_FRAMES = 300


class Pictures:
  """Keeps the first videos, with the labels of every encoder.

  Args:
    num_videos: how many.

  Attributes:
    arrays: of video i `name_<i>`, `frames_<i>` [T, h, w, 3] uint8, and
      `labels_<i>/<encoder>`: masks [T, h, w] uint8, or keypoints [T, K, 2] in
      pixels of these frames, NaN for what is not there. The encoder `true` has
      those of the dataset.
  """

  def __init__(self, num_videos: int):
    self.arrays: dict[str, np.ndarray] = {}
    self._num_left, self._number = num_videos, 0
    self._frames = {}
    self._labels = collections.defaultdict(dict)

  def add(
    self, encoder: str, frame: int, image: np.ndarray, label: np.ndarray
  ) -> None:
    """Takes a frame [H, W, 3] and its label."""
    if not self._num_left or frame >= _FRAMES:
      return
    height, width = image.shape[:2]
    size = min(height, _HEIGHT), round(width * min(1, _HEIGHT / height))
    if frame not in self._frames:
      small = Image.fromarray(image).resize(size[::-1])
      self._frames[frame] = np.asarray(small)
    if label.dtype == np.uint8:
      label = resize_mask(label, size)
    self._labels[encoder][frame] = label

  def end_video(self, video: TrackedVideo) -> None:
    """Closes a video."""
    if not self._num_left:
      return
    number = self._number
    frames = np.stack(list(self._frames.values()))
    self.arrays[f'name_{number}'] = np.array(video.name)
    self.arrays[f'frames_{number}'] = frames
    for encoder, labels in self._labels.items():
      blank = np.zeros_like(next(iter(labels.values())))
      if blank.dtype != np.uint8:
        blank = blank + np.nan
      stacked = np.stack([labels.get(t, blank) for t in self._frames])
      if stacked.dtype != np.uint8:
        # From pixels of the video to those of what is kept; x before y.
        scale = np.divide(frames.shape[1:3], video.frame_size())
        stacked = stacked * scale[::-1]
      self.arrays[f'labels_{number}/{encoder}'] = stacked
    self._number, self._num_left = number + 1, self._num_left - 1
    self._frames.clear()
    self._labels.clear()
