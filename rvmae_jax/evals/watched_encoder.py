"""An encoder that is measured while it reads a long video."""

import collections
import dataclasses
import os
import resource
import sys
from collections.abc import Iterable, Iterator

import jax
import numpy as np

from rvmae_jax.evals.dense import DenseEncoder, Encode

_MIB = 2**20


@dataclasses.dataclass
class WatchedEncoder:
  """Hands features on, and notes what they are like after so many frames.

  Attributes:
    encode: frames in, features out, as `DenseEncoder` does.
    lengths: frames after which to look.
    fresh_encoder: of fresh runs that end at the same frame, for comparison;
      None for none.
    context: frames of a fresh run.
    features: for each length that was reached, those of its last frame [N, D].
    fresh: those of the fresh run [N, D].
    live_mib: bytes of all arrays on devices, and
    resident_mib: memory of this process, at each length.
  """

  encode: Encode
  lengths: Iterable[int]
  fresh_encoder: DenseEncoder | None = None
  context: int = 0
  features: list[np.ndarray] = dataclasses.field(default_factory=list)
  fresh: list[np.ndarray] = dataclasses.field(default_factory=list)
  live_mib: list[float] = dataclasses.field(default_factory=list)
  resident_mib: list[float] = dataclasses.field(default_factory=list)

  def __call__(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The encoder's features of frames, as it yields them."""
    read: collections.deque[np.ndarray] = collections.deque()
    num_done = 0

    def keep(frames):
      for frame in frames:
        read.append(frame)
        yield frame

    for part in self.encode(keep(frames)):
      # The last frame that was read is the last of this part.
      for num_ahead, features in zip(reversed(range(len(part))), part):
        num_done += 1
        if num_done in self.lengths:
          past = list(read)[: len(read) - num_ahead]
          self._note(features, past[-self.context :])
      while len(read) > self.context:
        read.popleft()
      yield part

  def _note(self, features: np.ndarray, past: list[np.ndarray]) -> None:
    # A view would keep alive all that was encoded with it.
    self.features.append(features.copy())
    self.live_mib.append(live_mib())
    self.resident_mib.append(resident_mib())
    if self.fresh_encoder:
      *_, last = self.fresh_encoder(past)
      self.fresh.append(last[-1].copy())


def live_mib() -> float:
  """MiB of all arrays that JAX holds."""
  return sum(array.nbytes for array in jax.live_arrays()) / _MIB


def resident_mib() -> float:
  """MiB of memory that this process has now; its peak where none can tell."""
  if os.path.exists('/proc/self/statm'):
    with open('/proc/self/statm') as file:
      return int(file.read().split()[1]) * resource.getpagesize() / _MIB
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  return peak / (_MIB if sys.platform == 'darwin' else 1024)
