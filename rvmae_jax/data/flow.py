"""Optical flow of a clip, estimated on the host, for masks and metrics.

An estimator is a function of two grey frames [h,w] uint8. Its flow [h,w,2]
float32 holds vectors (right, down) in pixels, such that the first frame at x
shows what the second shows at x + flow(x). To add one: a function, and a line
in the table. None of these needs a download; all need OpenCV (extra [flow]).
"""

import dataclasses
import itertools
import math
import types
from collections.abc import Callable

import numpy as np

from rvmae_jax.data.augmentation.geometry import Crop
from rvmae_jax.data.opencv import import_opencv
from rvmae_jax.registry import Registry

FLOWS = Registry(
  'optical flow',
  {
    'dense_inverse_search': 'rvmae_jax.data.flow:dense_inverse_search',
    'farneback': 'rvmae_jax.data.flow:farneback',
  },
)

# Flow is estimated on frames of about so many pixels: masks are coarser still.
_NUM_PIXELS = 128 * 224
_MIN_SIDE = 32


class ClipFlow:
  """The flow of every frame of a clip to its neighbour towards the middle.

  Args:
    name: of an estimator in `FLOWS`.

  Raises:
    ValueError: there is no such estimator.
    ImportError: OpenCV is not installed.
  """

  def __init__(self, name: str):
    self.estimate = FLOWS.get(name)
    _opencv()

  def __call__(self, frames: np.ndarray, crop: Crop) -> np.ndarray:
    """Estimates flow on decoded frames and moves it with their crop.

    Args:
      frames: [T,h,w,3] uint8, as they were decoded.
      crop: what is made of them: T frames of H x W pixels.

    Returns:
      [T,H,W,2] float32, in pixels of the crop.
    """
    grey = resized_grey(frames)
    flow = flow_to_middle(grey, self.estimate)
    scale_y, scale_x = np.divide(grey.shape[1:], frames.shape[1:3])
    box = np.multiply(crop.box, (scale_x, scale_y, scale_x, scale_y))
    return dataclasses.replace(crop, box=tuple(box)).move_flow(flow)


def flow_to_middle(
  grey: np.ndarray, estimate: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> np.ndarray:
  """The flow of frames [T,h,w] to their neighbours, [T,h,w,2].

  Frames before the middle one, T // 2, flow to the next frame, those after it
  to the one before; the flow of the middle frame is 0.
  """
  middle = len(grey) // 2
  flow = np.zeros((*grey.shape, 2), np.float32)
  for i, frame in enumerate(grey):
    if i != middle:
      flow[i] = estimate(frame, grey[i + np.sign(middle - i)])
  return flow


def flow_between(
  frames: np.ndarray, name: str
) -> tuple[np.ndarray, np.ndarray]:
  """The flow between each frame and the one before, both ways.

  Args:
    frames: [T,H,W,3] uint8, T > 1.
    name: of an estimator in `FLOWS`.

  Returns:
    [T-1,H,W,2] float32 from each frame but the first to the one before, and
    the same from there; in pixels.
  """
  estimate = FLOWS.get(name)
  grey = resized_grey(frames)
  height, width = grey.shape[1:]
  to_frames = Crop(frames.shape[1:3], (0, 0, width, height)).move_flow
  pairs = list(itertools.pairwise(grey))
  return (
    to_frames(np.stack([estimate(after, before) for before, after in pairs])),
    to_frames(np.stack([estimate(before, after) for before, after in pairs])),
  )


def resized_grey(frames: np.ndarray) -> np.ndarray:
  """Frames [T,h,w,3] in grey [T,h',w'], of a size that flow is fast on."""
  cv2 = _opencv()
  scale = math.sqrt(_NUM_PIXELS / math.prod(frames.shape[1:3]))
  height, width = (
    max(_MIN_SIDE, round(side * scale)) for side in frames.shape[1:3]
  )
  return np.stack(
    [
      cv2.resize(
        cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY),
        (width, height),
        interpolation=cv2.INTER_AREA,
      )
      for frame in frames
    ]
  )


def dense_inverse_search(first: np.ndarray, second: np.ndarray) -> np.ndarray:
  """Flow by inverse search on patches, then refined (1603.03590)."""
  cv2 = _opencv()
  # Made anew each time: it has buffers, and the loader has many threads.
  search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
  return search.calc(first, second, None)


def farneback(first: np.ndarray, second: np.ndarray) -> np.ndarray:
  """Flow by polynomials fitted around each pixel (Farneback, 2003)."""
  return _opencv().calcOpticalFlowFarneback(
    first,
    second,
    None,
    pyr_scale=0.5,
    levels=4,
    winsize=15,
    iterations=3,
    poly_n=5,
    poly_sigma=1.1,
    flags=0,
  )


def _opencv() -> types.ModuleType:
  return import_opencv(
    'Optical flow needs OpenCV: pip install "rvmae_jax[flow]". The mask '
    'frame_difference needs none.'
  )
