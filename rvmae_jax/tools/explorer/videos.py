"""Which videos there are to look at, and their frames."""

import itertools
import os

import numpy as np

from rvmae_jax.data.decoding import VideoError
from rvmae_jax.data.frames import read_frames
from rvmae_jax.data.sources.folder import find_videos
from rvmae_jax.data.sources.moving_sprites import MovingSprites

# Kind -> settings of `MovingSprites`: as the quick start learns, and those on
# which tracking means something.
SPRITES = {
  'sprite': {},
  'two sprites': {
    'size': 64,
    'num_frames': 24,
    'num_sprites': 2,
    'background': 'busy',
  },
}
_NUM_OF_A_KIND = 4


def known_videos(folder: str = '') -> dict[str, str]:
  """Name -> path: a few sprites, then the videos of a folder.

  Raises:
    FileNotFoundError: no such folder, or no video in it.
  """
  known = {}
  for kind, settings in SPRITES.items():
    sprites = MovingSprites(
      'test', num_videos=_NUM_OF_A_KIND, num_workers=1, **settings
    )
    for number, path in enumerate(sprites.paths):
      known[f'{kind} {number}'] = str(path)
  for name in find_videos(folder) if folder else ():
    # A page is UTF-8, which names of files need not be.
    shown = os.fsencode(name).decode(errors='backslashreplace')
    known[shown] = os.path.join(folder, name)
  return known


def check_video(path: str) -> str:
  """The name of an uploaded video, once its first frame has been decoded.

  Raises:
    VideoError: there is no video in it; the reason names the file alone, not
      the folder where uploads lie.
  """
  name = os.path.basename(path)
  try:
    next(read_frames(path))
  except VideoError as error:
    raise VideoError(name, error.reason.replace(path, name)) from error
  return name


def read_video(
  path: str,
  side: int,
  patch_size: int,
  num_frames: int,
  stride: int = 1,
) -> np.ndarray:
  """The first frames of a video, whole, at a size that patches tile.

  Args:
    path: a video file or a folder of images.
    side: of the shorter edge in pixels. Each edge becomes the multiple of the
      patch that is nearest to it in the frame's own shape.
    patch_size: what both edges are multiples of.
    num_frames: at most.
    stride: every so many frames.

  Returns:
    [T, H, W, 3] uint8.

  Raises:
    VideoError: the video cannot be read.
  """
  first = next(read_frames(path))
  scale = side / min(first.shape[:2])
  size = tuple(
    max(round(edge * scale / patch_size), 1) * patch_size
    for edge in first.shape[:2]
  )
  frames = read_frames(path, size, stride)
  return np.stack(list(itertools.islice(frames, num_frames)))
