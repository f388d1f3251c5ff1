"""Where features come from: the network, and what it is compared with."""

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from rvmae_jax.evals.dense import DenseEncoder
from rvmae_jax.evals.features import make_encoder
from rvmae_jax.evals.functions import ModelFunctions

# What labels are propagated by.
PROPAGATED_BY = {
  'trained': 'the network',
  'random': 'the same network with fresh parameters',
  'per_frame': 'the encoder of a recurrent network, without its recurrence',
  'pixels': 'the colours of the patches',
  'copy': 'no features: the labels of the first frame',
}

# Frames in, features [n, h*w, D] of n frames at a time out.
Encode = Callable[[Iterable[np.ndarray]], Iterator[np.ndarray]]


def make_encoders(
  functions: ModelFunctions,
  names: Iterable[str],
  patch_size: int,
  *,
  seed: int = 0,
  window: int = 16,
  chunk: int = 8,
  reset_every: int = 0,
  warm_up: int = 0,
) -> dict[str, Encode | None]:
  """What labels are propagated by.

  Args:
    functions: the network.
    names: some of `PROPAGATED_BY`; `per_frame` is left out where the network
      has no recurrence.
    patch_size: in pixels.
    seed: of fresh parameters.
    window, chunk, reset_every: see `DenseEncoder`.
    warm_up: times that a recurrent network is shown the first frame before it
      counts, see `warmed_up`.

  Returns:
    name -> encoder of frames, None for 'copy', which needs none.
  """
  # Parameters do not depend on the size of frames.
  clip = np.zeros((1, window, 2 * patch_size, 2 * patch_size, 3), np.uint8)

  def make(name):
    if name == 'copy':
      return None
    if name == 'pixels':
      return functools.partial(patch_colours, patch_size=patch_size)
    network = make_encoder(name, functions, clip, seed)
    encoder = DenseEncoder(
      network, window=window, chunk=chunk, reset_every=reset_every
    )
    return warmed_up(encoder, warm_up) if network.is_recurrent else encoder

  return {
    name: make(name)
    for name in names
    if name != 'per_frame' or functions.is_recurrent
  }


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
