"""What tracking datasets hold: videos with labels of some of their frames."""

import dataclasses
import functools
import os
from collections.abc import Mapping

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

  Where masks hold 0 and 255 alone, 255 is the one object. If any mask of the
  video holds another number, 255 is void in all of them: it counts as
  background.
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
      label = np.where(label == VOID, self._value_of_void, label)
    if label is not None and self.one_object:
      label = (label > 0).astype(np.uint8)
    return label

  @functools.cached_property
  def _value_of_void(self) -> np.uint8:
    """What 255 stands for in the masks of all frames."""
    files = (label for label in self.labels.values() if isinstance(label, str))
    masks = map(read_mask, files)
    has_numbers = any(((m > 0) & (m < VOID)).any() for m in masks)
    return np.uint8(0 if has_numbers else 1)

  def frame_size(self) -> tuple[int, int]:
    """(height, width) of the video's own frames; decodes the first."""
    return next(read_frames(self.video)).shape[:2]


def read_mask(path: str | os.PathLike) -> np.ndarray:
  """A mask [H, W] uint8 from an image: palette, grey or black and white.

  Values are those of the image; what 255 means is for the video to say.

  Raises:
    ValueError: the image has colours, which say nothing about objects.
  """
  with Image.open(path) as image:
    if image.mode not in ('P', 'L', '1'):
      raise ValueError(
        f'{os.fspath(path)} has mode {image.mode}; a mask is a palette (P), '
        'grey (L) or black and white (1) image whose values number the objects.'
      )
    mask = np.asarray(image)
  return mask * np.uint8(VOID) if mask.dtype == bool else mask
