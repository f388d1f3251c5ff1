"""Features of frames: a state that is warmed up, and the colours of patches."""

import itertools
from collections.abc import Callable, Iterable, Iterator

import numpy as np

# Frames in, features [n, h*w, D] of n frames at a time out.
Encode = Callable[[Iterable[np.ndarray]], Iterator[np.ndarray]]


def warmed_up(encode: Encode, warm_up: int) -> Encode:
  """An encoder that sees the first frame a few times before it counts.

  A state that comes from zero takes a few frames to fill. Until then features
  differ from later ones of the same thing, and the labels of the first frame,
  the only true ones, find no match.
  """

  def encode_warm(frames):
    frames = iter(frames)
    first, left = next(frames), warm_up
    for features in encode(itertools.chain([first] * (warm_up + 1), frames)):
      if left < len(features):
        yield features[left:]
      left = max(left - len(features), 0)

  return encode_warm


def patch_colours(
  frames: Iterable[np.ndarray], patch_size: int
) -> Iterator[np.ndarray]:
  """Patches as they are: [H, W, 3] uint8 -> [1, h*w, p*p*3] in [-1, 1]."""
  for frame in frames:
    height, width, _ = frame.shape
    h, w = height // patch_size, width // patch_size
    # [h, p, w, p, 3] -> [h, w, p, p, 3] -> [1, h*w, p*p*3]
    patches = frame.reshape(h, patch_size, w, patch_size, 3).swapaxes(1, 2)
    yield patches.reshape(1, h * w, -1) / np.float32(127.5) - 1
