"""Finds duplicate videos: byte for byte, or by what they show."""

import collections
from collections.abc import Iterable, Iterator

import numpy as np
from PIL import Image

from rvmae_jax.data.decoding import Reader
from rvmae_jax.data.fingerprints import content_sha256, size_bytes

# A signature: this many frames, evenly spread, on a grid of 8 x 8.
SIGNATURE_FRAMES = 8
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


def signature(frames: np.ndarray) -> np.ndarray:
  """What stays of a video when it is scaled or compressed anew.

  Args:
    frames: [SIGNATURE_FRAMES, H, W, 3] uint8, evenly spread over the video.

  Returns:
    [SIGNATURE_FRAMES, 8, 8] uint8 grey levels.
  """
  size, area = (_SIDE, _SIDE), Image.Resampling.BOX
  images = [Image.fromarray(frame).convert('L') for frame in frames]
  return np.stack([np.asarray(image.resize(size, area)) for image in images])


def signature_of(reader: Reader) -> np.ndarray:
  """The signature of an open video; decodes a few frames.

  Raises:
    VideoError: one of them cannot be decoded.
  """
  n = SIGNATURE_FRAMES
  indices = (np.arange(n) + 0.5) * reader.num_frames / n
  return signature(reader.read(indices.astype(int)))


def near_duplicates(signatures: np.ndarray) -> list[list[int]]:
  """Groups of videos that look the same, see `near_pairs`.

  Args:
    signatures: [n, SIGNATURE_FRAMES, 8, 8].

  Returns:
    Groups of two or more indices; each is like some other of its group.
  """
  leader = list(range(len(signatures)))

  def find(i):
    while leader[i] != i:
      i = leader[i]
    return i

  for a, b in near_pairs(signatures, signatures):
    leader[max(find(a), find(b))] = min(find(a), find(b))
  return _group(range(len(signatures)), find)


def near_pairs(
  first: np.ndarray, second: np.ndarray
) -> Iterator[tuple[int, int]]:
  """Pairs of videos with the same mean picture and the same motion.

  The picture alone would take two clips of one scene for the same.

  Args:
    first: signatures [n, SIGNATURE_FRAMES, 8, 8].
    second: signatures [m, SIGNATURE_FRAMES, 8, 8].

  Yields:
    Indices into `first` and `second`.
  """
  motion, picture, still = _features(second)
  for start in range(0, len(first), _BLOCK):
    moved, seen, rested = _features(first[start : start + _BLOCK])
    same_motion = moved @ motion.T >= _SAME_MOTION
    both_still = rested[:, None] & still
    same_picture = seen @ picture.T >= _SAME_PICTURE
    i, j = np.nonzero(same_picture & (same_motion | both_still))
    yield from zip((i + start).tolist(), j.tolist())


def _features(
  signatures: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Motion [n, F * 64] and picture [n, 64], unit vectors; stillness [n]."""
  frames = signatures.astype(np.float32)
  mean = frames.mean(axis=1, keepdims=True)
  motion = (frames - mean).reshape(len(frames), -1)
  picture = mean - mean.mean(axis=(2, 3), keepdims=True)
  still = motion.std(axis=1) < _STILL
  return _unit(motion), _unit(picture.reshape(len(frames), -1)), still


def _unit(rows: np.ndarray) -> np.ndarray:
  return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)


def _group(items, key) -> list[list]:
  """The items that share a key, sorted, where there are two or more."""
  groups = collections.defaultdict(list)
  for item in items:
    groups[key(item)].append(item)
  return [sorted(group) for group in groups.values() if len(group) > 1]
