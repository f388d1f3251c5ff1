"""Where the pixels of a crop come from, and how to move all else with them."""

import dataclasses

import numpy as np
from PIL import Image

# (left, top, right, bottom) in pixels, fractions allowed.
Box = tuple[float, float, float, float]


@dataclasses.dataclass(frozen=True)
class Crop:
  """A box of the decoded frames, resized, and mirrored if `flip`.

  One crop serves all frames of a clip, and whatever else lies on its pixels:

    crop = draw_crop(height, width, rng)  # of data/augmentation/crop.py
    frames = crop.move_frames(frames)
    flow = crop.move_flow(flow)

  Attributes:
    size: (height, width) of the result.
    box: which part of the decoded frames.
    flip: left and right change places, after cutting.
  """

  size: tuple[int, int]
  box: Box
  flip: bool = False

  def move_frames(self, frames: np.ndarray) -> np.ndarray:
    """Frames [T,h,w,3] uint8 -> [T,H,W,3]: bicubic, antialiased."""
    return self._mirror(resize(frames, self.size, self.box))

  def move_flow(self, flow: np.ndarray) -> np.ndarray:
    """Optical flow [T,h,w,2] -> [T,H,W,2] float32: bilinear.

    Vectors are (right, down) in pixels; they are scaled as the box is, and
    point the other way in a mirror.
    """
    components = np.moveaxis(flow, -1, 0).astype(np.float32)
    bilinear = Image.Resampling.BILINEAR
    moved = np.stack(
      [
        self._mirror(resize(c, self.size, self.box, bilinear))
        for c in components
      ],
      axis=-1,
    )
    left, top, right, bottom = self.box
    scale_x = self.size[1] / (right - left) * (-1 if self.flip else 1)
    scale_y = self.size[0] / (bottom - top)
    return moved * np.array([scale_x, scale_y], np.float32)

  def _mirror(self, images: np.ndarray) -> np.ndarray:
    return images[:, :, ::-1] if self.flip else images


def centre_box(height: int, width: int, ratio: float) -> Box:
  """The largest centred box of a frame with width/height = ratio."""
  box_width = min(width, height * ratio)
  box_height = min(height, width / ratio)
  left, top = (width - box_width) / 2, (height - box_height) / 2
  return left, top, left + box_width, top + box_height


def resize(
  images: np.ndarray,
  size: tuple[int, int],
  box: Box,
  resample: Image.Resampling = Image.Resampling.BICUBIC,
) -> np.ndarray:
  """Resizes a box of each image; antialiased when shrinking, if not nearest.

  Args:
    images: [T,h,w,3] uint8, or [T,h,w] uint8, int32 or float32.
    size: (height, width) of the result.
    box: which part.
    resample: how to interpolate.
  """
  height, width = size
  whole = (0, 0, images.shape[2], images.shape[1])
  if tuple(box) == whole and images.shape[1:3] == (height, width):
    return images
  # A sum such as left + width may end a rounding error outside of the frame.
  box = (
    max(box[0], 0),
    max(box[1], 0),
    min(box[2], whole[2]),
    min(box[3], whole[3]),
  )
  resized = np.empty(
    (len(images), height, width, *images.shape[3:]), images.dtype
  )
  for image, out in zip(images, resized):
    out[:] = Image.fromarray(image).resize((width, height), resample, box)
  return resized
