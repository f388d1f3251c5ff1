"""Frozen features of labelled videos: extracted once, probed many times."""

import collections
import dataclasses
import functools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from rvmae_jax.evals import pooling
from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.evals.progress import progress
from rvmae_jax.evals.videos import Videos
from rvmae_jax.evals.views import Views
from rvmae_jax.registry import check_known

# Raw frames are shrunk to about this many pixels a side before they are probed.
_THUMBNAIL = 16

# What is probed beside the network, so that its number means something.
SOURCES = {
  'trained': 'the network',
  'random': 'the same network with fresh parameters',
  'per_frame': 'its encoder alone, without recurrence',
  'pixels': f'frames of {_THUMBNAIL}x{_THUMBNAIL} pixels',
}


@dataclasses.dataclass(frozen=True)
class FeatureSet:
  """Pooled features of the labelled videos of one split.

  Attributes:
    pooled: source -> pooling -> [videos, D] float32, or [videos, views, D]
      where each video was seen as several views.
    labels: [videos] int.
    places: [videos, 2] int, `host/source` and `host/record` of each video.
  """

  pooled: dict[str, dict[str, np.ndarray]]
  labels: np.ndarray
  places: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Encoder:
  """One source of features as functions of video [B, T, H, W, 3] uint8.

  Attributes:
    tokens: gives features [B, T, tokens, D].
    pooled: gives every pooling of them by name, [B, D].
  """

  tokens: Callable[[np.ndarray], np.ndarray]
  pooled: Callable[[np.ndarray], dict[str, np.ndarray]]


def make_encoder(
  source: str, functions: ModelFunctions, video: np.ndarray, seed: int = 0
) -> Encoder:
  """The encoder of one of `SOURCES`.

  Args:
    source: its name.
    functions: the network.
    video: any clips, for their shape.
    seed: of fresh parameters.
  """
  if source == 'pixels':
    return Encoder(
      thumbnails,
      lambda video: {
        name: np.asarray(pooled)
        for name, pooled in pooling.pool_all(thumbnails(video)).items()
      },
    )
  method = 'encode'
  if source == 'random':
    functions = functions.untrained(video, seed)
  elif source == 'per_frame':
    method = 'encode_frames'
  return Encoder(
    functools.partial(functions.encode, method=method),
    functools.partial(functions.pooled, method=method),
  )


def check_sources(sources: Sequence[str]) -> None:
  """ValueError, with near names, if one of them is not among `SOURCES`."""
  if not sources:
    raise ValueError(
      f'No sources of features; name at least one of {list(SOURCES)}.'
    )
  check_known('source of features', SOURCES, *sources)


def extract(
  functions: ModelFunctions,
  videos: Videos,
  sources: Iterable[str],
  *,
  views: Views | None = None,
  seed: int | None = None,
) -> FeatureSet:
  """Features of all labelled videos, in every pooling.

  What was extracted stays in `functions.cache`, so that several evaluations on
  the same videos decode and encode them once.

  Args:
    functions: the network.
    videos: what to read; its mask is left out.
    sources: some of `SOURCES`.
    views: how to cut each clip; whole if None.
    seed: of fresh parameters; that of `videos` if None.
  """
  videos = videos.changed({'mask': None})
  views = views or Views()
  seed = videos.seed if seed is None else seed
  of_videos = videos.data.to_dict(), dataclasses.astuple(views)

  def key(source):
    of_source = source, seed if source == 'random' else None
    return json.dumps([of_videos, of_source], sort_keys=True, default=list)

  missing = [s for s in sources if key(s) not in functions.cache]
  if missing:
    batches = progress(videos.batches(), videos.num_videos, 'features')
    found = pool_batches(functions, batches, missing, seed, views)
    for source in missing:
      functions.cache[key(source)] = dataclasses.replace(
        found, pooled={source: found.pooled[source]}
      )
  sets = [functions.cache[key(source)] for source in sources]
  pooled = {source: s.pooled[source] for source, s in zip(sources, sets)}
  return dataclasses.replace(sets[0], pooled=pooled)


def pool_batches(
  functions: ModelFunctions,
  batches: Iterable[Mapping[str, np.ndarray]],
  sources: Iterable[str],
  seed: int = 0,
  views: Views | None = None,
) -> FeatureSet:
  """Pools every source over batches; rows without a label are left out."""
  views = views or Views()
  encoders: dict[str, Encoder] = {}
  pooled = {source: collections.defaultdict(list) for source in sources}
  labels, places = [np.zeros(0, np.int32)], [np.zeros((0, 2), np.int32)]
  for batch in batches:
    keep = labelled(batch)
    if not keep.any():
      continue
    parts = views.cut(batch['video'])
    for source in pooled:
      if source not in encoders:
        encoders[source] = make_encoder(source, functions, parts[0], seed)
      found = [encoders[source].pooled(part) for part in parts]
      for name in found[0]:
        # [B, views, D], or [B, D] of a single view.
        rows = np.stack([features[name][keep] for features in found], axis=1)
        pooled[source][name].append(rows if len(views) > 1 else rows[:, 0])
    labels.append(batch['label'][keep])
    places.append(batch_places(batch)[keep])
  return FeatureSet(
    pooled={
      source: {name: np.concatenate(rows) for name, rows in by_name.items()}
      for source, by_name in pooled.items()
    },
    labels=np.concatenate(labels),
    places=np.concatenate(places),
  )


def labelled(batch: Mapping[str, np.ndarray]) -> np.ndarray:
  """Which rows of an evaluation batch are videos with a label, [B] bool."""
  return batch['valid'] & (batch['label'] >= 0)


def batch_places(batch: Mapping[str, np.ndarray]) -> np.ndarray:
  """`host/source` and `host/record` of each row, [B, 2]."""
  return np.stack([batch['host/source'], batch['host/record']], axis=1)


def unit(features: np.ndarray) -> np.ndarray:
  """Features [n, D] of length 1; a zero stays zero."""
  norm = np.linalg.norm(features, axis=1, keepdims=True)
  return features / np.maximum(norm, 1e-12)


def thumbnails(video: np.ndarray) -> np.ndarray:
  """Small frames as single tokens, the features of no network at all.

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
