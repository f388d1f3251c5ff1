"""The tab Features: what a network tells apart in a video, through time."""

import io
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.cluster.vq import kmeans2

from rvmae_jax.evals.dense import DenseEncoder
from rvmae_jax.metrics.features import unit_rows
from rvmae_jax.models.backbone import OnBackbone
from rvmae_jax.models.recurrent import RecurrentAutoencoder
from rvmae_jax.tools.explorer.networks import (
  Network,
  functions_of_size,
  of_few_sizes,
)
from rvmae_jax.visualize.lines import draw_lines
from rvmae_jax.visualize.pca import pca_colours
from rvmae_jax.visualize.tracks import LABEL_COLOURS

_GATES = {'update_gate': 'update gate', 'reset_gate': 'reset gate'}


class Encoded(NamedTuple):
  """Features of frames, and what the recurrent core did at each.

  Attributes:
    features: [n, h, w, D] float32.
    courses: `update_gate`, `reset_gate` and `state_norm`, [n] means over the
      tokens; empty where the network has no such core.
  """

  features: np.ndarray
  courses: dict[str, np.ndarray]


class _WatchedCore:
  """A recurrent network as `DenseEncoder` asks it; notes what its core does."""

  is_recurrent = True

  def __init__(self, network: Network, height: int, width: int):
    _, params, _ = network.functions.trainable
    model = _backbone(network)
    self._params = params.get('backbone', params)
    self._run = _core_of_size(model, height, width)
    self.num_prefix_tokens = model.num_prefix_tokens
    self.init_state = network.functions.init_state
    self.courses: dict[str, np.ndarray] = {}

  def encode_from(self, state, video):
    features, state, stats = self._run(self._params, state, video)
    # [1, n] or [1, n, tokens] -> [n]
    self.courses = {
      name: np.asarray(values).reshape(video.shape[1], -1).mean(1)
      for name, values in stats.items()
    }
    return np.asarray(features), state


# Models are frozen dataclasses, so that equal ones share what is compiled.
@of_few_sizes
def _core_of_size(model, height, width):
  del height, width

  def run(model, state, video):
    tokens = model.encode_frames(video)
    return model.core.run(tokens, model.time_unroll, jnp.asarray(state))

  def apply(params, state, video):
    return model.apply({'params': params}, state, video, method=run)

  return jax.jit(apply)


def _backbone(network: Network) -> Any:
  model, *_ = network.functions.trainable
  return model.backbone if isinstance(model, OnBackbone) else model


def is_watched(network: Network) -> bool:
  """Whether gates and state of its core can be seen."""
  model = _backbone(network)
  return isinstance(model, RecurrentAutoencoder) and model.is_recurrent


def encode(network: Network, video: np.ndarray) -> Iterator[Encoded]:
  """Features of some frames at a time, in order.

  Args:
    network: that encodes.
    video: [T, H, W, 3] uint8.

  Raises:
    ValueError: patches do not tile the frames.
  """
  size = video.shape[1:3]
  watched = _WatchedCore(network, *size) if is_watched(network) else None
  encoder = watched or functions_of_size(network, *size)
  grid = tuple(side // network.patch_size for side in size)
  for part in DenseEncoder(encoder, window=network.window)(video):
    courses = watched.courses if watched else {}
    yield Encoded(
      part.reshape(len(part), *grid, -1),
      {name: course[: len(part)] for name, course in courses.items()},
    )


def join(parts: Sequence[Encoded]) -> Encoded:
  """All that `encode` gave, as one."""
  names = parts[0].courses
  return Encoded(
    np.concatenate([part.features for part in parts]),
    {n: np.concatenate([part.courses[n] for part in parts]) for n in names},
  )


def without_places(features: np.ndarray) -> np.ndarray:
  """Features [T, h, w, D] less the mean of each place over time.

  A token's place in the frame outweighs all else in its features. What never
  changes becomes zero.
  """
  return features - features.mean(0)


def colour_pca(features: np.ndarray, patch_size: int) -> np.ndarray:
  """The first three principal components as colours.

  Args:
    features: [T, h, w, D].
    patch_size: pixels that a token becomes.

  Returns:
    [T, H, W, 3] uint8.
  """
  return _in_pixels(255 * pca_colours(features), patch_size)


def colour_clusters(
  features: np.ndarray, num_clusters: int, patch_size: int
) -> np.ndarray:
  """k-means of unit features of all frames together, a colour for each.

  Args:
    features: [T, h, w, D].
    num_clusters: at most as many as there are tokens.
    patch_size: pixels that a token becomes.

  Returns:
    [T, H, W, 3] uint8.
  """
  tokens = unit_rows(features.reshape(-1, features.shape[-1]))
  _, labels = kmeans2(
    tokens.astype(np.float64), num_clusters, minit='++', rng=0, iter=20
  )
  colours = LABEL_COLOURS[labels % len(LABEL_COLOURS)]
  return _in_pixels(colours.reshape(*features.shape[:3], 3), patch_size)


def likeness(features: np.ndarray, time: int, row: int, column: int):
  """Cosine of all features with those of one place: [T, h, w] in [-1, 1]."""
  unit = unit_rows(features.reshape(-1, features.shape[-1]))
  unit = unit.reshape(features.shape)
  return unit @ unit[time, row, column]


def colour_likeness(cosines: np.ndarray, patch_size: int) -> np.ndarray:
  """Cosines [T, h, w] from the least, dark, to 1, light: [T, H, W, 3] uint8."""
  import matplotlib

  low = cosines.min()
  shares = (cosines - low) / max(1 - low, 1e-6)
  colours = matplotlib.colormaps['inferno'](np.clip(shares, 0, 1))[..., :3]
  return _in_pixels(255 * colours, patch_size)


def draw_courses(courses: dict[str, np.ndarray]) -> bytes:
  """Gates, and the norm of the state, over the frames: a PNG."""

  def line(name, values):
    return {'name': name, 'x': [*range(len(values))], 'y': values.tolist()}

  gates = [line(title, courses[n]) for n, title in _GATES.items()]
  norm = [line('state norm', courses['state_norm'])]
  panels = [
    {'x': 'frame', 'y': 'mean of the gate', 'lines': gates},
    {'x': 'frame', 'y': 'mean norm of a token', 'lines': norm},
  ]
  file = io.BytesIO()
  draw_lines({'panels': panels, 'width': 9, 'height': 2.6}, file)
  return file.getvalue()


def _in_pixels(colours: np.ndarray, patch_size: int) -> np.ndarray:
  """[T, h, w, 3] -> [T, H, W, 3] uint8."""
  colours = np.rint(colours).astype(np.uint8)
  return colours.repeat(patch_size, axis=1).repeat(patch_size, axis=2)
