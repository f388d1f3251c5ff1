"""Finds videos that are there twice: byte for byte, or to the eye."""

import collections
from collections.abc import Iterable

import numpy as np
from PIL import Image

from rvmae_jax.data.fingerprints import content_sha256, size_bytes

# A fingerprint: this many frames, evenly spread, on a grid of 8 x 8.
FINGERPRINT_FRAMES = 8
_SIDE = 8

# Re-encoded copies of real clips, down to 90 pixels wide, agreed by 0.995 and
# 0.77 or more; different clips of one person before one wall by 0.999 and 0.55.
_SAME_PICTURE = 0.99
_SAME_MOTION = 0.75
_STILL = 0.5  # Grey levels: motion below it is noise.
_BLOCK = 2048  # Rows of the table of pairs that are in memory at a time.


def exact_duplicates(paths: Iterable[str]) -> list[list[str]]:
  """Groups of videos with the same content.

  Args:
    paths: of files, and of folders of images.

  Returns:
    Groups of two or more, sorted; only files of equal size are read.
  """
  by_size = _group(paths, size_bytes)
  return sorted(g for size in by_size for g in _group(size, content_sha256))


def fingerprint(frames: np.ndarray) -> np.ndarray:
  """What stays of a video when it is scaled or compressed anew.

  Args:
    frames: [FINGERPRINT_FRAMES, H, W, 3] uint8, evenly spread over the video.

  Returns:
    [FINGERPRINT_FRAMES, 8, 8] uint8 grey levels.
  """
  size, area = (_SIDE, _SIDE), Image.Resampling.BOX
  images = [Image.fromarray(frame).convert('L') for frame in frames]
  return np.stack([np.asarray(image.resize(size, area)) for image in images])


def near_duplicates(fingerprints: np.ndarray) -> list[list[int]]:
  """Groups of videos with the same mean picture and the same motion.

  The picture alone would take two clips of one scene for the same.

  Args:
    fingerprints: [n, FINGERPRINT_FRAMES, 8, 8].

  Returns:
    Groups of two or more indices; each is like some other of its group.
  """
  frames = fingerprints.astype(np.float32)
  mean = frames.mean(axis=1, keepdims=True)
  motion = (frames - mean).reshape(len(frames), -1)  # [n, F * 64]
  picture = (mean - mean.mean(axis=(2, 3), keepdims=True)).reshape(
    len(frames), -1
  )  # [n, 64]
  still = motion.std(axis=1) < _STILL
  motion, picture = _unit(motion), _unit(picture)
  leader = list(range(len(frames)))

  def find(i):
    while leader[i] != i:
      i = leader[i]
    return i

  for start in range(0, len(frames), _BLOCK):
    rows = slice(start, start + _BLOCK)
    same_motion = motion[rows] @ motion.T >= _SAME_MOTION
    both_still = still[rows, None] & still
    same_picture = picture[rows] @ picture.T >= _SAME_PICTURE
    i, j = np.nonzero(same_picture & (same_motion | both_still))
    for a, b in zip((i + start).tolist(), j.tolist()):
      leader[max(find(a), find(b))] = min(find(a), find(b))
  return _group(range(len(frames)), find)


def _unit(rows: np.ndarray) -> np.ndarray:
  return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)


def _group(items, key) -> list[list]:
  """The items that share a key, sorted, where there are two or more."""
  groups = collections.defaultdict(list)
  for item in items:
    groups[key(item)].append(item)
  return [sorted(group) for group in groups.values() if len(group) > 1]
