"""Scores of a set of videos, gathered frame by frame.

Each class takes the predicted and the true labels of a frame as they come, and
`end_video` closes a video with its own score. What the first frame shows was
given, so it never counts.
"""

import numpy as np

from rvmae_jax.metrics.keypoints import keypoint_errors, pck
from rvmae_jax.metrics.segmentation import (
  boundary_f,
  confusion,
  jaccard,
  mean_iou,
)

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5)


class ObjectScores:
  """J and F of every object of a first mask, as DAVIS averages them.

  The first and the last frame of a video are left out; every object counts the
  same, however long its video.
  """

  main = 'J&F'

  def __init__(self):
    self._objects, self._frames = [], {}

  def add(self, frame: int, predicted: np.ndarray, true: np.ndarray) -> None:
    """Takes the masks [H, W] of frame `frame` of this video."""
    if frame == 0:
      self._numbers = [n for n in np.unique(true) if n]
      return
    pairs = [(predicted == n, true == n) for n in self._numbers]
    self._frames[frame] = [(jaccard(*p), boundary_f(*p)) for p in pairs]

  def end_video(self, num_frames: int) -> float:
    """J&F of the video, NaN where no frame has true labels."""
    self._frames.pop(num_frames - 1, None)
    # [frames, objects, 2] -> [objects, 2], and the same for the recall.
    scores = np.array(list(self._frames.values()))
    self._frames.clear()
    if not scores.size:
      return float('nan')
    self._objects += list(
      np.concatenate([scores.mean(0), (scores > 0.5).mean(0)], axis=1)
    )
    return float(scores.mean())

  def summary(self) -> dict[str, float]:
    """Means over all objects; nothing if there were none."""
    if not self._objects:
      return {}
    j, f, j_recall, f_recall = np.mean(self._objects, axis=0).tolist()
    return {
      'J&F': (j + f) / 2,
      'J': j,
      'F': f,
      'J_recall': j_recall,
      'F_recall': f_recall,
    }


class PartScores:
  """Mean IoU of classes over all pixels of all videos, as VIP has it.

  Args:
    num_classes: with the background.
  """

  main = 'mIoU'

  def __init__(self, num_classes: int = 20):
    self._counts = self._zeros = np.zeros((num_classes,) * 2, np.int64)
    self._video = self._zeros

  def add(self, frame: int, predicted: np.ndarray, true: np.ndarray) -> None:
    """Takes the masks [H, W] of frame `frame` of this video."""
    if frame:
      self._video = self._video + confusion(predicted, true, len(self._zeros))

  def end_video(self, num_frames: int) -> float:
    """Mean IoU of the video, NaN where no frame has true labels."""
    del num_frames
    video, self._video = self._video, self._zeros
    self._counts = self._counts + video
    return mean_iou(video) if video.any() else float('nan')

  def summary(self) -> dict[str, float]:
    """One number over all videos; nothing if there were none."""
    return {'mIoU': mean_iou(self._counts)} if self._counts.any() else {}


class KeypointScores:
  """PCK over all frames of all videos, as JHMDB has it."""

  main = 'PCK@0.1'

  def __init__(self):
    self._errors, self._video = [], []

  def add(self, frame: int, predicted: np.ndarray, true: np.ndarray) -> None:
    """Takes the keypoints [K, 2] of frame `frame` of this video."""
    if frame:
      self._video.append(keypoint_errors(predicted, true))

  def end_video(self, num_frames: int) -> float:
    """PCK@0.1 of the video, NaN where no frame has true labels."""
    del num_frames
    video, self._video = self._video, []
    self._errors += video
    return pck(np.array(video), (0.1,))[0] if video else float('nan')

  def summary(self) -> dict[str, float]:
    """PCK at each threshold; nothing if there were no keypoints."""
    if not self._errors:
      return {}
    shares = pck(np.array(self._errors), THRESHOLDS)
    return {f'PCK@{t:g}': share for t, share in zip(THRESHOLDS, shares)}


SCORES = {
  'objects': ObjectScores,
  'parts': PartScores,
  'keypoints': KeypointScores,
}
