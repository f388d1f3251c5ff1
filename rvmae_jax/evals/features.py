"""Frozen features of a labelled set: extracted once, probed many times."""

import collections
import dataclasses
import functools
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from rvmae_jax.evals import pooling
from rvmae_jax.evals.functions import ModelFunctions
from rvmae_jax.evals.videos import Videos
from rvmae_jax.registry import near_names

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
    pooled: source -> pooling -> [videos, D] float32.
    labels: [videos] int.
    places: [videos, 2] int, `host/source` and `host/record` of each video.
  """

  pooled: dict[str, dict[str, np.ndarray]]
  labels: np.ndarray
  places: np.ndarray | None = None


def extract(
  functions: ModelFunctions, videos: Videos, sources: Iterable[str]
) -> FeatureSet:
  """Features of all labelled videos, in every pooling.

  What was extracted stays in `functions.cache`, so that several evaluations on
  the same videos and sources decode and encode them once.

  Args:
    functions: the network.
    videos: what to read; its mask is left out.
    sources: some of `SOURCES`.

  Raises:
    ValueError: an unknown source.
  """
  sources = tuple(sources)
  if unknown := set(sources) - set(SOURCES):
    name = min(unknown)
    raise ValueError(
      f'Unknown source of features {name!r}. {near_names(name, SOURCES)}'
    )
  videos = videos.changed({'mask': None})
  key = json.dumps(
    [videos.data.to_dict(), videos.seed, sources], sort_keys=True, default=list
  )
  if key not in functions.cache:
    functions.cache[key] = pool_batches(
      functions, videos.batches(), sources, videos.seed
    )
  return functions.cache[key]


def pool_batches(
  functions: ModelFunctions,
  batches: Iterable[Mapping[str, np.ndarray]],
  sources: Iterable[str],
  seed: int = 0,
) -> FeatureSet:
  """Pools every source over batches; rows without a label are left out."""
  encoders: dict[str, Callable[[np.ndarray], dict[str, Any]]] = {}
  pooled = {source: collections.defaultdict(list) for source in sources}
  labels, places = [np.zeros(0, np.int32)], [np.zeros((0, 2), np.int32)]
  for batch in batches:
    keep = batch['valid'] & (batch['label'] >= 0)
    if not keep.any():
      continue
    for source in pooled:
      if source not in encoders:
        encoders[source] = _encoder(source, functions, batch['video'], seed)
      for name, features in encoders[source](batch['video']).items():
        pooled[source][name].append(features[keep])
    labels.append(batch['label'][keep])
    place = np.stack([batch['host/source'], batch['host/record']], axis=1)
    places.append(place[keep])
  return FeatureSet(
    pooled={
      source: {name: np.concatenate(rows) for name, rows in by_name.items()}
      for source, by_name in pooled.items()
    },
    labels=np.concatenate(labels),
    places=np.concatenate(places),
  )


def _encoder(
  source: str, functions: ModelFunctions, video: np.ndarray, seed: int
) -> Callable[[np.ndarray], dict[str, Any]]:
  """A function of video that gives the poolings of a source."""
  if source == 'pixels':
    return lambda video: {
      name: np.asarray(pooled)
      for name, pooled in pooling.pool_all(thumbnails(video)).items()
    }
  if source == 'random':
    return functions.untrained(video, seed).pooled
  method = 'encode_frames' if source == 'per_frame' else 'encode'
  return functools.partial(functions.pooled, method=method)


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
