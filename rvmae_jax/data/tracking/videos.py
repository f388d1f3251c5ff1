"""What tracking datasets hold: videos with labels of some of their frames."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Protocol

import numpy as np
from PIL import Image

from rvmae_jax.data.frames import Video, read_frames

KINDS = ('objects', 'parts', 'keypoints')
VOID = 255


@dataclasses.dataclass(frozen=True)
class TrackedVideo:
  """A video, and what is known of its frames.

  Attributes:
    name: tells it from the others; may hold slashes.
    video: what `frames.read_frames` takes.
    labels: frame -> its label; frame 0 has one. Masks are [H, W] uint8 (0 is
      background) or the path of such an image, keypoints [K, 2] x and y in
      pixels, NaN where not visible.
    one_object: whatever is not background is the same object.
  """

  name: str
  video: Video
  labels: Mapping[int, str | np.ndarray]
  one_object: bool = False

  def label(self, frame: int) -> np.ndarray | None:
    """The label of a frame as an array, None where there is none.

    Raises:
      ValueError: an image is no mask.
    """
    label = self.labels.get(frame)
    if isinstance(label, str):
      label = read_mask(label)
    if label is not None and self.one_object:
      label = (label > 0).astype(np.uint8)
    return label

  def frame_size(self) -> tuple[int, int]:
    """(height, width) of the video's own frames; decodes the first."""
    return next(read_frames(self.video)).shape[:2]


class TrackingDataset(Protocol):
  """Random access to tracked videos, and how they are measured.

  Attributes:
    kind: 'objects' (J and F), 'parts' (mean IoU of classes) or 'keypoints'
      (PCK).
    size: (height, width) of the frames that networks see, by custom.
    top_k: places that a label is taken from, by custom.
  """

  kind: str
  size: tuple[int, int]
  top_k: int

  def __len__(self) -> int: ...

  def __getitem__(self, index: int) -> TrackedVideo: ...


def read_mask(path: str | os.PathLike) -> np.ndarray:
  """A mask [H, W] uint8 from an image: palette, grey or black and white.

  A mask of 0 and 255 alone is that of one object; beside other values 255 is
  void and counts as background.

  Raises:
    ValueError: the image has colours, which say nothing about objects.
  """
  with Image.open(path) as image:
    if image.mode not in ('P', 'L', '1'):
      raise ValueError(
        f'{os.fspath(path)} has mode {image.mode}; a mask is a palette (P), '
        'grey (L) or black and white (1) image whose values number the objects.'
      )
    mask = np.asarray(image).astype(np.uint8)
  has_numbers = ((mask > 0) & (mask < VOID)).any()
  return np.where(mask == VOID, 0 if has_numbers else 1, mask).astype(np.uint8)
