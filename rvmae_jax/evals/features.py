"""Frozen features of labelled videos: extracted once, probed many times."""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import jax
import numpy as np

from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.evals.pooling import USUAL_POOLINGS, Pooling, pool
from rvmae_jax.evals.videos import Videos
from rvmae_jax.evals.views import Views
from rvmae_jax.registry import check_known

# Raw frames are shrunk to about this many pixels a side before they are probed.
_THUMBNAIL = 16

# What is probed: the network, and baselines to compare it with.
ENCODERS = {
  'trained': 'the network',
  'random': 'the same network with random weights',
  'per_frame': 'the network on each frame alone, without those before',
  'pixels': f'frames of {_THUMBNAIL}x{_THUMBNAIL} pixels',
}


@dataclasses.dataclass(frozen=True)
class FeatureSet:
  """Pooled features of the labelled videos of one split.

  Attributes:
    pooled: encoder -> pooling -> [videos, D] float32, or [videos, views, D]
      where each video was seen as several views.
    labels: [videos] int.
    places: [videos, 2] int, `host/source` and `host/record` of each video.
  """

  pooled: dict[str, dict[str, np.ndarray]]
  labels: np.ndarray
  places: np.ndarray | None = None


def thumbnails(video: np.ndarray) -> np.ndarray:
  """Small frames as single tokens.

  Args:
    video: [B, T, H, W, 3] uint8.

  Returns:
    [B, T, 1, h*w*3] float32 in [0, 1]: means over squares of pixels, of a size
    that leaves about 16 a side (edges that do not fill a square are cut).
  """
  *lead, height, width, _ = video.shape
  side = max(min(height, width) // _THUMBNAIL, 1)
  h, w = height // side, width // side
  video = video[..., : h * side, : w * side, :] / np.float32(255)
  # [B, T, h, side, w, side, 3]
  video = video.reshape(*lead, h, side, w, side, 3).mean((-4, -2))
  # [B, T, h, w, 3] -> [B, T, 1, h*w*3]
  return video.reshape(*lead, 1, -1)


def patch_colours(video: np.ndarray, patch_size: int) -> np.ndarray:
  """Patches as they are: [B, T, H, W, 3] uint8 -> [B, T, h*w, p*p*3], -1..1."""
  *lead, height, width, _ = video.shape
  p, h, w = patch_size, height // patch_size, width // patch_size
  # [B, T, h, p, w, p, 3] -> [B, T, h, w, p, p, 3] -> [B, T, h*w, p*p*3]
  patches = video.reshape(*lead, h, p, w, p, 3).swapaxes(-4, -3)
  return patches.reshape(*lead, h * w, -1) / np.float32(127.5) - 1


@dataclasses.dataclass(frozen=True)
class Pixels:
  """Raw frames as tokens, asked in the same way as a network.

  Attributes:
    encode: makes tokens [B, T, N, D] of clips [B, T, H, W, 3] uint8.
  """

  is_recurrent: ClassVar = False
  num_prefix_tokens: ClassVar = 0

  encode: Callable[[np.ndarray], np.ndarray]

  def pooled(
    self, video: np.ndarray, poolings: Sequence[str]
  ) -> dict[str, np.ndarray]:
    """Poolings of the tokens, by name."""
    return jax.device_get(pool(self.encode(video), tuple(poolings)))


# What answers `encode` and `pooled`.
Encoder = ModelFunctions | Pixels


def make_encoder(
  name: str,
  functions: ModelFunctions,
  video: np.ndarray,
  seed: int = 0,
  pixels: Callable[[np.ndarray], np.ndarray] = thumbnails,
) -> Encoder:
  """One of `ENCODERS`.

  Args:
    name: which.
    functions: the network.
    video: any clips, for their shape.
    seed: of fresh parameters.
    pixels: makes tokens of raw frames.
  """
  if name == 'pixels':
    return Pixels(pixels)
  if name == 'random':
    return functions.untrained(video, seed)
  return functions.per_frame() if name == 'per_frame' else functions


def check_encoders(names: Sequence[str]) -> None:
  """Raises ValueError, with near names, for one that is not in `ENCODERS`."""
  if not names:
    raise ValueError(f'No encoders; name at least one of {list(ENCODERS)}.')
  check_known('encoder', ENCODERS, *names)


def check_poolings(
  names: Sequence[str], videos: Videos, num_clips: int = 1
) -> None:
  """Raises ValueError if clips of these videos cannot be pooled so.

  Args:
    names: see `evals.pooling`.
    videos: whose clips are pooled.
    num_clips: equal parts that each clip is cut into first.
  """
  for name in names:
    Pooling.named(name).check(
      videos.num_frames // num_clips, videos.tubelet_size
    )


def extract(
  functions: ModelFunctions,
  videos: Videos,
  encoders: Iterable[str],
  poolings: Iterable[str],
  *,
  views: Views | None = None,
  seed: int | None = None,
) -> FeatureSet:
  """Pooled features of all labelled videos.

  What was extracted stays in `functions.cache`, so that several evaluations on
  the same videos decode and encode them once.

  Args:
    functions: the network.
    videos: what to read.
    encoders: some of `ENCODERS`.
    poolings: see `evals.pooling`; the usual ones come along.
    views: how to cut each clip; whole if None.
    seed: of fresh parameters; that of `videos` if None.
  """
  views = views or Views()
  seed = videos.seed if seed is None else seed
  num_frames = videos.num_frames // views.num_clips
  names = sorted({*poolings, *_possible(num_frames, videos.tubelet_size)})
  what = dataclasses.asdict(videos), dataclasses.astuple(views), names

  def key(encoder):
    of_encoder = encoder, seed if encoder == 'random' else None
    return json.dumps([what, of_encoder], sort_keys=True, default=list)

  missing = [e for e in encoders if key(e) not in functions.cache]
  if missing:
    clip = views.cut(videos.blank_clip)[0]
    made = {e: make_encoder(e, functions, clip, seed) for e in missing}

    def pooled(batch):
      return {e: made[e].pooled(batch['video'], names) for e in missing}

    batches = videos.batches(what='features')
    rows, labels, places = gather(pooled, batches, views)
    if len(views) == 1:
      rows = jax.tree.map(lambda values: values[:, 0], rows)
    check_finite(rows)
    for encoder in missing:
      functions.cache[key(encoder)] = FeatureSet(
        {encoder: rows.get(encoder, {})}, labels, places
      )
  sets = {encoder: functions.cache[key(encoder)] for encoder in encoders}
  pooled = {encoder: s.pooled[encoder] for encoder, s in sets.items()}
  return dataclasses.replace(next(iter(sets.values())), pooled=pooled)


def _possible(num_frames: int, tubelet_size: int) -> Iterator[str]:
  """Those of the usual poolings that such clips have."""
  for name in USUAL_POOLINGS:
    with contextlib.suppress(ValueError):
      Pooling.named(name).check(num_frames, tubelet_size)
      yield name


def gather(
  function: Callable[[Mapping[str, Any]], Mapping[Any, Any]],
  batches: Iterable[Mapping[str, np.ndarray]],
  views: Views,
) -> tuple[dict[Any, Any], np.ndarray, np.ndarray]:
  """What a function finds for every labelled video, in each of its views.

  Args:
    function: of a batch whose `video` is one view; gives rows [B, ...] by name,
      which may be nested.
    batches: of an evaluation.
    views: how to cut each clip.

  Returns:
    name -> [videos, views, ...], empty where no video has a label; labels
    [videos]; and places [videos, 2], see `batch_places`.
  """
  found, labels = [], [np.zeros(0, np.int32)]
  places = [np.zeros((0, 2), np.int32)]

  def kept(*by_view):
    return np.stack([np.asarray(rows)[keep] for rows in by_view], axis=1)

  for batch in batches:
    keep = labelled(batch)
    if not keep.any():
      continue
    parts = views.cut(batch['video'])
    seen = [function({**batch, 'video': part}) for part in parts]
    found.append(jax.tree.map(kept, *seen))
    labels.append(batch['label'][keep])
    places.append(batch_places(batch)[keep])
  rows = {}
  if found:
    rows = jax.tree.map(lambda *parts: np.concatenate(parts), *found)
  return rows, np.concatenate(labels), np.concatenate(places)


def check_finite(rows: Any) -> None:
  """Raises ValueError if features, a tree of [videos, ...], have NaN in them.

  Or infinity: both would end as wrong numbers, or in the depths of a solver.
  """
  is_lost = [
    ~np.isfinite(values).reshape(len(values), -1).all(1)
    for values in jax.tree.leaves(rows)
  ]
  if np.any(is_lost):
    is_lost = np.any(is_lost, 0)
    raise ValueError(
      f'The features of {is_lost.sum()} of {len(is_lost)} videos are not '
      'finite (NaN or infinite). Check the checkpoint, and the dtype of '
      'config.model.'
    )


def labelled(batch: Mapping[str, np.ndarray]) -> np.ndarray:
  """Which rows of an evaluation batch are videos with a label, [B] bool."""
  return batch['valid'] & (batch['label'] >= 0)


def batch_places(batch: Mapping[str, np.ndarray]) -> np.ndarray:
  """`host/source` and `host/record` of each row, [B, 2]."""
  return np.stack([batch['host/source'], batch['host/record']], axis=1)
